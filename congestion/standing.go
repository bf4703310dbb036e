package congestion

import "time"

// The queue's zero is the least delay of the last half minute, so that clocks that drift and paths that change do not stay in it. Ours.
const (
	standingEvery = 100 * time.Millisecond
	standingBase  = 5 * time.Second
)

// Standing measures the delay that stands at the bottleneck as a receiver without a controller sees it: the least delay of a tenth of a second
// above the least of the last 25 to 30 s. Sender's and receiver's clock need not agree. It is owned by one goroutine.
type Standing struct {
	base     [6]time.Duration // least of standingBase each
	n        int              // of base
	rotate   time.Duration
	least    time.Duration // since
	since    time.Duration
	have     bool
	queue    time.Duration
	measured time.Duration
}

// Add takes a packet's arrival, and how much later that is than its sending on the sender's clock. Packets sent again say nothing.
func (s *Standing) Add(at, delay time.Duration) {
	if s.n == 0 || at >= s.rotate {
		copy(s.base[1:], s.base[:])
		s.base[0], s.rotate, s.n = delay, at+standingBase, min(s.n+1, len(s.base))
	}
	s.base[0] = min(s.base[0], delay)
	if !s.have {
		s.have, s.least, s.since = true, delay, at
	}
	s.least = min(s.least, delay)
	if at-s.since >= standingEvery {
		zero := s.base[0]
		for _, b := range s.base[:s.n] {
			zero = min(zero, b)
		}
		s.queue, s.measured, s.have = s.least-zero, at, false
	}
}

// Queue is what stood last; 0 when nothing has come for half a second.
func (s *Standing) Queue(now time.Duration) time.Duration {
	if now-s.measured > 5*standingEvery {
		return 0
	}
	return s.queue
}
