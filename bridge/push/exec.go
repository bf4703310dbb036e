package push

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/congestion"
)

// Control says how a child process takes a new bitrate.
type Control uint8

// Controls.
const (
	ControlAuto    Control = iota // Restart where the command has {bitrate} or {kbit}, else None
	ControlNone                   // not at all
	ControlStdin                  // a line on its standard input: bits per second
	ControlRestart                // it is ended, and started with another {bitrate}
	ControlSwitch                 // another one is started with another {bitrate}, and takes over at its first key frame
	numControls
)

var controlNames = [numControls]string{"auto", "none", "stdin", "restart", "switch"}

func (c Control) String() string {
	if c < numControls {
		return controlNames[c]
	}
	return "unknown"
}

// ParseControl reads a Control; the error wraps config.ErrUsage.
func ParseControl(word string) (Control, error) {
	for i, n := range controlNames {
		if n == word {
			return Control(i), nil
		}
	}
	return 0, fmt.Errorf("%w: exec-control: %q is not one of %s", config.ErrUsage, word, strings.Join(controlNames[:], ", "))
}

// How often an encoder is started anew. Ours: a start costs a key frame and 0.3 to 1 s of standstill or of a second encoder, so that
// only changes one sees are worth it; down sooner than up, for what does not fit is lost.
const (
	restartDown     = 0.9
	restartUp       = 1.25
	restartDownWait = 2 * time.Second
	restartUpWait   = 10 * time.Second
	restartKeep     = 0.95 // of a lower target is used, so that the next small fall needs no further start

	// An encoder that ends by itself is started again after 0.5, 1, 2, 4 s, and then no more; one that ran for healthyAfter begins anew.
	maxFailures  = 5
	healthyAfter = time.Minute

	audioWindow = 5 * time.Second // over which the rate of sound is measured
	lead        = 500 * time.Millisecond
)

// running is an input that is a child process. Its run is one goroutine that owns everything but the channels.
type running struct {
	push    *Push
	command string
	control Control
	cfg     Encoder
	rates   chan congestion.Bitrate // newest target that has not been looked at
	keys    chan struct{}

	pub      *hub.Publisher
	rate     congestion.Bitrate // the encoder's
	wish     congestion.Bitrate // newest target, sound taken off
	cur      *child
	next     *child // Switch: begun, without a key frame yet
	started  time.Time
	changing bool // Restart: cur was told to end
	failures int

	begun time.Time // zero of the timeline
	end   time.Duration
	audio congestion.Bitrate
	bytes int
	since time.Time
}

func (p *Push) newRunning(command string) (input, error) {
	if strings.TrimSpace(command) == "" {
		return nil, fmt.Errorf("%w: input exec: without a command", config.ErrUsage)
	}
	c := p.cfg.Encoder
	c.Start, c.Min, c.Max = cmp.Or(c.Start, 2500*congestion.Kbps), cmp.Or(c.Min, 300*congestion.Kbps), cmp.Or(c.Max, 6*congestion.Mbps)
	if c.Min > c.Start || c.Start > c.Max {
		return nil, fmt.Errorf("%w: bitrate %d is not between min-bitrate %d and max-bitrate %d", config.ErrUsage, c.Start, c.Min, c.Max)
	}
	has := strings.Contains(command, "{bitrate}") || strings.Contains(command, "{kbit}")
	switch {
	case c.Control == ControlAuto && has:
		c.Control = ControlRestart
	case c.Control == ControlAuto:
		c.Control = ControlNone
		p.cfg.Logger.Warn("the encoder is not told what the path carries: put {bitrate} into its command, or say --exec-control stdin")
	case (c.Control == ControlRestart || c.Control == ControlSwitch) && !has:
		return nil, fmt.Errorf("%w: exec-control %v needs {bitrate} or {kbit} in the command", config.ErrUsage, c.Control)
	}
	return &running{push: p, command: command, control: c.Control, cfg: c, rate: c.Start,
		rates: make(chan congestion.Bitrate, 1), keys: make(chan struct{}, 1)}, nil
}

func (r *running) retarget(_ time.Time, rate congestion.Bitrate) {
	select { // the newest counts
	case <-r.rates:
	default:
	}
	r.rates <- rate
}

func (r *running) keyframe() {
	select {
	case r.keys <- struct{}{}:
	default:
	}
}

// run carries the encoder's frames until it ends well, fails too often, or ctx ends; no process is left then.
//
// Goroutines: the caller's; those of each child, at most two.
func (r *running) run(ctx context.Context, h *hub.Hub, name string) (err error) {
	if r.pub, err = h.Publish(name, hub.PublisherInfo{Protocol: "exec"}); err != nil {
		return err
	}
	defer r.pub.Close(nil)
	r.push.verdict.decide(false)
	defer func() { r.cur.stop(); r.next.stop() }()
	if r.cur, err = r.start(); err != nil {
		return err
	}
	var again <-chan time.Time // when a failed encoder is started again
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case f, ok := <-r.cur.out():
			if ok {
				err = r.write(f)
				break
			}
			var wait time.Duration
			if wait, err = r.ended(); err == nil && wait == 0 && r.cur == nil {
				return nil
			}
			if wait > 0 {
				again = time.After(wait)
			}
		case <-again:
			again = nil
			r.cur, err = r.start()
		case f, ok := <-r.next.out():
			err = r.takeOver(f, ok)
		case rate := <-r.rates:
			r.wish = max(r.cfg.Min, min(r.cfg.Max, rate-r.audio))
			err = r.adapt()
		case <-r.keys:
			if r.control == ControlStdin {
				r.cur.tell("keyframe")
			}
		}
		if err != nil {
			return err
		}
	}
}

// start begins a process with the rate that is due.
func (r *running) start() (*child, error) {
	r.started, r.changing = time.Now(), false
	bits, kbit := strconv.FormatInt(int64(r.rate), 10), strconv.FormatInt(int64(r.rate/congestion.Kbps), 10)
	c, err := startChild(strings.NewReplacer("{bitrate}", bits, "{kbit}", kbit).Replace(r.command), r.push.cfg.Logger)
	if err != nil {
		return nil, err
	}
	if r.control == ControlStdin {
		c.tell(bits)
	}
	return c, nil
}

// adapt gives the encoder the rate that is wished, in its own way.
func (r *running) adapt() (err error) {
	if r.cur == nil || r.wish == r.rate {
		return nil
	}
	switch r.control {
	case ControlStdin:
		r.rate = r.wish
		r.cur.tell(strconv.FormatInt(int64(r.rate), 10))
		return nil
	case ControlRestart, ControlSwitch:
	default:
		return nil
	}
	if r.changing || r.next != nil {
		return nil
	}
	ran, ratio := time.Since(r.started), float64(r.wish)/float64(r.rate)
	switch {
	case ratio < restartDown && ran >= restartDownWait:
		r.rate = max(r.cfg.Min, congestion.Bitrate(restartKeep*float64(r.wish)))
	case (ratio > restartUp || r.wish == r.cfg.Max && ratio > 1) && ran >= restartUpWait:
		r.rate = r.wish
	default:
		return nil
	}
	r.push.cfg.Logger.Info("encoder starts anew", "bitrate_bps", int64(r.rate), "control", r.control.String())
	if r.control == ControlRestart {
		r.changing = true
		r.cur.terminate()
		return nil
	}
	r.next, err = r.start()
	return err
}

// ended decides what follows the end of the encoder: it has started anew (nil error and cur), the stream is over (cur nil), it is
// to be started again after a while, or it failed too often.
func (r *running) ended() (wait time.Duration, err error) {
	failure := r.cur.stop()
	any := r.cur.any
	r.cur = nil
	switch {
	case r.changing:
		r.cur, err = r.start()
		return 0, err
	case r.next != nil: // it takes over as soon as it has a key frame
		r.cur, r.next = r.next, nil
		return 0, nil
	case failure == nil && any:
		return 0, nil
	case failure == nil:
		failure = fmt.Errorf("encoder %q ended without a frame", brief(r.command))
	}
	if time.Since(r.started) > healthyAfter {
		r.failures = 0
	}
	if r.failures++; r.failures >= maxFailures || isMissing(failure) {
		return 0, failure
	}
	wait = lead << (r.failures - 1)
	r.push.cfg.Logger.Warn("encoder ended, starts again", "err", failure, "in_ms", wait.Milliseconds(), "attempt", r.failures)
	return wait, nil
}

// takeOver waits for the next encoder's first key frame and lets the old one go.
func (r *running) takeOver(f *media.Frame, ok bool) error {
	if !ok {
		failure := r.next.stop()
		r.next = nil
		r.push.cfg.Logger.Warn("the encoder that was to take over ended", "err", failure)
		return nil
	}
	if !f.Codec.IsVideo() || !f.Flags.Has(media.Key) {
		return nil
	}
	old := r.cur
	r.cur, r.next = r.next, nil
	old.stop()
	return r.write(f)
}

// write puts a frame onto the timeline of all encoders and hands it on.
func (r *running) write(f *media.Frame) error {
	now := time.Now()
	if r.begun.IsZero() {
		r.begun, r.since = now, now
	}
	if !r.cur.any {
		r.cur.any = true
		r.cur.offset = max(r.end, now.Sub(r.begun)) - f.DTS
	}
	f.DTS += r.cur.offset
	f.PTS += r.cur.offset
	f.Arrival = now
	if f.Codec.IsAudio() {
		r.bytes += len(f.Payload)
	}
	if d := now.Sub(r.since); d >= audioWindow {
		r.audio = congestion.Bitrate(float64(r.bytes) * 8 / d.Seconds())
		r.bytes, r.since = 0, now
	}
	r.end = max(r.end, f.DTS+time.Millisecond)
	return r.pub.WriteFrame(f)
}
