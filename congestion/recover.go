package congestion

import "time"

// climb takes a flow back up that has collapsed: R is far below what was seen to arrive within the last while. The law grows by what
// was tried, and an encoder tries only what it was told, so it would be seconds below a link that is back; and a
// delay that has come to stay (another cell, a radio that waits longer) reads as a queue and would hold it there. So the path is
// filled with padding, as at the start, until the queue answers: that is then the capacity. Meanwhile the encoder is told no more than has arrived.
type climb struct {
	peak  float64       // what was seen to arrive, fading over climbMemory
	slow  time.Duration // the queue, averaged over climbFlat
	flat  time.Duration // since when the queue neither rises nor falls; 0: it does
	on    bool
	began time.Duration
	stood time.Duration // queue when it began
	heard float64       // what arrived then
	next  time.Duration
	fails int
	told  float64 // the encoder's share then
}

// Ours, all of them: docs/congestion.md.
const (
	climbMemory  = 12.0 // s
	climbBelow   = 0.5  // of the peak: collapsed
	climbUp      = 0.9  // of the peak, where it ends
	climbFlat    = 250 * time.Millisecond
	climbMost    = 150 * time.Millisecond // a longer queue is to be drained first
	climbDouble  = 0.5                    // s: R·(1 + Δt/0.5 s); not faster than two round trips
	climbLongest = 2 * time.Second        // padding that finds neither costs more than it finds
	climbWait    = 500 * time.Millisecond // until the next one; doubled where nothing was won
	climbGain    = 1.3
	climbSure    = 0.85 // of what arrives is told to the encoder meanwhile
)

// watch keeps the estimates.
func (c *Controller) watch(now, dt time.Duration) {
	r := &c.climb
	r.peak = max(c.usually, r.peak*(1-dt.Seconds()/climbMemory))
	r.slow += time.Duration(float64(c.queue-r.slow) * min(1, dt.Seconds()/climbFlat.Seconds()))
	switch off := (c.queue - r.slow).Abs(); {
	case off > max(6*time.Millisecond, r.slow/4):
		r.flat = 0
	case r.flat == 0:
		r.flat = now
	}
}

// mayClimb reports whether it is time to.
func (c *Controller) mayClimb(now time.Duration) bool {
	r := &c.climb
	return c.reason == Track && c.rate*share < climbBelow*r.peak && now >= r.next && c.target == 0 && c.ceiling == 0 &&
		c.loss.recent < c.loss.usual+0.1 && now-c.cutAt >= climbFlat && now-c.gapEndHere >= climbFlat &&
		(c.queue < c.goal()/2 || r.flat > 0 && now-r.flat >= 2*climbFlat && c.queue < climbMost)
}

func (c *Controller) beginClimb(now time.Duration) {
	r := &c.climb
	r.on, r.began, r.stood, r.heard, r.told = true, now, c.queue, max(c.heard, c.rate*share/2), c.rate*share
	c.reason, c.restart, c.startAt = Startup, true, 0
	c.before = climbUp * r.peak / share
	c.rate = max(c.rate, min(2*c.rate, c.capacity/share))
}

// climbing is startup's law for a climb.
func (c *Controller) climbing(now, dt time.Duration) {
	r := &c.climb
	room := c.goal() / 2
	answered := c.queue > r.stood+room
	switch {
	case answered:
		c.endClimb(now, 0.9*c.capacity/share)
		return
	case c.rate >= c.before || c.rate >= float64(c.cfg.Max) || now-r.began > climbLongest:
		c.endClimb(now, max(c.proven(), 0.9*c.heard)/share)
		return
	}
	double := max(climbDouble, 2*c.srtt.Seconds())
	c.rate = max(c.rate, min(c.rate*(1+dt.Seconds()/double), startRoom*c.heard+headroomAdd, c.before))
}

// proven is what the encoder may be told during a climb: what it had, or most of what has arrived since.
func (c *Controller) proven() float64 {
	return max(c.climb.told, min(c.rate*share, climbSure*c.heard))
}

func (c *Controller) endClimb(now time.Duration, rate float64) {
	r := &c.climb
	if c.heard > climbGain*r.heard {
		r.fails = 0
	} else {
		r.fails = min(r.fails+1, 4)
	}
	r.on = false
	r.next = now + climbWait<<r.fails
	c.leaveStartup(now, rate)
}
