package session

import "time"

// ration bounds what repairs and resends may take: each byte of media that leaves earns them a share of a byte. Loss that comes with a
// standing queue is the path's own answer to too much: there, repairing all of it would double what made the queue (design.md §3), so
// the share shrinks to a tenth and the total falls back under what the path carried before.
type ration struct {
	credit int // bytes
}

// Bounds of a ration: ours.
const (
	rationShare  = 1.0       // as much again as the media: 96 % is what bursts of 8 at 20 % loss cost at one round
	rationQueued = 0.1       // of the media while a queue stands
	rationMost   = 128 << 10 // saved up: a key frame's repair at 20 % loss
	rationStart  = 64 << 10
	queueStands  = 60 * time.Millisecond // quic_cc.md 4.2: the target queue
)

// earn is told of a media packet that leaves.
func (r *ration) earn(size int, queue, most time.Duration) {
	share := rationShare
	if queue > most {
		share = rationQueued
		r.credit = min(r.credit, rationMost/16)
	}
	r.credit = min(rationMost, r.credit+int(float64(size)*share))
}

// take asks for a repair or resend of a size.
func (r *ration) take(size int) bool {
	if r.credit < size {
		return false
	}
	r.credit -= size
	return true
}

// standing is the queue on the path as the round trips show it.
func (s *Sender) standing() time.Duration {
	r := s.tracker.RTT()
	if !r.Known() {
		return 0
	}
	return r.Smoothed() - r.Min()
}

// rationed reports whether an item is a repair for which there is no ration; it is not queued any more then.
func (s *Sender) rationed(it item) bool {
	switch it.kind {
	case sendResend, sendRepair, sendWindow:
	default:
		return false
	}
	if s.ration.take(s.cfg.MTU + ipUDP) {
		return false
	}
	if it.kind != sendWindow {
		s.unqueue(it)
	}
	return true
}
