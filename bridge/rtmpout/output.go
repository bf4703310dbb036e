// Package rtmpout pushes one stream of the hub to one RTMP or RTMPS address, or to the first of several that works, again and again until
// it is told to stop.
//
//	Idle ─▶ Connecting ─▶ Publishing ─▶ Draining ─▶ Stopped
//	            ▲  │          │ ▲ │
//	            │  ▼          ▼ │ ▼ make before break: a second connection is made,
//	          BackingOff ◀── lost │ and publishes from the key frame at which this one ends
//	          Failed: refused for who we are
//
// It dials when the stream has frames to send. Each publish begins with onMetaData, the sequence headers and a key
// frame, and with times rebased so that this key frame is at 0.2 s. When a server asks to reconnect, when Move names other
// addresses, or when it is time to go back to the first address, the old connection publishes up to the key frame that the new one begins with.
//
// A destination that does not read gets what is fresh when it reads again, or nothing: what waits is dropped by hub.Lag, what the kernel holds
// is kept small and looked at, and a connection that takes nothing for Config.WriteTimeout, or holds what is older than MaxBacklog, is reset.
// With a backup, one that acknowledges nothing for FailAfter is left for it. Nobody else notices: an output shares no lock, goroutine or
// buffer with another one.
//
// Memory: the hub's queue, TCP's send buffer (Config.SendBuffer), 4 KiB to read into; twice that while it moves.
//
// What an address says behind a '#' is about the destination: Options.
//
// What it leaves to others: the protocol (rtmp), how addresses are signed (auth; Config.URL is asked at each connect, too), filling gaps (hub), pushing to
// several at once (one Output each).
package rtmpout

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
	"github.com/fairlead-live/fairlead/bridge/tcp"
)

// URL returns an address to push to, with or without Options. It is asked at each connect, so that it can be signed, and by one goroutine at a time.
type URL func() (string, error)

// Config configures an Output; zero values give the defaults named.
type Config struct {
	Hub    *hub.Hub
	Stream string       // app/key in the hub
	URL    URL          // the destination; see Fixed
	Backup []URL        // tried in turn while the one in use is down
	Logger *slog.Logger // nil: silent

	// OnState is told of each new state, and of the error that led to it, if one did; nil: nobody. It must not wait, nor call the output.
	OnState func(s State, lastError string)

	FlashVersion string        // what we call ourselves; rtmp.DefaultFlashVersion
	ChunkSize    int           // 4096
	TLS          *tls.Config   // for rtmps; nil: system roots and the host's name
	DialTimeout  time.Duration // 3 s; 1 s when there is a backup
	Setup        time.Duration // from connected to publishing; 8 s; 1 s when there is a backup
	WriteTimeout time.Duration // one frame; the connection is reset then; 5 s
	SendBuffer   int           // of the kernel, bytes; 512 KiB
	MaxBacklog   time.Duration // how old what the kernel holds may be; the connection is reset then; 6 s
	Lag          hub.Lag       // how old what waits may be; Thin 1 s, Skip 2 s, Fresh 1 s
	MaxStartAge  time.Duration // after a destination was too slow: start with the newest GOP if it began less than this ago, else with the next key frame; 1 s
	FailAfter    time.Duration // with a backup: acknowledging nothing for this long counts as down; 1 s
	Return       time.Duration // on a backup: try the first address again after this long; 1 min, negative: never
	Backoff      Backoff
	Dial         func(ctx context.Context, network, address string) (net.Conn, error) // net.Dialer's
}

func (c *Config) defaults() {
	patience := func(d time.Duration) time.Duration {
		if len(c.Backup) > 0 {
			return time.Second
		}
		return d
	}
	c.DialTimeout = cmp.Or(c.DialTimeout, patience(3*time.Second))
	c.Setup = cmp.Or(c.Setup, patience(8*time.Second))
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 5*time.Second)
	c.SendBuffer = cmp.Or(c.SendBuffer, 512<<10)
	c.MaxBacklog = cmp.Or(c.MaxBacklog, 6*time.Second)
	c.Lag.Skip = cmp.Or(c.Lag.Skip, 2*time.Second)
	c.MaxStartAge = cmp.Or(c.MaxStartAge, time.Second)
	c.FailAfter = cmp.Or(c.FailAfter, time.Second)
	c.Return = cmp.Or(c.Return, time.Minute)
	c.Backoff.defaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
}

// Fixed is a destination that is always the same.
func Fixed(url string) URL { return func() (string, error) { return url, nil } }

// Output is one stream on its way to one destination.
type Output struct {
	cfg  Config
	lead time.Duration // the constant; tests begin elsewhere
	move chan struct{} // capacity 1: destinations has changed

	player       *hub.Player // of what is written, over all connections
	mu           sync.Mutex  // guards what follows
	destinations []*destination
	stats        Stats
	live         *session // the one that publishes
}

// destination is one address and how it has behaved.
type destination struct {
	place   int
	url     URL
	name    string // without secrets
	host    string
	backoff backoffState
	notYet  time.Time // of the next attempt
	failed  bool      // refused for who we are
}

// New returns an output that is not running. It fails on a destination that can never be used (rtmp.ErrURL).
func New(cfg Config) (*Output, error) {
	cfg.defaults()
	to, err := destinationsOf(append([]URL{cfg.URL}, cfg.Backup...))
	if err != nil {
		return nil, err
	}
	cfg.Logger = cfg.Logger.With("stream", cfg.Stream)
	return &Output{cfg: cfg, player: hub.NewPlayer(), lead: lead, move: make(chan struct{}, 1), destinations: to, stats: Stats{Destination: to[0].name}}, nil
}

func destinationsOf(urls []URL) ([]*destination, error) {
	var out []*destination
	for i, u := range urls {
		raw, err := u()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errURL, err)
		}
		raw, _, err = ParseOptions(raw)
		if err != nil {
			return nil, err
		}
		t, err := rtmp.ParseURL(raw)
		if err != nil {
			return nil, err
		}
		out = append(out, &destination{place: i, url: u, name: t.String(), host: t.Host + ":" + t.Port})
	}
	return out, nil
}

// Move changes the destination while the output runs: the old connection publishes up to the key frame that one to the new first address begins
// with. It may be called from anywhere, and fails like New.
func (o *Output) Move(url URL, backup ...URL) error {
	to, err := destinationsOf(append([]URL{url}, backup...))
	if err != nil {
		return err
	}
	o.mu.Lock()
	o.destinations = to
	o.mu.Unlock()
	select {
	case o.move <- struct{}{}:
	default:
	}
	return nil
}

// Run pushes until ctx ends, and returns nil then. It may be called once.
//
// Goroutines: the caller's decides; one makes a connection and two serve each one that publishes, all waited for.
func (o *Output) Run(ctx context.Context) error {
	defer o.set(Stopped)
	for {
		o.set(Idle)
		seat := o.wait(ctx)
		if seat == nil {
			return nil
		}
		o.keep(ctx, seat)
		seat.Close()
	}
}

// wait returns a seat in the stream when that has something to send, nil when ctx has ended.
func (o *Output) wait(ctx context.Context) *hub.Subscriber {
	for ctx.Err() == nil {
		info := o.info()
		info.Wait, info.Player = true, nil
		sub, err := o.cfg.Hub.Subscribe(o.cfg.Stream, info)
		if err == nil {
			_, err = sub.Read(ctx)
			var seat *hub.Subscriber
			if err == nil {
				info = o.info()
				info.Seat = true
				seat, err = o.cfg.Hub.Subscribe(o.cfg.Stream, info)
			}
			sub.Close()
			if err == nil {
				return seat
			}
		}
		// The stream ended before it began, or the hub is full or closed: the latter for good, but ctx says that.
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil
}

// first returns the first destination and how many there are.
func (o *Output) first() (*destination, int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.destinations[0], len(o.destinations)
}

func (o *Output) info() hub.SubscriberInfo {
	o.mu.Lock()
	defer o.mu.Unlock()
	return hub.SubscriberInfo{Protocol: "push", Peer: o.stats.Destination, Lag: o.cfg.Lag, Player: o.player}
}

func (o *Output) set(s State) {
	o.mu.Lock()
	was, why := o.stats.State, o.stats.LastError
	o.stats.State = s
	o.mu.Unlock()
	if was != s {
		if o.cfg.OnState != nil {
			o.cfg.OnState(s, why)
		}
		o.cfg.Logger.Debug("push: state", "from", was.String(), "to", s.String())
	}
}

func (o *Output) update(f func(*Stats)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(&o.stats)
}

// sent counts what a session has sent since last, and how long the last frame of it took; below 0: that says nothing.
func (o *Output) sent(now, last rtmp.FrameStats, took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	st := &o.stats
	if took >= 0 {
		st.Delays.add(took)
	}
	st.Frames += now.Frames - last.Frames
	st.Bytes += now.Bytes - last.Bytes
	st.LeftOut += now.Extra + now.Early + now.NoForm - last.Extra - last.Early - last.NoForm
}

// opened says that a session is the one that publishes now.
func (o *Output) opened(s *session) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.live = s
	o.stats.LastError = ""
	o.stats.Destination, o.stats.Place = s.to.name, s.to.place
}

// closed takes a session's counters over and its subscriber back.
func (o *Output) closed(s *session) {
	s.sub.Close()
	counts := s.sub.Stats().Counts // with what was still queued
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.live == s {
		o.live, o.stats.BacklogAge = nil, 0
	}
	o.stats.Dropped += counts.Dropped
	o.stats.Thinned += counts.Thinned
	o.stats.Gaps += counts.Gaps
}

// Stats returns a snapshot.
func (o *Output) Stats() Stats {
	o.mu.Lock()
	out, s := o.stats, o.live
	o.mu.Unlock()
	out.Stutter = o.player.Report()
	if s != nil {
		st := s.sub.Stats()
		out.Dropped += st.Counts.Dropped
		out.Thinned += st.Counts.Thinned
		out.Gaps += st.Counts.Gaps
		out.Queued, out.Lag = st.Queued, st.Lag
		out.Backlog = tcp.Backlog(s.nc)
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
