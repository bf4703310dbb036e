package playout

import (
	"time"

	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// Pop releases the next frame that may go at now. Payload.Data is lent until the next call; Arrival
// and Deadline are zero and returned as durations instead, for the caller knows the session's zero.
func (b *Buffer) Pop(now time.Duration) (p transport.Payload, arrival, due time.Duration, ok bool) {
	for {
		start, end, complete := b.first()
		if complete {
			s := b.at(start)
			due = b.due(s)
			if !b.cfg.InOrder && now < due {
				return p, 0, 0, false
			}
			if late := b.lastArrival(start, end); late <= b.limit(s) {
				if b.cfg.Most > b.cfg.Latency { // it came late, or waited behind one that did
					due = max(due, late, b.shown)
					b.shown = due
				}
				return b.release(start, end), late, due, true
			}
			b.dropTo(end) // complete, but its last packet came too late
			continue
		}
		if to, stuck := b.skipTo(now, start); !stuck {
			b.dropTo(to)
			if b.cfg.Most > b.cfg.Latency { // what is behind it waited for it until now
				b.shown = max(b.shown, now)
			}
			continue
		}
		return p, 0, 0, false
	}
}

// NextTimeout is when Pop has something to do if nothing arrives; 0: nothing is scheduled.
func (b *Buffer) NextTimeout() time.Duration {
	start, _, complete := b.first()
	if complete && b.cfg.InOrder {
		return 1
	}
	if complete {
		return max(1, b.due(b.at(start)))
	}
	if start < b.end && b.at(start).state == held && b.at(start).flags.Has(wire.Start) {
		return max(1, b.limit(b.at(start)))
	}
	for n := b.next; n < b.end; n++ {
		if s := b.at(n); s.state == held && s.flags.Has(wire.Start) {
			return max(1, b.limit(s))
		}
	}
	return 0
}

// first looks at the frame at the cursor: start..end-1. When its start or end is not known, complete is false and end
// is where knowledge ends.
func (b *Buffer) first() (start, end int64, complete bool) {
	for n := b.next; n < b.end; n++ {
		s := b.at(n)
		if s.state != held || n == b.next && !s.flags.Has(wire.Start) || n > b.next && s.flags.Has(wire.Start) {
			return b.next, n, false
		}
		if s.flags.Has(wire.End) {
			return b.next, n + 1, true
		}
	}
	return b.next, b.end, false
}

// skipTo decides whether the incomplete frame at the cursor is given up, and where the cursor goes then: to the next
// start, after its own end, or as far as it is known. The frame is dead when its limit has come, when a packet of it was
// abandoned, or when its start is missing and the limit of the frame behind it has come.
func (b *Buffer) skipTo(now time.Duration, start int64) (to int64, stuck bool) {
	if start >= b.end {
		return 0, true
	}
	begun := b.at(start).state == held && b.at(start).flags.Has(wire.Start)
	dead := begun && now >= b.limit(b.at(start))
	ended, known := false, start
	for n := start; n < b.end; n++ {
		s := b.at(n)
		if s.state == held && n > start && s.flags.Has(wire.Start) {
			return n, !dead && (begun || now < b.limit(s))
		}
		if s.state == waiting || ended {
			continue
		}
		known = n + 1
		dead = dead || s.state == given || n == start && !begun
		if s.state == held && s.flags.Has(wire.End) {
			if dead {
				return n + 1, false
			}
			ended = true
		}
	}
	return known, !dead || known == start
}

// dropTo moves the cursor to n ≤ end and counts what it passes.
func (b *Buffer) dropTo(n int64) {
	if n <= b.next {
		return
	}
	known := false
	for ; b.next < n; b.next++ {
		s := b.at(b.next)
		if s.state == held {
			known = true
			b.broken[s.track/8] |= 1 << (s.track % 8)
		}
		b.account(s)
	}
	if !known {
		b.breakTracks()
	}
}

// breakTracks marks every track: nobody knows whose the lost packets were.
func (b *Buffer) breakTracks() {
	for i := range b.broken {
		b.broken[i] = 0xff
	}
}

// account counts a packet the cursor passes and frees its buffer.
func (b *Buffer) account(s *slot) {
	if s.state != held {
		s.state = missed
		b.counts.Lost++
		return
	}
	b.held--
	if s.flags.Has(wire.Start) {
		b.numbered(s.frame.Number)
	}
	switch s.how {
	case First:
		b.counts.Delivered++
	case Resent:
		b.counts.Resent++
	case Repaired:
		b.counts.Repaired++
	}
	s.state = passed
	b.spare = append(b.spare, s.buf)
	s.buf = nil
}

// numbered takes note of a frame number that the cursor passes: all before it are accounted for.
func (b *Buffer) numbered(n uint16) {
	at := b.number + int64(int16(n-uint16(b.number)))
	b.number = max(b.number, at+1)
	b.counts.FramesLost = uint64(max(0, b.number-int64(b.counts.Frames)))
}

func (b *Buffer) lastArrival(start, end int64) (last time.Duration) {
	for n := start; n < end; n++ {
		last = max(last, b.at(n).arrival)
	}
	return last
}

func (b *Buffer) release(start, end int64) transport.Payload {
	first := b.at(start)
	p := transport.Payload{
		Track: first.track, Codec: transport.Codec(first.frame.Codec), Flags: flagsOf(first.flags),
		DTS: time.Duration(first.frame.DTS) * time.Microsecond, Capture: first.capture,
	}
	p.PTS = p.DTS + time.Duration(first.frame.CTS)*time.Microsecond
	if bit := byte(1) << (p.Track % 8); b.broken[p.Track/8]&bit != 0 {
		b.broken[p.Track/8] &^= bit
		p.Flags |= transport.Discontinuity
	}
	b.frame = b.frame[:0]
	b.counts.Frames++
	for ; b.next < end; b.next++ {
		s := b.at(b.next)
		b.frame = append(b.frame, s.buf...)
		p.Repaired = p.Repaired || s.how != First
		b.account(s)
	}
	p.Data = b.frame
	return p
}
