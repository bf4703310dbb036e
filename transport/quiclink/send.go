package quiclink

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/fec"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/session"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// Errors that end a connection.
var (
	errFinished = errors.New("quiclink: everything is sent")
	errNoMedia  = errors.New("quiclink: QUIC arrives at the relay and media beside it does not")
)

const (
	// targetEvery is how often the encoder's target is looked at: design.md §3.
	targetEvery = 200 * time.Millisecond
	// fallbackAfter is how long media may be without an answer while QUIC has one, before it moves into QUIC: ours; 60
	// reports and two statistics messages of the relay.
	fallbackAfter = 2 * time.Second
	// audioConfigEvery is how often the configuration of sound travels in band: ours, half a usual GOP.
	audioConfigEvery = time.Second
	// retry is when DATAGRAM frames are offered again to a queue that was full.
	retry = 2 * time.Millisecond
)

// sending is the publisher's side of one connection.
type sending struct {
	client    *Client
	path      *path
	old       []*path // left behind by handovers; QUIC packets may still come in
	conn      *quic.Conn
	stream    *quic.Stream
	control   *controlReader
	remote    netip.AddrPort
	tag       uint32
	box       *inbox
	tx        *session.Sender
	floor     *congestion.Floor // nil: another controller
	written   int               // bytes of media since needAt
	needAt    time.Time
	outbox    chan []byte    // control messages; see controlQueue
	datagrams chan []byte    // DATAGRAM carriage; full: the session waits, as for the pacer
	plans     chan *fec.Plan // computed off the packet path, one at a time
	planning  bool
	moved     chan handover
	moving    bool

	latency  time.Duration
	now      time.Time
	out      []byte
	spare    []*packet
	blocked  bool
	keyAt    time.Time // newest key frame written
	askedAt  time.Time // newest request for one
	needKey  bool      // picture frames are of no use before the next key frame
	version  int       // of the tracks sent
	tracks   []wire.Track
	configAt [256]time.Time

	rate       congestion.Bitrate
	relayRate  congestion.Bitrate // the relay's own target; 0: none
	raisedAt   time.Time
	theirs     transport.Stats
	began      time.Time // first media
	heardStats bool      // QUIC has brought statistics since
	finishAt   time.Time // Close was called; the end at the latest
	counts     []uint64
	sendErrors uint64
}

// run drives the session until everything is sent after Close (errFinished), the connection is lost, or ctx ends.
//
// Goroutines: the caller's owns the session; one reads the control stream, one writes it; with DATAGRAM carriage one
// reads and one writes frames; at times one computes a plan. All end before run returns.
func (s *sending) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.conn.Context(), func() { cancel(context.Cause(s.conn.Context())) })
	defer stop()
	in := make(chan message, 4)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.control.run(ctx, in); err != nil {
			cancel(fmt.Errorf("quiclink: control stream: %w", err))
		}
	})
	wg.Go(func() { _ = writeControl(ctx, s.stream, s.outbox) })
	if s.datagrams != nil {
		wg.Go(func() { readFrames(ctx, s.conn, s.box) })
		wg.Go(func() { writeFrames(ctx, s.conn, s.datagrams) })
	}
	err := s.loop(ctx, in, &wg)
	if errors.Is(err, errFinished) {
		s.goodbye(ctx, in)
	}
	cancel(err)
	_ = s.conn.CloseWithError(codeBye, "")
	wg.Wait()
	if s.moving {
		s.endHandover(<-s.moved)
	}
	s.path.close()
	for _, p := range s.old {
		p.close()
	}
	if r, ok := refusal(err); ok {
		return r
	}
	return err
}

// refusal is a relay's way to say that it wants no more of us.
func refusal(err error) (*Rejection, bool) {
	e, ok := errors.AsType[*quic.ApplicationError](err)
	if !ok || !e.Remote || e.ErrorCode != codeRefused {
		return nil, false
	}
	return &Rejection{403, e.ErrorMessage}, true
}

func (s *sending) loop(ctx context.Context, in <-chan message, wg *sync.WaitGroup) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	tick := time.NewTicker(targetEvery)
	defer tick.Stop()
	finish := s.client.finish
	for n := 0; ; {
		var err error
		select {
		case <-s.box.wake:
		case <-timer.C:
		case f := <-s.client.frames:
			s.clock(time.Now())
			s.write(f)
		case m := <-in:
			err = s.handleControl(m)
		case <-tick.C:
			if n++; n%int(statsEvery/targetEvery) == 0 {
				s.sendStats()
			}
			s.retarget()
			err = s.lookAtMedia()
			s.client.publish(s)
		case p := <-s.plans:
			s.planning = false
			s.tx.AddPlan(p)
		case done := <-s.client.handover:
			s.beginHandover(ctx, wg, done)
		case h := <-s.moved:
			s.endHandover(h)
		case <-finish:
			finish = nil
			s.finishAt = time.Now().Add(s.latency + grace)
			for len(s.client.frames) > 0 {
				s.clock(time.Now())
				s.write(<-s.client.frames)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		s.clock(time.Now())
		s.takeIn()
		s.sendTracks()
		s.drain()
		if s.tx.KeyframeWanted() {
			s.gaveUp()
		}
		s.plan(wg)
		at := s.tx.NextTimeout()
		if finish == nil && !s.now.Before(s.finishAt) {
			return errFinished
		}
		if at.IsZero() {
			at = s.now.Add(time.Hour)
		}
		if finish == nil && at.After(s.finishAt) {
			at = s.finishAt
		}
		if s.blocked {
			at = s.now.Add(retry)
		}
		timer.Reset(max(0, at.Sub(s.now)))
	}
}

func (s *sending) clock(t time.Time) {
	if t.After(s.now) {
		s.now = t
	}
}

func (s *sending) takeIn() {
	s.spare = s.box.take(s.spare)
	for i, p := range s.spare {
		s.tx.HandleDatagram(s.now, p.bytes())
		putPacket(p)
		s.spare[i] = nil
	}
}

// write takes a frame into the session. Pictures wait for a key frame after a connection was lost.
func (s *sending) write(f *frame) {
	defer framePool.Put(f)
	picture := !f.Codec.IsAudio() && f.Codec != transport.Passthrough
	if picture && s.needKey && !f.Flags.Has(transport.Key) && !f.Flags.Has(transport.Config) {
		s.client.unsent()
		return
	}
	s.sendTracks()
	if s.began.IsZero() {
		s.began = s.now
	}
	if picture && f.Flags.Has(transport.Key) || f.Codec.IsAudio() && s.now.Sub(s.configAt[f.Track]) >= audioConfigEvery {
		s.writeConfig(&f.Frame)
	}
	s.measure(len(f.Data))
	if err := s.tx.WriteFrame(s.now, &f.Frame); err != nil {
		s.client.unsent()
		return
	}
	if picture {
		s.needKey = false
	}
	if picture && f.Flags.Has(transport.Key) {
		s.keyAt = s.now
	}
}

// gaveUp acts on a picture that could not be sent in time and others refer to: what follows it up to the next key frame cannot be
// decoded. Where the path is full that is not sent, so that the key frame is in time (design.md §3, "when the encoder
// cannot be moved"). Was a key frame written since, as far as one can tell, its pictures can.
func (s *sending) gaveUp() {
	if s.floor != nil && s.floor.Crowded() && s.now.Sub(s.keyAt) > s.latency {
		s.needKey = true
	}
	if s.now.Sub(s.askedAt) >= targetEvery {
		s.askedAt = s.now
		s.askKeyframe(0)
	}
}

// needEvery is how long the stream's rate is measured over: ours, a usual GOP, so that one key frame is in it.
const needEvery = 2 * time.Second

// measure tells the controller what the stream takes.
func (s *sending) measure(n int) {
	s.written += n + perFrame
	d := s.now.Sub(s.needAt)
	switch {
	case s.floor == nil:
	case s.needAt.IsZero():
		s.needAt = s.now
	case d >= needEvery:
		s.floor.Need(congestion.Bitrate(float64(s.written) * 8 * wireShare / d.Seconds()))
		s.needAt, s.written = s.now, 0
	}
}

// Ours: a packet of 1200 bytes carries 1130 of media; and each frame has a header, and a packet that is not full.
const (
	wireShare = 1.09
	perFrame  = 100
)

// writeConfig sends a track's configuration in band, before the frame it decodes.
func (s *sending) writeConfig(f *transport.Frame) {
	for i := range s.tracks {
		t := &s.tracks[i]
		if t.ID != f.Track || len(t.Config) == 0 {
			continue
		}
		s.configAt[f.Track] = s.now
		c := *f
		c.Flags = transport.Config | f.Flags&transport.Key
		c.Data = t.Config
		_ = s.tx.WriteFrame(s.now, &c) // no room: the frame behind it has none either, and is counted
	}
}

// sendTracks tells the relay of tracks it does not know yet.
func (s *sending) sendTracks() {
	tracks, version := s.client.tracksNow()
	if version == s.version {
		return
	}
	s.tracks, s.version = tracks, version
	s.send(wire.AppendTracks(nil, tracks))
}

// drain sends what the session lets go.
func (s *sending) drain() {
	for {
		if s.blocked = s.datagrams != nil && len(s.datagrams) == cap(s.datagrams); s.blocked {
			return
		}
		b, ok := s.tx.AppendDatagram(s.out[:0], s.now)
		if !ok {
			return
		}
		if s.datagrams != nil {
			s.datagrams <- append([]byte(nil), b...)
			continue
		}
		if err := s.path.sock.send(b, nil, s.remote); err != nil {
			s.sendErrors++ // like a loss; a path that is gone ends the connection by its idle time-out
			s.client.mu.Lock()
			s.client.stats.SendErrors++
			s.client.mu.Unlock()
		}
	}
}

func (s *sending) send(b []byte) {
	select {
	case s.outbox <- b:
	default:
	}
}

func (s *sending) sendStats() {
	s.counts = counters(s.counts[:0], new(s.tx.Stats()))
	s.send(wire.AppendStats(nil, s.counts))
}

func (s *sending) handleControl(m message) error {
	switch m.kind {
	case wire.ControlStats:
		v, err := wire.ParseStats(m.body)
		if err != nil {
			return fmt.Errorf("%w: stats: %w", errControl, err)
		}
		s.theirs = fromCounters(v)
		s.heardStats = s.heardStats || !s.began.IsZero() && s.now.Sub(s.began) > fallbackAfter/2
	case wire.ControlKeyframe:
		track, err := wire.ParseKeyframe(m.body)
		if err != nil {
			return fmt.Errorf("%w: keyframe: %w", errControl, err)
		}
		s.askKeyframe(track)
	case wire.ControlTarget:
		t, err := wire.ParseTarget(m.body)
		if err != nil {
			return fmt.Errorf("%w: target: %w", errControl, err)
		}
		s.relayRate = congestion.Bitrate(t.Bitrate)
	case wire.ControlBye:
		b, err := wire.ParseBye(m.body)
		if err != nil {
			return fmt.Errorf("%w: bye: %w", errControl, err)
		}
		return &Rejection{b.Code, b.Reason}
	}
	return nil
}

func (s *sending) askKeyframe(track uint8) {
	if f := s.client.cfg.OnKeyframe; f != nil {
		f(track)
	}
}

// retarget tells the encoder what the path carries: down at once, up at most every 500 ms, with hysteresis (design.md §3).
func (s *sending) retarget() {
	rate := s.tx.Target()
	if s.relayRate > 0 {
		rate = min(rate, s.relayRate)
	}
	switch {
	case rate < s.rate-s.rate/100:
	case rate > s.rate+s.rate/20 && s.now.Sub(s.raisedAt) >= 500*time.Millisecond:
		s.raisedAt = s.now
	default:
		return
	}
	s.rate = rate
	if f := s.client.cfg.OnTarget; f != nil {
		f(rate)
	}
}

// lookAtMedia finds out that a network lets QUIC through and not what is beside it.
func (s *sending) lookAtMedia() error {
	if s.client.target.Carriage == Auto && s.datagrams == nil && s.heardStats && s.tx.Stats().Feedback == 0 && s.now.Sub(s.began) > fallbackAfter {
		return errNoMedia
	}
	return nil
}

// plan computes the plan the session lacks, 10 to 100 ms of a core, beside it.
func (s *sending) plan(wg *sync.WaitGroup) {
	if s.planning {
		return
	}
	if setting, wanted := s.tx.PlanWanted(); wanted {
		s.planning = true
		wg.Go(func() { s.plans <- fec.NewPlan(setting) })
	}
}

// goodbye says what was sent and that it is all, and waits until the relay has played it out and says so.
func (s *sending) goodbye(ctx context.Context, in <-chan message) {
	s.sendStats()
	s.send(wire.AppendBye(nil, &wire.Bye{Reason: "the publisher has ended"}))
	close(s.outbox)
	end := time.NewTimer(s.latency + grace + time.Second)
	defer end.Stop()
	for {
		select {
		case m := <-in:
			if m.kind == wire.ControlBye || s.handleControl(m) != nil {
				return
			}
		case <-s.conn.Context().Done():
			return
		case <-ctx.Done():
			return
		case <-end.C:
			return
		}
	}
}
