package hub

import (
	"errors"
	"io"
	"slices"
	"time"
)

const (
	// tsCache bounds what a stream keeps of a transport stream for who joins: 1.6 s of 40 Mbit/s.
	tsCache = 8 << 20
	// tsQueue bounds what waits for a reader of a transport stream, beyond what it began with. Ours: as Config.QueueBytes.
	tsQueue = 8 << 20
)

// TSPiece is a run of whole MPEG-TS packets as they came. It is immutable.
type TSPiece struct {
	Data   []byte
	Time   time.Duration // on the stream's own clock, where its publisher knows it; nobody here asks
	Tables bool          // begins with a PAT
	Key    bool          // a picture that can be decoded without others begins in it
}

// cost is what a piece takes of the bounds.
func (p *TSPiece) cost() int { return cap(p.Data) + overhead }

// passage is the transport stream of a publisher on its way through, beside the frames that were found in it. It is guarded by stream.mu.
//
// Who joins begins with the newest PAT in front of the newest key picture, or with the newest PAT where pictures are not marked, and misses nothing behind it.
type passage struct {
	on     bool      // the publisher's frames, if any, are of a transport stream that is passed through
	cache  []TSPiece // from where who joins begins
	bytes  int       // of it
	tables int       // index in it of the newest that begins with a PAT; -1: none
	keys   bool      // pictures are marked
	subs   []*TSSubscriber
	total  uint64 // bytes that came
}

// WriteTS hands over the next piece of the transport stream that this publisher's frames are in; it takes it. It must come before the frames of the piece: with
// the first one the stream is one that SubscribeTS joins. Errors as of WriteFrame.
func (p *Publisher) WriteTS(piece TSPiece) error {
	s := p.stream
	now := s.hub.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.publisher != p {
		return p.err
	}
	p.heard, p.passing = now, true
	t := &s.ts
	t.on = true
	t.total += uint64(len(piece.Data))
	t.remember(piece)
	for i := 0; i < len(t.subs); { // offer may take it out
		if sub := t.subs[i]; sub.offer(piece) {
			i++
		}
	}
	return nil
}

// SubscribeTS joins the transport stream of name. ErrNoStream: nobody publishes one, and info.Wait is not set.
func (h *Hub) SubscribeTS(name string, info SubscriberInfo) (*TSSubscriber, error) {
	for {
		s, err := h.stream(name, info.Wait)
		if err != nil {
			return nil, err
		}
		sub, err := s.subscribeTS(info)
		if !errors.Is(err, errGone) {
			return sub, err
		}
	}
}

func (s *stream) subscribeTS(info SubscriberInfo) (*TSSubscriber, error) {
	now := s.hub.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.gone:
		return nil, errGone
	case !info.Wait && (s.publisher == nil || !s.ts.on):
		return nil, ErrNoStream
	}
	sub := &TSSubscriber{stream: s, info: info, since: now, wake: make(chan struct{}, 1), most: tsQueue + s.ts.bytes, waits: info.NoCache}
	if !info.NoCache && len(s.ts.cache) > 0 {
		sub.queue, sub.bytes = slices.Clone(s.ts.cache), s.ts.bytes
		sub.counts.Offered = uint64(len(sub.queue))
		sub.notify()
	}
	s.ts.subs = append(s.ts.subs, sub)
	return sub, nil
}

// remember keeps what who joins begins with.
func (t *passage) remember(p TSPiece) {
	if p.Tables && !t.keys {
		t.forget(len(t.cache))
	}
	if p.Tables {
		t.tables = len(t.cache)
	}
	t.cache, t.bytes = append(t.cache, p), t.bytes+p.cost()
	if p.Key {
		t.keys = true
		t.forget(t.tables)
	}
	if t.bytes > tsCache {
		if t.tables <= 0 {
			t.tables = len(t.cache)
		}
		t.forget(t.tables)
		t.keys = false // until the next one: a group of pictures that is longer is joined at a PAT
	}
}

// forget drops the first n pieces.
func (t *passage) forget(n int) {
	if n <= 0 {
		return
	}
	for _, p := range t.cache[:n] {
		t.bytes -= p.cost()
	}
	rest := copy(t.cache, t.cache[n:])
	clear(t.cache[rest:])
	t.cache, t.tables = t.cache[:rest], t.tables-n
	if t.tables < 0 || t.tables >= rest {
		t.tables = -1
	}
}

// reset is for a new publisher: it has a transport stream of its own, or none.
func (t *passage) reset() {
	t.on, t.keys, t.bytes, t.tables = false, false, 0, -1
	clear(t.cache)
	t.cache = t.cache[:0]
}

// over ends the readers; what is queued is still read.
func (t *passage) over() {
	for _, sub := range t.subs {
		sub.finish(io.EOF)
	}
	clear(t.subs)
	t.subs = t.subs[:0]
}

// TSStats is a snapshot of a transport stream that is passed through.
type TSStats struct {
	Bytes  uint64 // that came, over the life of the stream
	Cached int    // bytes that who joins begins with
}
