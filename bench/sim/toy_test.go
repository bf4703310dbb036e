package sim_test

import (
	"encoding/binary"
	"time"
)

// toySender sends numbered packets as they are pushed, and again when asked.
type toySender struct {
	next  uint32
	ready []uint32
	count int
}

const toySize = 1200

func (s *toySender) push() {
	s.ready = append(s.ready, s.next)
	s.next++
}

// HandleDatagram takes a list of numbers to send again.
func (s *toySender) HandleDatagram(_ time.Time, b []byte) {
	for ; len(b) >= 4; b = b[4:] {
		s.ready = append(s.ready, binary.BigEndian.Uint32(b))
	}
}

func (s *toySender) AppendDatagram(dst []byte, _ time.Time) ([]byte, bool) {
	if len(s.ready) == 0 {
		return dst, false
	}
	s.count++
	dst = binary.BigEndian.AppendUint32(dst, s.ready[0])
	s.ready = append(s.ready[:0], s.ready[1:]...)
	return append(dst, make([]byte, toySize-4)...), true
}

func (s *toySender) NextTimeout() time.Time { return time.Time{} }

// toyReceiver asks for what is missing every 20 ms and hands out what is there in order, waiting at
// most 400 ms for a gap.
type toyReceiver struct {
	got     map[uint32]time.Time
	want    uint32 // next in order
	end     uint32 // after the highest one
	asked   time.Time
	since   time.Time // when want was found missing
	given   int
	skipped int
}

const (
	toyAsk  = 20 * time.Millisecond
	toyWait = 400 * time.Millisecond
)

func (r *toyReceiver) HandleDatagram(now time.Time, b []byte) {
	n := binary.BigEndian.Uint32(b)
	if n < r.want {
		return
	}
	r.got[n] = now
	if n >= r.end {
		r.end = n + 1
	}
}

func (r *toyReceiver) missing() bool { return r.want < r.end }

func (r *toyReceiver) AppendDatagram(dst []byte, now time.Time) ([]byte, bool) {
	if !r.missing() || now.Before(r.asked.Add(toyAsk)) {
		return dst, false
	}
	r.asked = now
	begun := false
	for n := r.want; n < r.end && len(dst) < toySize; n++ {
		if _, ok := r.got[n]; !ok {
			dst = binary.BigEndian.AppendUint32(dst, n)
			begun = true
		}
	}
	return dst, begun
}

func (r *toyReceiver) NextTimeout() time.Time {
	if !r.missing() {
		return time.Time{}
	}
	return r.asked.Add(toyAsk)
}

// pop returns the next packet in order, or gives one up that is too late.
func (r *toyReceiver) pop(now time.Time) bool {
	for r.missing() {
		if _, ok := r.got[r.want]; ok {
			delete(r.got, r.want)
			r.want++
			r.since = time.Time{}
			r.given++
			return true
		}
		if r.since.IsZero() {
			r.since = now
		}
		if now.Sub(r.since) < toyWait {
			return false
		}
		r.want++
		r.since = time.Time{}
		r.skipped++
	}
	return false
}
