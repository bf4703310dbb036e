package session

import (
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// A latency that may grow. Repair is planned for Config.Latency, as if it could not; what is not there by then is not given up but late, and what
// is behind it with it, up to Config.MaxLatency. So a path that carries what is sent in time looks as it does without, and one that does not
// stretches the picture instead of tearing it.
//
//	capture ── Latency: repair is planned for it ──┬─ again and again, at once ─┬─ MaxLatency: given up
//	                                               late                         lost

// most is how late a frame may be.
func (s *Sender) most() time.Duration { return max(s.cfg.Latency, s.cfg.MaxLatency) }

// stretches reports whether the latency may grow.
func (s *Sender) stretches() bool { return s.cfg.MaxLatency > s.cfg.Latency }

// pressed reports whether the path cannot carry in time what waits for it, so that every byte more makes all that follows later: then
// nothing goes ahead of losses, and a loss is answered by as much as was lost.
func (s *Sender) pressed() bool {
	if !s.stretches() {
		return false
	}
	return s.view != nil && s.view.Queue() > max(doubtQueue, s.cfg.Latency/4) || s.waits > s.budget.rate.Bytes(s.cfg.Latency/2)
}

// stretch moves the deadline of a block that is late as far as the latency may grow. Until then it is answered as if the latency could not: the
// last round in time is worth what it is worth to a latency that is kept.
func (s *Sender) stretch(now time.Duration, b *block) {
	if !s.stretches() || now <= b.last() {
		return
	}
	b.slides = false // whether the window made up for it nobody knows here
	b.deadline = max(b.deadline, b.capture+s.most()-s.late())
}

// useful is until when a packet of b is worth sending again.
func (s *Sender) useful(b *block, p *mediaPacket) time.Duration {
	deadline := b.deadline
	if s.stretches() { // b waits for its last frame's deadline, while its first frames are late and not lost
		deadline = max(deadline, b.capture+s.most()-s.late())
	}
	return deadline + time.Duration(p.extra)*time.Millisecond
}

// stillStands is what may be on a path that stands still, in time of what it was seen to carry: ours. Where the latency may grow nothing of it is late for
// good, and a path that goes on brings it at once; what waits here instead comes a round trip later, at a rate that has to grow again.
// It is at most half of the packets that the tracker remembers.
const stillStands = time.Second

// still is how many bytes may be in flight while nothing is heard; 0: no more than at other times.
func (s *Sender) still(now time.Duration) int {
	if !s.stretches() || s.view == nil || !s.breaker.silent(now, s.tracker.RTT().Smoothed()) || s.tracker.PacketsInFlight() >= trackerPackets/2 {
		return 0
	}
	return s.view.Lately().Bytes(s.tracker.RTT().Min() + stillStands)
}

// patient reports whether a packet is to be taken for lost only once a later one has arrived: a path that carries less than the stream slows down from one
// packet to the next, and what is sent again for nothing is a tenth of what it carries.
func (s *Sender) patient(now time.Duration) bool { return s.pressed() && !s.policy.lossy(now) }

// catchUpStands is the queue that may stand on the path while pictures wait that are late already: ours. What is seconds late here does not mind it, and
// a path that is kept short of a queue is idle now and then.
const catchUpStands = 200 * time.Millisecond

// catchUpFrom is the age from which what waits goes so, however long the latency is: ours. With 2 s of latency the link's good moments are missed for
// 4 s otherwise (`lte-driving`: 1.0 s of stall per 100 s, 0.4 with it).
const catchUpFrom = 600 * time.Millisecond

// catchUpGain is how much faster than that it goes while no queue shows: ours. What was seen to arrive is what the encoder was told before, and what waits
// finds out, with pictures where the controller has padding only, whether the path carries more. (`umts-driving` 8.0 s of stall per 100 s, 6.9 with it;
// `5g-driving` 3.5 and 2.8; seeds 100 to 105, 20 and 50 % of the mean.)
const catchUpGain = 2

// catchUpLoss is the loss from which it is not: ours. A queue too short to show drops instead, and twice what arrived is a standing overload then
// (`pantheon-nepal`, 14 packets and 5 % loss: 13.8 bytes on the wire for each shown, 2.1 so). A loss now and then is the end of an overload, not
// the middle of one. (`5g-driving` 12.7 and 7.7 s of stall per 100 s where any loss within 10 s forbids it, 11.7 and 6.7 so; seeds 100 to 101, 103 to 104.)
const catchUpLoss = 0.02

// catchUp is the rate that what waits may have whatever the controller says, because it is late already: what the path was last seen to carry, and
// twice that while no queue shows. 0: nothing is late, or the path is not ours alone or says nothing.
func (s *Sender) catchUp(now time.Duration) congestion.Bitrate {
	if !s.stretches() || s.view == nil || s.breaker.silent(now, s.tracker.RTT().Smoothed()) {
		return 0
	}
	switch s.view.Reason() {
	case congestion.Track, congestion.Limited, congestion.Startup:
	case congestion.Hold: // its caution after a loss stays below what arrives, and the doubt far above
	default:
		return 0
	}
	first, end := s.waiting()
	if first == end || now-s.picture(first).capture < min(2*s.cfg.Latency, catchUpFrom) {
		return 0
	}
	if s.view.Queue() < doubtQueue && s.policy.loss.Estimate().Loss < catchUpLoss {
		return catchUpGain * s.view.Capacity()
	}
	return s.view.Capacity()
}

// early reports whether the sound that is next would arrive before its turn: frames are released in their order, so what goes ahead of a picture that
// is late already waits for it at the other end, and makes it later still.
func (s *Sender) early() bool {
	if !s.stretches() {
		return false
	}
	it, ok := s.queues[queueAudio].peek()
	if !ok {
		return false
	}
	id := it.ref
	if it.kind == sendSource {
		id = s.packet(it.ref).block
	}
	b := s.block(id)
	if b == nil || it.kind != sendSource && it.kind != sendRepair {
		return false
	}
	for {
		next, ok := s.queues[queueMedia].peek()
		if !ok || next.frame == noFrame {
			return false
		}
		if p := s.picture(next.frame); !p.dropped {
			return b.capture > p.capture+s.cfg.Latency
		}
		s.pass(next)
	}
}

// bloated reports whether so much stands on the path that sound, too, had better wait here.
func (s *Sender) bloated() bool {
	return s.stretches() && s.view != nil && s.view.Queue() > s.cfg.Latency
}
