package session

import (
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// While no queue shows, a stream may have what it takes and half as much again or more for repairs, whatever the controller makes of
// losses: it takes some seconds to tell random ones from its own. All ours: 10 % of random loss costs no frame so, and a
// start at 1 Mbit/s does not cost the first key frame; 50 ms are above a radio link's noise.
const (
	doubtLeast  = 1.5 // of what the stream takes, where packets are lost
	doubtMost   = 2
	doubtRoom   = 1.25 // above what repair is expected to take: 1.5 of the stream alone lost 5 % of the frames at 20 % of loss on busy machines
	doubtPace   = 2    // in credit, where packets are lost: a key frame, what follows it, and what is sent again meanwhile
	doubtQueue  = 50 * time.Millisecond
	doubtAgain  = 300 * time.Millisecond // after a queue
	doubtStands = 100 * time.Millisecond // of queue that the window has room for, as congestion.Fixed
	jumpLeast   = 10 * time.Millisecond  // of the delay: more than a packet of ours makes above 1 Mbit/s
	jumpFor     = 100 * time.Millisecond // what stood still has caught up by then
)

// doubt is the rate that the stream may have whatever the controller says, for as long as no queue shows: what it takes, and more
// for repairs where packets are lost or the path is new. 0: the controller alone decides.
func (s *Sender) doubt(now time.Duration) congestion.Bitrate {
	if s.view == nil {
		return 0
	}
	if s.crowdedAt > 0 && now-s.crowdedAt < doubtAgain || s.breaker.silent(now, s.tracker.RTT().Smoothed()) {
		return 0
	}
	need := s.needed(now)
	if s.view.Reason() == congestion.Startup || s.policy.lossy(now) {
		return congestion.Bitrate(float64(need) * min(doubtMost, max(doubtLeast, doubtRoom*(1+s.policy.overhead()))))
	}
	return need
}

// needed is what the stream takes, headers included.
func (s *Sender) needed(now time.Duration) congestion.Bitrate {
	return min(s.cfg.MaxBitrate, congestion.Bitrate(8*s.budget.need.perSecond(now)))
}

// standstill notices delays that are no queue. Where the delay jumps from one packet to the next, somebody stood still: the link,
// the other end, or this one between the clock and the socket. What was sent meanwhile comes at once when it goes on.
type standstill struct {
	delay time.Duration // of the newest packet that a report told of, at the offset of the clocks
	known bool
	jump  time.Duration // the greatest of late
	at    time.Duration
}

// saw learns from what a report says.
func (j *standstill) saw(now time.Duration, packets []congestion.Packet) {
	for i := range packets {
		p := &packets[i]
		if p.Lost {
			continue
		}
		d := p.Arrival - p.Sent
		if jump := d - j.delay; j.known && jump >= jumpLeast && (jump > j.jump || now-j.at > jumpFor) {
			j.jump, j.at = jump, now
		}
		j.delay, j.known = d, true
	}
}

// explains is how much of a queue it accounts for.
func (j *standstill) explains(now time.Duration) time.Duration {
	if now-j.at > jumpFor {
		return 0
	}
	return j.jump
}

// look at the queue that a report has shown.
func (s *Sender) look(now time.Duration) {
	if s.view == nil {
		return
	}
	s.stood.saw(now, s.packets)
	if s.view.Queue()-s.stood.explains(now) > doubtQueue {
		s.crowdedAt = now
	}
}
