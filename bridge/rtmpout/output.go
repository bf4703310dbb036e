// Package rtmpout pushes one stream of the hub to one RTMP or RTMPS address, again and again until it is told to stop.
//
//	Waiting ─▶ Dialing ─▶ Connecting ─▶ Live ─▶ Backoff ─┐     Parked: refused for who we are
//	   ▲          ▲                                      │
//	   └──────────┴──────────────────────────────────────┘
//
// It dials when the stream has frames to send. Each publish begins with onMetaData, the sequence headers and a key
// frame, and with times rebased so that this key frame is at 0.2 s. A destination that does not read costs it
// whole GOPs, which the hub's queue drops and counts, then its connection; nobody else notices.
//
// Memory: the hub's queue, TCP's send buffer (Config.SendBuffer), 32 KiB to read into.
//
// What it leaves to others: the protocol (rtmp), signing addresses (Config.URL is asked at each connect), filling gaps.
package rtmpout

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
	"github.com/fairlead-live/fairlead/bridge/tcp"
)

// Config configures an Output; zero values give the defaults named.
type Config struct {
	Hub    *hub.Hub
	Stream string                 // app/key in the hub
	URL    func() (string, error) // the destination, asked at each connect so that it can be signed; see Fixed
	Logger *slog.Logger           // nil: silent

	FlashVersion string        // what we call ourselves; rtmp.DefaultFlashVersion
	ChunkSize    int           // 4096
	TLS          *tls.Config   // for rtmps; nil: system roots and the host's name
	DialTimeout  time.Duration // 3 s
	Setup        time.Duration // from connected to publishing; 8 s
	WriteTimeout time.Duration // one write; the connection is reset then; 8 s
	SendBuffer   int           // of the kernel, bytes; 512 KiB
	MaxStartAge  time.Duration // a reconnect starts with the newest GOP if it began less than this ago, else with the next key frame; 1 s
	Backoff      Backoff
	Dial         func(ctx context.Context, network, address string) (net.Conn, error) // net.Dialer's
}

func (c *Config) defaults() {
	c.DialTimeout = cmp.Or(c.DialTimeout, 3*time.Second)
	c.Setup = cmp.Or(c.Setup, 8*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 8*time.Second)
	c.SendBuffer = cmp.Or(c.SendBuffer, 512<<10)
	c.MaxStartAge = cmp.Or(c.MaxStartAge, time.Second)
	c.Backoff.defaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
}

// Fixed is a destination that is always the same.
func Fixed(url string) func() (string, error) { return func() (string, error) { return url, nil } }

// Output is one stream on its way to one destination.
type Output struct {
	cfg  Config
	lead time.Duration // the constant; tests begin elsewhere

	mu    sync.Mutex // guards what follows
	stats Stats
	sub   *hub.Subscriber // of the session that is live
	conn  net.Conn        // of the session that is live
}

// New returns an output that is not running. It fails on a destination that can never be used (rtmp.ErrURL).
func New(cfg Config) (*Output, error) {
	cfg.defaults()
	raw, err := cfg.URL()
	if err != nil {
		return nil, fmt.Errorf("rtmpout: destination: %w", err)
	}
	t, err := rtmp.ParseURL(raw)
	if err != nil {
		return nil, err
	}
	cfg.Logger = cfg.Logger.With("stream", cfg.Stream, "to", t.String())
	return &Output{cfg: cfg, lead: lead, stats: Stats{Destination: t.String()}}, nil
}

// Run pushes until ctx ends, and returns nil then. It may be called once.
//
// Goroutines: the caller's sends; one that reads from the server ends with each session.
func (o *Output) Run(ctx context.Context) error {
	defer o.set(Stopped)
	var b backoffState
	var redirect string
	for {
		o.set(Waiting)
		if !o.wait(ctx) {
			return nil
		}
		began := time.Now()
		var live time.Duration
		s, err := o.connect(ctx, redirect)
		if err == nil {
			o.update(func(st *Stats) { st.Publishes++; st.LastError = "" })
			o.cfg.Logger.Info("push: live", "after_ms", time.Since(began).Milliseconds())
			began = time.Now()
			err = s.run(ctx)
			live = time.Since(began)
		}
		if ctx.Err() != nil {
			return nil
		}
		cause := causeOf(err)
		redirect = ""
		if cause == CauseRedirect && b.redirects < maxRedirects {
			redirect = redirectOf(err)
		}
		delay := b.next(&o.cfg.Backoff, cause, live, rand.Float64())
		o.update(func(st *Stats) {
			st.Ended[cause]++
			st.LastError = err.Error()
			st.State = BackingOff
			if cause == CauseAuth {
				st.State = Parked
			}
		})
		switch cause {
		case CauseStreamEnd:
			o.cfg.Logger.Info("push: stream ended")
		case CauseAuth:
			o.cfg.Logger.Error("push: refused for who we are", "cause", cause.String(), "err", err, "retry_ms", delay.Milliseconds())
		default:
			o.cfg.Logger.Warn("push: down", "cause", cause.String(), "err", err, "live_ms", live.Milliseconds(), "retry_ms", delay.Milliseconds())
		}
		if delay > 0 {
			select {
			case <-time.After(delay):
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// wait returns true when the stream has something to send.
func (o *Output) wait(ctx context.Context) bool {
	for ctx.Err() == nil {
		sub, err := o.cfg.Hub.Subscribe(o.cfg.Stream, o.info(true))
		if err == nil {
			_, err = sub.Read(ctx)
			sub.Close()
			if err == nil {
				return true
			}
		}
		// The stream ended before it began, or the hub is full or closed: the latter for good, but ctx says that.
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return false
}

func (o *Output) info(wait bool) hub.SubscriberInfo {
	return hub.SubscriberInfo{Protocol: "push", Peer: o.stats.Destination, Wait: wait}
}

func (o *Output) set(s State) { o.update(func(st *Stats) { st.State = s }) }

func (o *Output) update(f func(*Stats)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(&o.stats)
}

// Stats returns a snapshot.
func (o *Output) Stats() Stats {
	o.mu.Lock()
	out, sub, conn := o.stats, o.sub, o.conn
	o.mu.Unlock()
	if sub != nil {
		st := sub.Stats()
		out.Dropped += st.Counts.Dropped
		out.Gaps += st.Counts.Gaps
		out.Queued, out.Lag = st.Queued, st.Lag
	}
	if conn != nil {
		out.Backlog = tcp.Backlog(conn)
	}
	return out
}

// redirectOf returns the address a server sent us to.
func redirectOf(err error) string {
	if st, ok := errors.AsType[*rtmp.StatusError](err); ok {
		return st.Redirect
	}
	if m, ok := errors.AsType[*movedError](err); ok {
		return m.tcURL
	}
	return ""
}
