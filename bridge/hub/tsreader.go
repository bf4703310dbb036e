package hub

import (
	"context"
	"io"
	"slices"
	"time"
)

// TSSubscriber reads the transport stream of a publisher as it came. Read is for one goroutine; Close may be called from anywhere.
//
// It gets every piece from its first on, or is cut: its queue holds at most 8 MB beyond what it began with, and who falls further behind reads ErrSlow. Pieces are shared,
// and so a stream's readers together keep no more than that and the cache, 8 MB.
type TSSubscriber struct {
	stream *stream
	info   SubscriberInfo
	since  time.Time
	wake   chan struct{} // capacity 1: something changed

	// Guarded by stream.mu.
	queue  []TSPiece
	bytes  int  // of it
	most   int  // bytes it may hold
	waits  bool // for a PAT
	err    error
	counts SubscriberCounts
}

// offer reports whether the reader is still there. stream.mu is held, as for finish.
func (s *TSSubscriber) offer(p TSPiece) bool {
	if s.waits && !p.Tables {
		return true
	}
	s.waits = false
	s.counts.Offered++
	if s.bytes+p.cost() <= s.most {
		s.queue, s.bytes = append(s.queue, p), s.bytes+p.cost()
		s.notify()
		return true
	}
	s.counts.Gaps++
	s.counts.Dropped += uint64(len(s.queue)) + 1
	s.queue, s.bytes = nil, 0
	s.finish(ErrSlow)
	t := &s.stream.ts
	s.stream.counts.Slow++
	t.subs = slices.DeleteFunc(t.subs, func(o *TSSubscriber) bool { return o == s })
	return false
}

func (s *TSSubscriber) finish(err error) {
	if s.err == nil {
		s.err = err
		s.notify()
	}
}

func (s *TSSubscriber) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Read returns the next piece; it lends it (the piece is shared and immutable). io.EOF: the stream is over, or its publisher has no transport stream any more.
// ErrSlow: this reader did not keep up.
func (s *TSSubscriber) Read(ctx context.Context) (TSPiece, error) {
	for {
		p, ok, err := s.pop()
		if ok || err != nil {
			return p, err
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return TSPiece{}, context.Cause(ctx)
		}
	}
}

func (s *TSSubscriber) pop() (p TSPiece, ok bool, err error) {
	s.stream.mu.Lock()
	defer s.stream.mu.Unlock()
	if len(s.queue) == 0 {
		return p, false, s.err
	}
	p = s.queue[0]
	s.queue[0] = TSPiece{}
	s.queue = s.queue[1:]
	s.bytes -= p.cost()
	s.counts.Delivered++
	s.counts.Bytes += uint64(len(p.Data))
	return p, true, nil
}

// Wait returns nil when there is something to read, or the stream is over; else ctx's cause.
func (s *TSSubscriber) Wait(ctx context.Context) error {
	for {
		s.stream.mu.Lock()
		ready := len(s.queue) > 0 || s.err != nil
		s.stream.mu.Unlock()
		if ready {
			return nil
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Passing reports whether its stream's publisher has a transport stream that is passed through.
func (s *TSSubscriber) Passing() bool {
	s.stream.mu.Lock()
	defer s.stream.mu.Unlock()
	return s.stream.ts.on
}

// Ready reports whether there is something to read now.
func (s *TSSubscriber) Ready() bool {
	s.stream.mu.Lock()
	defer s.stream.mu.Unlock()
	return len(s.queue) > 0
}

// Stats returns a snapshot. Counts are of pieces.
func (s *TSSubscriber) Stats() SubscriberStats {
	s.stream.mu.Lock()
	defer s.stream.mu.Unlock()
	return s.statsLocked()
}

func (s *TSSubscriber) statsLocked() SubscriberStats {
	return SubscriberStats{SubscriberInfo: s.info, Since: s.since, Counts: s.counts, Queued: len(s.queue)}
}

// Close leaves the stream. It may be called twice.
func (s *TSSubscriber) Close() {
	t := s.stream
	t.mu.Lock()
	t.ts.subs = slices.DeleteFunc(t.ts.subs, func(o *TSSubscriber) bool { return o == s })
	s.finish(io.EOF)
	s.counts.Dropped += uint64(len(s.queue))
	s.queue, s.bytes = nil, 0
	empty := t.unused()
	t.mu.Unlock()
	if empty {
		t.end(nil)
	}
}
