// Package push sends one live input to one or more relays or servers: what `fairlead push` does.
//
//	file, stdin, UDP, exec ─▶ ingest, flv ─┐          ┌─▶ quiclink (fairlead://)
//	rtmpserver, srtlink ───────────────────┴─▶ hub ───┼─▶ mpegts ─▶ srtlink (srt://)
//	                                                  └─▶ rtmpout (rtmp://, rtmps://)
//	encoder ◀── exec, shaped RTMP, feedback (HTTP) ◀── advise ◀── targets of the outputs
//
// The hub between them gives each output a queue of its own, so that a slow one delays nobody.
//
// What it leaves to others: flags, signals, the status line and exit codes (cmd/fairlead), each protocol (its package).
package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/feedback"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/congestion"
)

// Errors that say which side failed.
var (
	ErrInput   = errors.New("input")                // it cannot be read, or holds no media
	ErrRefused = errors.New("refused")              // the other side wants no stream of ours
	ErrReach   = errors.New("cannot be reached")    // nobody answered within Config.Connect
	errNothing = errors.New("no media found in it") // wrapped with ErrInput
)

// Config sets up a Push.
type Config struct {
	Input     string                       // a file, "-", rtmp://:PORT/APP/KEY, srt://:PORT, udp://:PORT, exec:COMMAND
	URLs      []string                     // fairlead://…, srt://…, rtmp://…, rtmps://…; URL|URL: the first that works
	Loop      bool                         // a file again and again
	Connect   time.Duration                // how long to try to reach an output at first; 10 s
	Stdin     io.Reader                    // of "-"
	Source    func() (*media.Frame, error) // instead of Input: frames until io.EOF; they are sent in real time
	Logger    *slog.Logger                 // nil: silent
	Agent     string                       // what we call ourselves
	HTTP      string                       // address for GET /v1/streams/APP/KEY/feedback; empty: off
	SRTCaller string                       // srtlink.Own or GoSRT, kept for comparison; empty: Own
	Encoder   Encoder                      // of inputs whose encoder we move

	Patience   time.Duration // of a chain URL|URL: how long a way may carry nothing before the next is taken; 4 s
	ProbeEvery time.Duration // of a chain: how often an earlier way is asked whether it answers again; 5 s
}

// Encoder says how an encoder is moved. Rates are of its pictures; zero values give the defaults named.
type Encoder struct {
	Control Control            // of exec:
	Start   congestion.Bitrate // what exec: begins with; 2.5 Mbit/s
	Min     congestion.Bitrate // 300 kbit/s
	Max     congestion.Bitrate // 6 Mbit/s
	Shape   bool               // rtmp:// is read no faster than the target
}

// Push is one input on its way to its outputs.
type Push struct {
	cfg     Config
	hub     *hub.Hub
	input   input
	outputs []output
	name    string // of the stream in the hub
	verdict verdict

	board     *feedback.Board
	keyframes chan struct{} // an output asks for one
	http      net.Listener  // nil: off
}

// input feeds the hub until it ends (nil), fails or ctx ends.
type input interface {
	run(ctx context.Context, h *hub.Hub, name string) error
}

// output takes the stream somewhere.
type output interface {
	// open connects, before the input begins.
	open(ctx context.Context) error
	// run sends what the stream has until it ends and is sent (nil), ctx ends, or no further attempt can succeed.
	run(ctx context.Context, h *hub.Hub, name string) error
	// status is for Status and may be called from anywhere.
	status() Status
	close()
}

// New checks the words and opens what listens. Errors of words wrap config.ErrUsage.
func New(cfg Config) (*Push, error) {
	cfg.Connect = cmp.Or(cfg.Connect, 10*time.Second)
	cfg.Patience, cfg.ProbeEvery = cmp.Or(cfg.Patience, defaultPatience), cmp.Or(cfg.ProbeEvery, defaultProbe)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if len(cfg.URLs) == 0 {
		return nil, fmt.Errorf("%w: where to? give a URL: fairlead://…, srt://… or rtmp://…", config.ErrUsage)
	}
	p := &Push{cfg: cfg, name: "push/input", board: feedback.NewBoard(), keyframes: make(chan struct{}, 1)}
	hold := time.Millisecond // an input that ends has ended
	var err error
	if p.input, err = p.newInput(); err != nil {
		return nil, err
	}
	if l, ok := p.input.(*listening); ok {
		p.name, hold = l.name, 5*time.Minute // an encoder that reconnects finds its outputs as they were
	}
	p.hub = hub.New(hub.Config{Hold: hold})
	for _, u := range cfg.URLs {
		out, err := p.newOutput(u)
		if err != nil {
			return nil, err
		}
		p.outputs = append(p.outputs, out)
	}
	p.verdict.wanted(cfg.URLs)
	if err := p.listenHTTP(); err != nil {
		return nil, err
	}
	return p, nil
}

// Name is the stream's own, APP/KEY.
func (p *Push) Name() string { return p.name }

// Run pushes until the input has ended and everything is sent, or ctx ends: nil. It returns the first output's error when
// one can never succeed, after the others have ended; with one output, at once.
//
// Goroutines: the input's, and one for each output; those of the protocols; one that advises the encoder, and the HTTP server.
func (p *Push) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer func() {
		for _, o := range p.outputs {
			o.close()
		}
		_ = p.hub.Close()
	}()
	var beside sync.WaitGroup // what serves the others: it ends when they have
	defer beside.Wait()
	defer cancel(nil)
	if p.http != nil {
		beside.Go(func() {
			if err := p.serveHTTP(ctx); err != nil {
				p.cfg.Logger.Error("http", "err", err)
			}
		})
	}
	if err := p.open(ctx); err != nil {
		return ended(ctx, err)
	}
	beside.Go(func() { p.advise(ctx) })
	var wg sync.WaitGroup
	errs := make([]error, len(p.outputs)+1)
	left := len(p.outputs)
	var mu sync.Mutex // guards left
	for i, o := range p.outputs {
		wg.Go(func() {
			if errs[i] = o.run(ctx, p.hub, p.name); errs[i] != nil && ctx.Err() == nil {
				p.cfg.Logger.Error("output ended", "to", o.status().To, "err", errs[i])
			}
			mu.Lock()
			defer mu.Unlock()
			if left--; left == 0 { // nobody is left to read for
				cancel(nil)
			}
		})
	}
	wg.Go(func() {
		err := p.input.run(ctx, p.hub, p.name)
		p.verdict.decide(false) // it ended before anybody knew what it is
		if err != nil && ctx.Err() == nil {
			errs[len(p.outputs)] = fmt.Errorf("%w: %w", ErrInput, err)
			cancel(errs[len(p.outputs)])
		}
	})
	wg.Wait()
	for _, err := range errs {
		if err = ended(ctx, err); err != nil {
			return err
		}
	}
	return nil
}

// ended is err without what only says that it was told to stop.
func ended(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return nil
	}
	return err
}

// open connects every output, all at once.
func (p *Push) open(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, len(p.outputs))
	for i, o := range p.outputs {
		wg.Go(func() { errs[i] = p.reach(ctx, o) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// reach tries until Connect has passed.
func (p *Push) reach(ctx context.Context, o output) error {
	trying, cancel := context.WithTimeout(ctx, p.cfg.Connect)
	defer cancel()
	var last error // of an attempt that had its time
	for {
		err := o.open(trying)
		if err == nil || refused(err) || ctx.Err() != nil {
			return err
		}
		if trying.Err() == nil {
			last = err
			p.cfg.Logger.Info("not reached", "to", o.status().To, "err", err)
			select {
			case <-time.After(500 * time.Millisecond):
			case <-trying.Done():
			}
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case trying.Err() == nil:
		case inUse(last): // whoever has the name has not left meanwhile
			return fmt.Errorf("%s %w: %w", o.status().To, ErrRefused, last)
		case last != nil:
			return fmt.Errorf("%s %w: %w", o.status().To, ErrReach, last)
		default:
			return fmt.Errorf("%s %w: no answer within %v", o.status().To, ErrReach, p.cfg.Connect)
		}
	}
}

// Status is a snapshot of one output. Counters are since the start.
type Status struct {
	To     string // the destination, without secrets
	State  string
	Detour string // why another way than the first of a chain is taken; empty: it is the first

	FramesSent uint64
	Unsent     uint64 // frames dropped here: no connection, or the path carries less than the input makes
	InputBytes uint64 // payload of what the input made and was not skipped; the same for every output
	Skipped    uint64 // pictures of a shaped input that were too late to be sent to anybody; the same for every output
	SendBytes  uint64 // on the wire without IP and UDP headers, as far as the protocol tells

	// Of fairlead:// only; of the path, as of the relay's last statistics.
	HasPath         bool
	Carriage        string
	RTT             time.Duration
	Packets         uint64 // source packets sent
	Delivered       uint64 // that arrived when sent first, and in time; this and the next six as the relay says, once a second
	RecoveredFEC    uint64
	RecoveredResend uint64
	Late            uint64
	Lost            uint64
	FramesDelivered uint64
	FramesLost      uint64
	Target          int64         // bits/s; of srt:// too
	Reason          string        // of Target; congestion.Reason's words
	Queue           time.Duration // that stands at the bottleneck
	Loss            float64       // usual loss ratio, 0..1
	Reconnects      int
	Feedback        uint64 // the relay's reports that arrived
	FeedbackBytes   uint64 // of them, without IP and UDP headers

	// Of fairlead:// and srt://; of the latter Packets counts as well.
	Resent uint64 // packets sent again
	Parity uint64 // repair symbols; packets of the packet filter
}

// Status returns a snapshot of every output, in the order of the URLs.
func (p *Push) Status() []Status {
	out := make([]Status, len(p.outputs))
	var read uint64
	for _, s := range p.hub.Streams() { // one
		if s.TS != nil {
			read += s.TS.Bytes
			continue
		}
		read += s.Counts.Bytes
	}
	for i, o := range p.outputs {
		out[i] = o.status()
		out[i].InputBytes = read
		if l, ok := p.input.(*listening); ok && l.shape != nil {
			out[i].Skipped = l.shape.skipped()
		}
	}
	return out
}
