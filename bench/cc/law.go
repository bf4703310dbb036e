package cc

import "time"

// Law is a model of TCP's congestion control, for a sender that lives elsewhere. Sizes are bytes on the wire in segments of
// SegmentBytes, rates bits/s.
type Law struct{ law }

// SegmentBytes is what a full segment takes on the wire.
const SegmentBytes = segment

// NewLaw makes one: Reno, Cubic or BBR.
func NewLaw(k Kind) Law {
	switch k {
	case Reno:
		return Law{&reno{cwnd: 10 * segment, slow: true}}
	case Cubic:
		return Law{&cubic{cwnd: 10 * segment, slow: true}}
	}
	return Law{newBBR()}
}

// Window is how many bytes may be in flight.
func (l Law) Window() float64 { return l.window() }

// Pacing is the rate at which segments leave; 0: as the window allows.
func (l Law) Pacing() float64 { return l.pacing() }

// Ack is told of a segment that arrived: its round trip, the rate of delivery when it did, and whether the application had nothing
// more to send when it left, so that the rate says nothing about the path.
func (l Law) Ack(now, rtt time.Duration, size int, rate float64, inflight int, limited bool) {
	if b, ok := l.law.(*bbr); ok && limited { // draft-ietf-ccwg-bbr: a limited sample counts only where it is the highest
		rate = max(rate, b.bandwidth())
	}
	l.ack(now, rtt, size, rate, inflight)
}

// Lost is told of a segment sent at a time that was lost.
func (l Law) Lost(now, sent time.Duration) { l.lost(now, sent) }

// Timeout is told that nothing was acknowledged for the retransmission timeout.
func (l Law) Timeout() { l.timeout() }
