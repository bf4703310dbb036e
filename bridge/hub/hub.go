// Package hub is where streams meet: one publisher a key on one side, any number of subscribers on the other.
//
// A stream keeps its timeline, its newest group of pictures (GOP) and its subscribers while publishers come and go within
// Config.Hold: who stayed gets the next publisher's frames on a timeline that continues. Every subscriber has a
// queue of its own; one that is full loses whole GOPs, is counted, and delays nobody.
//
// Memory per stream: one GOP of at most Config.GOPBytes, shared with the queues by reference; per subscriber
// Config.QueueBytes and references to the GOP it started with. A publisher of MPEG-TS may hand on its packets as well (WriteTS), untouched,
// for who wants them as they came (SubscribeTS): 8 MB for who joins, and as much again for the slowest of them.
//
// What it leaves to others: formats (flv, mpegts), sockets, who may publish (the servers ask before they come here).
package hub

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"
)

// Errors callers test for.
var (
	ErrInUse    = errors.New("hub: the key has a publisher already")
	ErrNoStream = errors.New("hub: no such stream")
	ErrReplaced = errors.New("hub: replaced by a newer publisher of the same key")
	ErrClosed   = errors.New("hub: closed")
	ErrFull     = errors.New("hub: too many streams")

	ErrSucceeded = errors.New("hub: another subscriber goes on from here")
	ErrSlow      = errors.New("hub: it did not read as fast as the stream comes")
)

// Config sets the bounds of a hub; zero values give the defaults named.
type Config struct {
	GOPBytes   int                        // cache: at most one GOP and this many payload bytes; 8 MB
	QueueBytes int                        // a subscriber's queue, beyond the GOP it started with; 8 MB
	QueueTime  time.Duration              // a subscriber's queue in media time, beyond the GOP it started with; 3 s
	Hold       time.Duration              // a stream without publisher keeps its subscribers this long; 20 s
	Idle       time.Duration              // a publisher silent for longer gives way to a new one; 2 s
	MaxStreams int                        // 10,000
	Takeover   func(name string) Takeover // asked when a second publisher of name comes; it must not wait; nil: TakeIdle with Idle
	Slate      *Slate                     // shown while a publisher of the same codec is gone; nil: its last key frame
	Now        func() time.Time

	// Notify is told what changes; nil: nobody. A stream's lock is held: it must not wait, nor call the hub.
	Notify func(Change)
}

func (c *Config) defaults() {
	c.GOPBytes = cmp.Or(c.GOPBytes, 8<<20)
	c.QueueBytes = cmp.Or(c.QueueBytes, 8<<20)
	c.QueueTime = cmp.Or(c.QueueTime, 3*time.Second)
	c.Hold = cmp.Or(c.Hold, 20*time.Second)
	c.Idle = cmp.Or(c.Idle, 2*time.Second)
	c.MaxStreams = cmp.Or(c.MaxStreams, 10_000)
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Hub is the registry of streams. Its methods may be called from anywhere.
type Hub struct {
	cfg  Config
	zero time.Time // of the clock that queues use

	mu      sync.Mutex // guards what follows; never held together with a stream's lock
	streams map[string]*stream
	closed  bool
}

// New makes an empty hub.
func New(cfg Config) *Hub {
	cfg.defaults()
	return &Hub{cfg: cfg, zero: cfg.Now(), streams: map[string]*stream{}}
}

func (h *Hub) now() time.Duration { return h.sinceZero(h.cfg.Now()) }

func (h *Hub) sinceZero(now time.Time) time.Duration { return now.Sub(h.zero) }

// Publish makes the caller the publisher of name ("app/key"). ErrInUse: another one is there and
// keeps the key (Config.Takeover).
func (h *Hub) Publish(name string, info PublisherInfo) (*Publisher, error) {
	for {
		s, err := h.stream(name, true)
		if err != nil {
			return nil, err
		}
		p, err := s.publish(info)
		if !errors.Is(err, errGone) {
			return p, err
		}
	}
}

// Subscribe joins name. ErrNoStream: nobody publishes it and info.Wait is not set.
func (h *Hub) Subscribe(name string, info SubscriberInfo) (*Subscriber, error) {
	for {
		s, err := h.stream(name, info.Wait)
		if err != nil {
			return nil, err
		}
		sub, err := s.subscribe(info)
		if !errors.Is(err, errGone) {
			return sub, err
		}
	}
}

// errGone says that a stream ended between look-up and use; look it up again.
var errGone = errors.New("hub: stream gone")

func (h *Hub) stream(name string, create bool) (*stream, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	s := h.streams[name]
	if s == nil && !create {
		return nil, ErrNoStream
	}
	if s == nil {
		if len(h.streams) >= h.cfg.MaxStreams {
			return nil, ErrFull
		}
		s = newStream(h, name)
		h.streams[name] = s
	}
	return s, nil
}

func (h *Hub) forget(s *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams[s.name] == s {
		delete(h.streams, s.name)
	}
}

func (h *Hub) all() []*stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]*stream, 0, len(h.streams))
	for _, s := range h.streams {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *stream) int { return cmp.Compare(a.name, b.name) })
	return out
}

// Len is how many streams there are, published or waited for.
func (h *Hub) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.streams)
}

// Close ends every stream: publishers get ErrClosed, subscribers what is queued and then io.EOF.
func (h *Hub) Close() error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	for _, s := range h.all() {
		s.end(ErrClosed)
	}
	return nil
}

// Streams returns a snapshot of every stream, by name.
func (h *Hub) Streams() []StreamStats {
	var out []StreamStats
	for _, s := range h.all() {
		out = append(out, s.stats())
	}
	return out
}

// Publishing reports whether name has a publisher.
func (h *Hub) Publishing(name string) bool {
	s, err := h.stream(name, false)
	return err == nil && s.stats().Publisher != nil
}
