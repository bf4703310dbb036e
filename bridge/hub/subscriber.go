package hub

import (
	"context"
	"io"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// SubscriberInfo says who reads, for logs and statistics.
type SubscriberInfo struct {
	Protocol string // "http-flv", "rtmp", "push", …
	Peer     string
	Wait     bool // join before there is a publisher
	NoCache  bool // begin at the next key frame, not with the newest GOP
}

// Subscriber reads one stream. Read is for one goroutine; Close may be called from anywhere.
//
// Its queue holds at most Config.QueueBytes and Config.QueueTime beyond the GOP it began with. When it is full
// everything in it is dropped and reading goes on at the next key frame: whole GOPs are lost, never parts.
type Subscriber struct {
	stream *stream
	info   SubscriberInfo
	since  time.Time
	wake   chan struct{} // capacity 1: something changed

	// Guarded by stream.mu.
	queue   []*media.Frame
	head    int
	bytes   int  // payload bytes queued beyond the first GOP
	burst   int  // frames of the first GOP still queued
	started bool // the track list is complete
	waitKey bool // drop until the next key frame
	ended   bool
	counts  SubscriberCounts
}

// Read returns the next frame; it lends it (the frame is shared and immutable). io.EOF: the stream is over.
func (s *Subscriber) Read(ctx context.Context) (*media.Frame, error) {
	for {
		f, ended := s.pop()
		if f != nil {
			return f, nil
		}
		if ended {
			return nil, io.EOF
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Tracks returns the configuration of every track known now, by track index; it is complete once Read has returned a frame.
func (s *Subscriber) Tracks() []*media.Config {
	s.stream.mu.Lock()
	defer s.stream.mu.Unlock()
	var out []*media.Config
	for _, c := range s.stream.tracks {
		if c != nil {
			out = append(out, c)
		}
	}
	return out
}

// Stats returns a snapshot.
func (s *Subscriber) Stats() SubscriberStats {
	s.stream.mu.Lock()
	defer s.stream.mu.Unlock()
	return s.statsLocked()
}

// Close leaves the stream. It may be called twice.
func (s *Subscriber) Close() { s.stream.leave(s) }

func (s *Subscriber) pop() (*media.Frame, bool) {
	s.stream.mu.Lock()
	defer s.stream.mu.Unlock()
	if s.head == len(s.queue) {
		return nil, s.ended
	}
	f := s.queue[s.head]
	s.queue[s.head] = nil
	s.head++
	if s.burst > 0 {
		s.burst--
	} else {
		s.bytes -= cost(f)
	}
	if s.head == len(s.queue) {
		s.queue, s.head = s.queue[:0], 0
	}
	s.counts.Delivered++
	s.counts.Bytes += uint64(len(f.Payload))
	return f, false
}

// start begins delivery: with the cached GOP, or at the next key frame. stream.mu is held, as for all that follows.
func (s *Subscriber) start() {
	s.started = true
	video, _ := s.stream.kinds()
	cached := s.stream.gop
	if s.info.NoCache || s.stream.gopBroken || len(cached) == 0 {
		s.waitKey = video
		return
	}
	s.queue = append(s.queue, cached...)
	s.burst = len(cached)
	s.counts.Offered += uint64(len(cached))
	s.notify()
}

func (s *Subscriber) offer(f *media.Frame) {
	if !s.started || s.ended {
		return
	}
	s.counts.Offered++
	if s.waitKey {
		if !f.IsKeyVideo() {
			s.counts.Dropped++
			return
		}
		s.waitKey = false
	}
	if s.full(f) {
		s.counts.Gaps++
		s.counts.Dropped += uint64(len(s.queue) - s.head)
		clear(s.queue)
		s.queue, s.head, s.bytes, s.burst = s.queue[:0], 0, 0, 0
		if video, _ := s.stream.kinds(); video && !f.IsKeyVideo() {
			s.waitKey = true
			s.counts.Dropped++
			return
		}
	}
	if s.head > 64 && s.head*2 > len(s.queue) {
		n := copy(s.queue, s.queue[s.head:])
		clear(s.queue[n:])
		s.queue, s.head = s.queue[:n], 0
	}
	s.queue = append(s.queue, f)
	s.bytes += cost(f)
	s.notify()
}

func (s *Subscriber) full(f *media.Frame) bool {
	first := s.head + s.burst
	if first >= len(s.queue) {
		return false
	}
	cfg := &s.stream.hub.cfg
	return s.bytes+cost(f) > cfg.QueueBytes || f.DTS-s.queue[first].DTS > cfg.QueueTime
}

func (s *Subscriber) finish() {
	s.ended = true
	s.notify()
}

func (s *Subscriber) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
