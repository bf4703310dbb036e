package quiclink

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
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

	// OnTarget: what the encoder may make, all tracks together; down at once, up at most every 500 ms, and repeated every 200 ms.
	OnTarget   func(rate congestion.Bitrate, why congestion.Reason)
	OnKeyframe func(track uint8)        // make a key frame
	OnState    func(s State, err error) // err: why, nil when all is well

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
	Reason     string        // of Target: what the controller is doing, congestion.Reason's words; empty: unknown
	Queue      time.Duration // that stands at the bottleneck
	Loss       float64       // usual loss ratio of the path, 0..1
	Reconnects int
	Unsent     uint64 // frames dropped here, because there was no connection, no room, or no key frame since
	SendErrors uint64 // datagrams the system refused
	Handovers  int
	Drains     int // moves to another relay, because one was going away
	MTU        int // bytes of UDP payload of the longest datagram
}

// Client sends one stream to a relay and comes back when its connection is lost. WriteFrame, SetTracks, Stats and Close
// may be called from anywhere.
type Client struct {
	cfg   DialConfig
	id    [16]byte
	first *sending // from Dial, for Run

	frames   chan *frame // full: the application is ahead of us, frames are refused
	handover chan chan error
	finish   chan struct{}
	once     sync.Once

	mu     sync.Mutex // guards what follows
	target Target
	stats  Stats
	base   [2]transport.Stats              // sender's and relay's, of sessions that have ended
	live   map[*sending][2]transport.Stats // of those that have not
	lostAt time.Time                       // when the connection was lost
	gap    bool                            // frames have been refused since

	reports  uint64    // that had come when the newest did
	heardAt  time.Time // when that was
	sentThen uint64    // frames until then
	tracks   []wire.Track
	version  int // of tracks
	datagram bool
	packet   int // path MTU that the next connection begins with; 0: QUIC's own
	inside   inside
	every    time.Duration // backEvery, shorter in tests
	wait     time.Duration // before media inside QUIC is tried beside it again; 0: it has never been inside
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
	target.Latency, target.Most = cmp.Or(target.Latency, defaultLatency), cmp.Or(target.Most, defaultMost)
	c := &Client{
		target: target, cfg: cfg, frames: make(chan *frame, frameQueue),
		handover: make(chan chan error), finish: make(chan struct{}), datagram: target.Carriage == Datagram, every: backEvery,
		live: map[*sending][2]transport.Stats{},
	}
	rand.Read(c.id[:])
	s, err := c.connect(ctx, target, nil)
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

func (c *Client) targetNow() Target {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.target
}

// WriteFrame sends a frame. Borrows f and its data. transport.ErrQueueFull and ErrReconnecting: it was dropped. While the
// connection is being made again, frames wait for up to a latency.
func (c *Client) WriteFrame(f *transport.Frame) error {
	c.mu.Lock()
	state := c.stats.State
	c.inside.written += uint64(len(f.Data))
	if state == Reconnecting && (c.gap || time.Since(c.lostAt) > c.stats.Latency || len(c.frames) == cap(c.frames)) {
		c.gap = true
		c.stats.Unsent++
		c.mu.Unlock()
		return ErrReconnecting
	}
	c.mu.Unlock()
	if state == Closed {
		return transport.ErrClosed
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
	if s == Reconnecting && c.stats.State != s {
		c.lostAt = time.Now()
	}
	c.stats.State = s
	c.mu.Unlock()
	if c.cfg.OnState != nil && !same {
		c.cfg.OnState(s, err)
	}
}
