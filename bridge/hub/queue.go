package hub

import (
	"io"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// queued is a frame and when it came into the queue, on the hub's clock.
type queued struct {
	*media.Frame
	at time.Duration
}

// pop returns the next frame, or why there will be none, or neither, and whether there is more. now is on the hub's clock, 0 where nobody asks.
func (s *Subscriber) pop(now time.Duration) (f *media.Frame, more bool, err error) {
	s.stream.mu.Lock()
	defer s.stream.mu.Unlock()
	if s.lent != nil {
		s.lent.Release()
		s.lent = nil
	}
	if s.info.Lag.Skip > 0 && s.head < len(s.queue) {
		if lag := s.waiting(now); lag > s.info.Lag.Skip || s.stale && lag > s.info.Lag.fresh() {
			s.freshen(now)
		}
	}
	if s.head == len(s.queue) {
		switch {
		case !s.ended:
			return nil, false, nil
		case s.err != nil:
			return nil, false, s.err
		}
		return nil, false, io.EOF
	}
	f = s.queue[s.head].Frame
	if s.info.Borrows {
		s.lent = f
	}
	s.queue[s.head].Frame = nil
	s.head++
	if s.burst > 0 {
		s.burst--
	} else {
		s.bytes -= cost(f)
	}
	if s.head == len(s.queue) {
		s.queue, s.head = s.queue[:0], 0
	}
	s.stale = false
	if s.info.Player != nil {
		s.stream.show(s.info.Player, f, now)
	}
	s.counts.Delivered++
	s.counts.Bytes += uint64(len(f.Payload))
	return f, s.head < len(s.queue) || s.ended, nil
}

// start begins delivery: with the cached GOP, or at the next key frame. stream.mu is held, as for all that follows.
func (s *Subscriber) start() {
	if s.info.Seat {
		return
	}
	s.started = true
	video, _ := s.stream.kinds()
	cached := s.stream.gop
	if s.info.NoCache || s.info.Succeed != nil || s.stream.gopBroken || len(cached) == 0 {
		s.waitKey, s.mute = video, true
		return
	}
	now := s.stream.hub.now()
	for _, f := range cached {
		f.Hold()
		s.queue = append(s.queue, queued{f, now})
	}
	s.burst = len(cached)
	s.counts.Offered += uint64(len(cached))
	s.notify()
}

// offer puts a frame into the queue, or does not. now is on the hub's clock.
func (s *Subscriber) offer(f *media.Frame, now time.Duration) {
	if !s.started || s.ended {
		return
	}
	if s.waitKey && s.counts.Offered == 0 && !f.IsKeyVideo() { // it has not begun
		return
	}
	s.counts.Offered++
	if s.waitKey {
		switch {
		case f.IsKeyVideo():
			s.waitKey = false
		case s.mute || f.Codec.IsVideo():
			s.counts.Dropped++
			return
		}
	}
	if !s.room(f, now) {
		s.counts.Dropped++
		return
	}
	if s.head > 64 && s.head*2 > len(s.queue) {
		n := copy(s.queue, s.queue[s.head:])
		clear(s.queue[n:])
		s.queue, s.head = s.queue[:n], 0
	}
	s.mute = false
	f.Hold()
	s.queue = append(s.queue, queued{f, now})
	s.bytes += cost(f)
	if p := s.stream.pumping; p != nil && s.info.Pump != nil {
		p.pumps = append(p.pumps, s)
		return
	}
	s.notify()
}

// room makes room for a frame and reports whether it may come in.
func (s *Subscriber) room(f *media.Frame, now time.Duration) bool {
	first := s.head + s.burst
	if first >= len(s.queue) {
		return true
	}
	cfg, lag := &s.stream.hub.cfg, &s.info.Lag
	full := s.bytes+cost(f) > cfg.QueueBytes
	if lag.Skip > 0 && !full {
		waiting := s.waiting(now)
		if waiting > lag.Skip {
			if f.IsKeyVideo() { // what waited is of no use beside it
				s.gap()
				s.discard(len(s.queue))
				return true
			}
			s.freshen(now)
			return !s.waitKey || !f.Codec.IsVideo()
		}
		if waiting > lag.thin() && f.Codec.IsVideo() && f.Flags.Has(media.Droppable) {
			s.counts.Thinned++
			return false
		}
		return true
	}
	if !full && f.DTS-s.queue[first].DTS <= cfg.QueueTime {
		return true
	}
	s.counts.Gaps++
	s.discard(len(s.queue))
	if video, _ := s.stream.kinds(); video && !f.IsKeyVideo() {
		s.waitKey, s.mute = true, true
		return false
	}
	return true
}

// waiting is how long the oldest frame beyond the first GOP has waited.
func (s *Subscriber) waiting(now time.Duration) time.Duration {
	if first := s.head + s.burst; first < len(s.queue) {
		return now - s.queue[first].at
	}
	return 0
}

// freshen drops what waits but for what is fresh: from the newest key frame on if that is fresh, else the sound alone.
func (s *Subscriber) freshen(now time.Duration) {
	s.gap()
	limit := now - s.info.Lag.fresh()
	keep, key := len(s.queue), false
	for i := len(s.queue) - 1; i >= s.head && s.queue[i].at >= limit; i-- {
		keep = i
		if s.queue[i].IsKeyVideo() {
			key = true
			break
		}
	}
	s.discard(keep)
	if key {
		return
	}
	if video, _ := s.stream.kinds(); !video {
		return
	}
	s.waitKey = true
	n := s.head
	for _, q := range s.queue[s.head:] {
		if q.Codec.IsVideo() {
			s.counts.Dropped++
			s.bytes -= cost(q.Frame)
			q.Release()
			continue
		}
		s.queue[n] = q
		n++
	}
	clear(s.queue[n:])
	s.queue = s.queue[:n]
}

func (s *Subscriber) gap() {
	if !s.stale {
		s.counts.Gaps++
	}
	s.stale = true
}

// discard drops what is queued before index end.
func (s *Subscriber) discard(end int) {
	for ; s.head < end; s.head++ {
		if s.burst > 0 {
			s.burst--
		} else {
			s.bytes -= cost(s.queue[s.head].Frame)
		}
		s.queue[s.head].Release()
		s.queue[s.head].Frame = nil
		s.counts.Dropped++
	}
	if s.head == len(s.queue) {
		s.queue, s.head = s.queue[:0], 0
	}
}

func (l *Lag) thin() time.Duration {
	if l.Thin > 0 {
		return l.Thin
	}
	return l.Skip / 2
}

func (l *Lag) fresh() time.Duration {
	if l.Fresh > 0 {
		return l.Fresh
	}
	return l.Skip / 2
}

// finish ends the subscriber; what is queued is still read. err: what is read then, io.EOF when nil.
func (s *Subscriber) finish(err error) {
	if s.ended {
		return
	}
	s.ended, s.err = true, err
	s.notify()
}

func (s *Subscriber) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
