package netem

import (
	"math"
	"time"
)

// codel is RFC 8289 §5, turned so that it judges one packet after another: sojourn times in a FIFO
// are known when a packet comes. Instead of the bytes behind a packet when it leaves, its §5.4 test
// for "less than one MTU in the queue" uses the bytes before it when it came.
type codel struct {
	target, interval time.Duration

	firstAbove time.Duration // when sojourn will have been above target for one interval; 0: it is below
	dropNext   time.Duration
	count      int
	lastCount  int
	dropping   bool
	justBegan  bool // the packet after the one that began the dropping state passes
	justDrop   bool // the packet before this one was dropped in the dropping state
}

func newCoDel(c CoDel) codel {
	k := codel{target: c.Target, interval: c.Interval}
	if k.target == 0 {
		k.target = 5 * time.Millisecond // RFC 8289 §4.2
	}
	if k.interval == 0 {
		k.interval = 100 * time.Millisecond // RFC 8289 §4.3
	}
	return k
}

// drop judges the packet that leaves the queue at now after sojourn; ahead: bytes it found in the queue.
func (k *codel) drop(now, sojourn time.Duration, ahead int) bool {
	ok := k.okToDrop(now, sojourn, ahead)
	if k.justBegan {
		k.justBegan = false
		return false
	}
	if k.dropping {
		just := k.justDrop
		k.justDrop = false
		if !ok {
			k.dropping = false
			return false
		}
		if just {
			k.dropNext = k.law(k.dropNext)
		}
		if now < k.dropNext {
			return false
		}
		k.count++
		k.justDrop = true
		return true
	}
	if !ok {
		return false
	}
	k.dropping, k.justBegan = true, true
	// "If min went above target close to when it last went below, assume that the drop rate that
	// controlled the queue on the last cycle is a good starting point." (RFC 8289 §5.5)
	delta := k.count - k.lastCount
	k.count = 1
	if delta > 1 && now-k.dropNext < 16*k.interval {
		k.count = delta
	}
	k.dropNext = k.law(now)
	k.lastCount = k.count
	return true
}

func (k *codel) okToDrop(now, sojourn time.Duration, ahead int) bool {
	if sojourn < k.target || ahead <= opportunity {
		k.firstAbove = 0
		return false
	}
	if k.firstAbove == 0 {
		k.firstAbove = now + k.interval
		return false
	}
	return now >= k.firstAbove
}

func (k *codel) law(t time.Duration) time.Duration {
	return t + time.Duration(float64(k.interval)/math.Sqrt(float64(k.count)))
}
