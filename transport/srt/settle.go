package srt

import (
	"slices"
	"time"
)

// Constants of settling; ours.
const (
	settleFor   = 5                     // windows of settleEach after the first packet
	settleEach  = time.Second           // what is learnt holds from its end
	settleGap   = 15 * time.Millisecond // between two samples
	settleLeast = 16                    // samples in a window that counts
	settleMost  = 64
	settleSlack = time.Millisecond // less is not worth a step
)

// settling finds out that the handshake came late.
//
// The clock begins with one packet. What that one waited, between its stamp and the wire of a busy sender, in a queue, or here, would be added to the latency
// of every other for as long as the connection lasts. So while a connection is young the packets are compared with it: when nine of ten would have come
// earlier on its path, by so much they are delivered earlier. Nothing is ever delivered later than the handshake promised.
//
// Samples are the first of what is stamped alike: a sender that paces stamps a picture's packets with one time, and only the first leaves at it.
type settling struct {
	windows int
	since   time.Duration // of this window
	last    time.Duration // sample
	stamp   uint32        // of the last packet
	early   [settleMost]time.Duration
	n       int
}

// packet takes one that is no resend and is early by that much against the clock as it is. It returns what to change the clock by.
func (s *settling) packet(now, early time.Duration, stamp uint32) (by time.Duration) {
	if s.windows == settleFor || stamp == s.stamp {
		return 0
	}
	s.stamp = stamp
	if s.since == 0 {
		s.since = now
	}
	if now-s.last >= settleGap && s.n < settleMost {
		s.early[s.n], s.last = early, now
		s.n++
	}
	if now-s.since < settleEach || s.n < settleLeast {
		return 0
	}
	all := s.early[:s.n]
	slices.Sort(all)
	if e := all[s.n/10]; e > settleSlack {
		by = -e
	}
	s.windows, s.since, s.n = s.windows+1, now, 0
	return by
}
