package quiclink

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/session"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// State says what a Client is doing.
type State uint8

// States.
const (
	Connecting   State = iota
	Connected          // frames flow
	Reconnecting       // the connection was lost; frames are dropped
	Closed
)

func (s State) String() string {
	if s <= Closed {
		return [...]string{"connecting", "connected", "reconnecting", "closed"}[s]
	}
	return "unknown"
}

// ErrReconnecting is returned for frames written while there is no connection; they are dropped and counted.
var ErrReconnecting = errors.New("quiclink: no connection now, frame dropped")

// DialConfig sets up a Client. The functions are called from its goroutine and must not wait.
type DialConfig struct {
	Agent  string       // who we are, for the relay's log
	Logger *slog.Logger // nil: silent

	OnTarget   func(rate congestion.Bitrate) // what the encoder may make, all tracks together: at each change
	OnKeyframe func(track uint8)             // make a key frame
	OnState    func(s State, err error)      // err: why, nil when all is well

	// Controller makes the congestion controller of each connection; nil: session.Config's.
	Controller func() session.Controller
	NoFEC      bool // resends only
}

// Stats is a snapshot of a Client. Sender and Relay are sums over its connections.
type Stats struct {
	State      State
	Carriage   Carriage        // SRTP or Datagram
	Sender     transport.Stats // our view
	Relay      transport.Stats // the relay's, as of its last message, at most a second old
	RTT        time.Duration   // smoothed
	Latency    time.Duration   // granted
	Target     congestion.Bitrate
	Reconnects int
	Unsent     uint64 // frames dropped here, because there was no connection, no room, or no key frame since
	SendErrors uint64 // datagrams the system refused
	Handovers  int
}

// Client sends one stream to a relay and comes back when its connection is lost. WriteFrame, SetTracks, Stats and Close
// may be called from anywhere.
type Client struct {
	target Target
	cfg    DialConfig
	id     [16]byte
	first  *sending // from Dial, for Run

	frames   chan *frame // full: the application is ahead of us, frames are refused
	handover chan chan error
	finish   chan struct{}
	once     sync.Once

	mu       sync.Mutex // guards what follows
	stats    Stats
	base     [2]transport.Stats // of earlier connections
	tracks   []wire.Track
	version  int // of tracks
	datagram bool
}

// frame is a copy of what was written.
type frame struct {
	transport.Frame
	data []byte
}

var framePool = sync.Pool{New: func() any { return new(frame) }}

// frameQueue bounds what waits for the session's goroutine, which takes it at once unless it is busy: 1 s of a usual stream.
const frameQueue = 80

// Dial connects to the relay a URL names. The error wraps a *Rejection when the relay turned us away, ErrPin when its
// key is another. Run must be called then.
func Dial(ctx context.Context, rawURL string, cfg DialConfig) (*Client, error) {
	target, err := ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	return DialTarget(ctx, target, cfg)
}

// DialTarget is Dial with the URL taken apart.
func DialTarget(ctx context.Context, target Target, cfg DialConfig) (*Client, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	target.Latency = cmp.Or(target.Latency, defaultLatency)
	c := &Client{
		target: target, cfg: cfg, frames: make(chan *frame, frameQueue),
		handover: make(chan chan error), finish: make(chan struct{}), datagram: target.Carriage == Datagram,
	}
	rand.Read(c.id[:])
	s, err := c.connect(ctx, false)
	if err != nil {
		return nil, err
	}
	c.first = s
	c.setState(Connected, nil)
	return c, nil
}

// Run drives the session until Close has been called and everything sent has been accounted for (nil), ctx ends (its
// cause), or the relay wants no more of us (a *Rejection). Lost connections are made again, without end.
//
// Goroutines: the caller's owns the session; those of sending.run around it.
func (c *Client) Run(ctx context.Context) error {
	err := c.drive(ctx)
	if errors.Is(err, errFinished) {
		err = nil
	}
	c.setState(Closed, err)
	c.once.Do(func() { close(c.finish) })
	return err
}

// reconnect are the pauses before each attempt: ours; the last one goes on.
var reconnect = []time.Duration{0, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}

func (c *Client) drive(ctx context.Context) error {
	s := c.first
	for {
		err := s.run(ctx)
		c.settle(s)
		switch {
		case errors.Is(err, errFinished), ctx.Err() != nil, fatal(err):
			return err
		case errors.Is(err, errNoMedia):
			c.mu.Lock()
			c.datagram = true
			c.mu.Unlock()
			c.cfg.Logger.Warn("media beside QUIC does not arrive: it goes on in QUIC DATAGRAM frames", "peer", c.target.Addr)
		}
		c.setState(Reconnecting, err)
		if s, err = c.again(ctx); err != nil {
			return err
		}
		c.mu.Lock()
		c.stats.Reconnects++
		c.mu.Unlock()
		c.setState(Connected, nil)
		if c.cfg.OnKeyframe != nil {
			c.cfg.OnKeyframe(0)
		}
	}
}

// again connects until it succeeds, it never can, or nobody wants it any more.
func (c *Client) again(ctx context.Context) (*sending, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { // ends with this call
		select {
		case <-c.finish:
			cancel(errFinished)
		case <-ctx.Done():
		}
	}()
	for i := 0; ; i++ {
		select {
		case <-time.After(reconnect[min(i, len(reconnect)-1)]):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		s, err := c.connect(ctx, true)
		if err == nil {
			return s, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if fatal(err) {
			return nil, err
		}
		c.setState(Reconnecting, err)
		c.cfg.Logger.Info("relay not reached", "peer", c.target.Addr, "err", err)
	}
}

// fatal reports whether no further attempt can succeed.
func fatal(err error) bool {
	if r, ok := errors.AsType[*Rejection](err); ok {
		return r.Status < 500 && r.Status != 409 && r.Status != 429
	}
	return errors.Is(err, ErrPin)
}

// WriteFrame sends a frame. Borrows f and its data. transport.ErrQueueFull and ErrReconnecting: it was dropped.
func (c *Client) WriteFrame(f *transport.Frame) error {
	c.mu.Lock()
	state := c.stats.State
	c.mu.Unlock()
	switch state {
	case Closed:
		return transport.ErrClosed
	case Reconnecting:
		c.unsent()
		return ErrReconnecting
	}
	select {
	case <-c.finish:
		return transport.ErrClosed
	default:
	}
	w := framePool.Get().(*frame)
	w.data = append(w.data[:0], f.Data...)
	w.Frame = *f
	w.Data = w.data
	if w.Capture.IsZero() {
		w.Capture = time.Now()
	}
	select {
	case c.frames <- w:
		return nil
	default:
		framePool.Put(w)
		c.unsent()
		return transport.ErrQueueFull
	}
}

func (c *Client) unsent() {
	c.mu.Lock()
	c.stats.Unsent++
	c.mu.Unlock()
}

// SetTracks says what the tracks are and how to decode them. Takes tracks. It is called before the first frame and
// whenever something of it changes.
func (c *Client) SetTracks(tracks []wire.Track) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tracks = slices.Clone(tracks)
	c.version++
}

func (c *Client) tracksNow() ([]wire.Track, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tracks, c.version
}

// Stats returns a snapshot, at most 200 ms old.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Close ends the stream: what has been written is still sent, repaired and accounted for, then Run returns. It may be
// called twice.
func (c *Client) Close() error {
	c.once.Do(func() { close(c.finish) })
	return nil
}

// Handover moves the session to a new socket, on whatever network the system sends through now: QUIC validates the new path
// first, so that no frame is lost. It waits until that is done.
func (c *Client) Handover(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case c.handover <- done:
	case <-c.finish:
		return transport.ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Client) setState(s State, err error) {
	c.mu.Lock()
	same := c.stats.State == s && err == nil
	c.stats.State = s
	c.mu.Unlock()
	if c.cfg.OnState != nil && !same {
		c.cfg.OnState(s, err)
	}
}

// publish takes a connection's numbers into the snapshot.
func (c *Client) publish(s *sending) {
	sender := s.tx.Stats()
	rtt := s.conn.ConnectionStats().SmoothedRTT
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Sender, c.stats.Relay = c.base[0], c.base[1]
	add(&c.stats.Sender, &sender)
	add(&c.stats.Relay, &s.theirs)
	c.stats.RTT, c.stats.Target, c.stats.Latency = rtt, s.rate, s.latency
	c.stats.Carriage = SRTP
	if s.datagrams != nil {
		c.stats.Carriage = Datagram
	}
}

// settle keeps the numbers of a connection that has ended.
func (c *Client) settle(s *sending) {
	c.publish(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base = [2]transport.Stats{c.stats.Sender, c.stats.Relay}
}

// add sums two snapshots.
func add(a, b *transport.Stats) {
	for _, p := range [...]struct {
		to   *uint64
		from uint64
	}{
		{&a.Sent, b.Sent}, {&a.Delivered, b.Delivered}, {&a.Recovered, b.Recovered}, {&a.Late, b.Late}, {&a.Lost, b.Lost},
		{&a.InFlight, b.InFlight}, {&a.RecoveredByResend, b.RecoveredByResend}, {&a.RecoveredByRepair, b.RecoveredByRepair},
		{&a.FramesSent, b.FramesSent}, {&a.FramesDelivered, b.FramesDelivered}, {&a.FramesLost, b.FramesLost},
		{&a.BytesSent, b.BytesSent}, {&a.BytesReceived, b.BytesReceived}, {&a.SourceBytes, b.SourceBytes},
		{&a.Datagrams, b.Datagrams}, {&a.Resends, b.Resends}, {&a.Repairs, b.Repairs}, {&a.Probes, b.Probes}, {&a.Feedback, b.Feedback},
	} {
		*p.to += p.from
	}
	for i, n := range b.Drops {
		a.Drops[i] += n
	}
}

// connectError says what was being done.
func connectError(addr string, err error) error {
	return fmt.Errorf("quiclink: connect to %s: %w", addr, err)
}
