package congestion

import "time"

// control decides the rate after a report.
func (c *Controller) control(now, dt time.Duration) {
	c.relax(dt)
	c.marks(now)
	c.drain(now)
	switch verdict := c.loss.epoch(now, c.srtt); {
	case c.climb.on:
		c.climbing(now, dt)
		return
	case c.reason == Startup:
		c.startup(now, dt)
		return
	case c.loss.test.on:
		c.probe(now)
		return
	case c.rival.on:
		c.compete(now, dt, verdict)
		return
	case verdict == ours:
		c.overflow(now, c.loss.lossQueue)
		return
	case c.ceiling > 0 && c.rate*share > lossKeep*c.ceiling && verdict == nothing && c.loss.latest > 0 && (c.loss.clean() || c.again < 2):
		c.loss.latest = 0
		c.again++          // a test is due now and then all the same
		c.overflow(now, 0) // loss came back where it was ours before
		return
	case verdict == suspects && (c.capacity > climbBelow*c.climb.peak || c.loss.latest > 0.25) && now >= c.lossCut+time.Second+4*c.srtt && (now-c.calm >= time.Second || c.loss.latest > 0.25):
		// Else the rate has just been cut, for a loss or for a queue: the cut is under way.
		c.cut(now)
		return
	}
	if c.rival.suspects(c, now) {
		c.enterCompete(now)
		return
	}
	if c.mayClimb(now) {
		c.beginClimb(now)
		return
	}
	c.track(now, dt)
}

// horizon is the time in which an excess of queue is to be drained: at least 2.5 times the delay of the loop, so
// that the loop does not swing. Ours.
func (c *Controller) horizon() time.Duration {
	return max(250*time.Millisecond, (c.minRTT+reportWait)*5/2)
}

// track follows the capacity: the rate that would bring the queue to T within the horizon is the most that is
// allowed; below it the rate grows.
func (c *Controller) track(now, dt time.Duration) {
	goal, h := c.goal(), c.horizon().Seconds()
	q, t := c.queue.Seconds(), goal.Seconds()
	anchor := c.capacity / share
	allowed := anchor * (1 + (t-q)/h)
	if q > t {
		c.calm = now
		if less := max(allowed, 0.5*anchor); less < c.rate && (less > 0.97*c.rate || now-c.cutAt >= max(40*time.Millisecond, c.srtt/2)) {
			if less <= 0.97*c.rate {
				c.cutAt = now
			}
			c.rate = less
		}
		return
	}
	k := growSlow
	if now-c.calm >= time.Second {
		k = growFast
	}
	if c.ceiling > 0 && c.rate*share > lossKeep*c.ceiling {
		k = growHeld
		if c.loss.recent > heldLoss { // whatever the loss is taken for, it comes from going on beyond the ceiling
			k, c.rate = 0, min(c.rate, c.ceiling/share)
		}
		if now >= c.holdTill {
			k = growAfter
			if c.target > 0 { // a buffer says when it is full, a policer does not
				k = 2 * growAfter
			}
		}
	}
	up := c.rate * (1 + k*(1-q/t)*dt.Seconds())
	// What arrived while the link was busy it carries still, most likely: go back there at once.
	if known := min(0.97*c.busy, c.rival.from) / share; now-c.busyAt < busyFor && up < known && c.reason != Hold {
		up = min(known, c.rate*(1+growBusy*dt.Seconds()))
	}
	sent := c.out.rate(c.lastSent, sentLook)
	// Where less is sent than was allowed, what arrives is not all the link carries.
	if used := sent > usedShare*c.rate; used && q > max(t/2.5, min(0.7*t, busyJitter*c.jitter.Seconds())) { // the link is busy, so what arrives is all it carries
		up = max(min(up, allowed*1.02), min(c.rate, allowed*1.05))
	}
	// Growth goes no further than what was tried allows; sending less than R is no reason to lower it.
	most := headroom*max(min(c.usually, c.heard/(1-c.loss.usual)), sent) + headroomAdd
	up = max(min(up, most), min(up, c.rate))
	if c.loss.recent > usualMax/2 { // whatever the loss is taken for, some of what is sent has to arrive
		up = min(up, c.heard/(1-usualMax)/share+headroomAdd)
	}
	c.rate = up
	if c.reason != Hold || now >= c.holdTill {
		c.reason = Track
	}
}

const (
	startLook    = 150 * time.Millisecond
	startPackets = 60 // behind a loss ratio that ends startup
)

// startup doubles until the queue shows.
func (c *Controller) startup(now, dt time.Duration) {
	switch {
	case c.queue > c.goal()/2:
		c.leaveStartup(now, 0.9*c.capacity/share)
		return
	case c.restart && c.rate >= 0.9*c.before:
		c.leaveStartup(now, c.rate)
		return
	case c.rate >= float64(c.cfg.Max):
		c.leaveStartup(now, c.rate)
		return
	}
	heard, tried := c.raw.rate(c.raw.newest(), startLook), c.out.rate(c.lastSent-c.srtt, startLook)
	if c.startAt == 0 {
		c.startAt, c.startRate, c.startIn = now, tried, heard
	} else if now-c.startAt >= max(epochLeast, 2*c.srtt) {
		grew := tried - c.startRate
		if c.loss.recent > 0.1 && c.loss.weight >= startPackets && grew > 0.3*c.startRate && heard-c.startIn < 0.4*grew {
			c.leaveStartup(now, min(c.rate, 1.5*heard/share))
			c.cut(now) // without a queue: a policer, or loss that was there before. The test tells.
			return
		}
		c.startAt, c.startRate, c.startIn = now, tried, heard
	}
	c.rate = max(c.rate, min(c.rate*(1+dt.Seconds()/startDouble), startRoom*c.heard+headroomAdd))
	if c.restart {
		c.rate = min(c.rate, c.before)
	}
}

func (c *Controller) leaveStartup(now time.Duration, rate float64) {
	c.rate = rate
	c.reason, c.calm, c.restart = Track, now, false
	c.busy, c.busyAt = 0, 0
}

// leaveOutage begins again at half of what was.
func (c *Controller) leaveOutage(now time.Duration) {
	c.rate = c.before / 2
	c.blind = now
	c.loss.relent()
	c.loss.restart(now)
	c.reason, c.restart, c.startAt = Startup, true, 0
	c.queue = 0
	c.last = now
	c.calm = now
	c.busy = 0
}

// cut begins a test of whose loss it is.
func (c *Controller) cut(now time.Duration) {
	sent := c.out.rate(c.lastSent, 250*time.Millisecond)
	if sent < testRate && c.loss.latest < 0.25 {
		return
	}
	c.before = c.rate
	c.rate = testCut * min(c.rate, max(sent, c.capacity))
	c.reason = Probe
	c.cutQueue = c.queue
	c.loss.begin(now, c.out.rate(c.lastSent-c.srtt, testWindow), c.raw.rate(c.raw.newest(), testWindow))
}

const testRate = 400e3 // below it a test takes longer than the path stays the same

const testWindow = 350 * time.Millisecond // within testLeast

// probe waits for the test's end; meanwhile the queue still counts.
func (c *Controller) probe(now time.Duration) {
	c.cutQueue = max(c.cutQueue, c.queue)
	said := c.loss.result(now, c.srtt, c.out.rate(c.lastSent-c.srtt, testWindow), c.raw.rate(c.raw.newest(), testWindow), c.cutQueue < topLeast)
	switch {
	case said == proven:
		c.reason, c.again = Track, 0
		c.overflow(now, 0)
	case said == random:
		c.ceiling, c.hold, c.again = 0, 0, 0
		fallthrough
	case said == unclear:
		c.reason, c.calm = Track, now
		c.rate = max(c.rate, c.before)
	case c.queue > 2*c.goal():
		c.loss.test.on = false
		c.reason = Track
	}
}

// overflow answers a loss that was ours. queue: what stood before it, 0 where none did (a policer).
func (c *Controller) overflow(now, queue time.Duration) {
	if now-c.lossCut < c.srtt+100*time.Millisecond {
		return
	}
	if now-c.holdTill < 2*c.hold { // soon again: wait longer
		c.hold = min(2*c.hold, 8*time.Second)
	} else {
		c.hold = time.Second
	}
	c.hold = max(c.hold, time.Second)
	c.lossCut, c.holdTill = now, now+c.hold
	c.loss.firm = now + c.hold/2 + 4*c.srtt
	carried := c.capacity
	if c.loss.test.arrived > 0 && now-c.loss.test.began < 3*time.Second {
		carried = c.loss.test.arrived / (1 - c.loss.usual)
		c.loss.test.arrived = 0
	} else if queue == 0 {
		carried = min(1.1*c.ceiling, max(c.steady, c.heard)/(1-c.loss.usual))
	}
	c.ceiling = carried
	keep := lossKeep
	if queue == 0 {
		keep = policedKeep
	}
	c.rate = min(c.rate, keep*carried/share)
	if queue >= topLeast {
		c.target = max(8*time.Millisecond, queue*6/10) // quic_cc.md §4.2
	}
	c.reason, c.calm = Hold, now
	c.loss.relent()
}

// relax lets what was learned from losses fade.
func (c *Controller) relax(dt time.Duration) {
	if c.target > 0 {
		c.target += time.Duration(0.03 * float64(c.target) * dt.Seconds())
		if c.target >= 2*c.cfg.Queue {
			c.target = 0
		}
	}
	c.steady += (c.heard - c.steady) * min(1, dt.Seconds())
	if c.ceiling > 0 && c.steady > 1.25*c.ceiling*(1-c.loss.usual) {
		c.ceiling = 0
	}
}

// marks answers CE: once a round trip, as SCReAMv2 and RFC 9331's DCTCP-like flows do.
func (c *Controller) marks(now time.Duration) {
	if now-c.markAt < c.srtt || c.markAll == 0 {
		return
	}
	f := float64(c.marked) / float64(c.markAll)
	if f > c.alpha {
		c.alpha += (f - c.alpha) / 8
	} else {
		c.alpha += (f - c.alpha) / 128
	}
	if c.marked > 0 {
		c.rate *= 1 - c.alpha/2
		c.calm = now
	}
	c.marked, c.markAll, c.markAt = 0, 0, now
}

// drain empties the queue now and then for as long as it takes to see the base delay. Flows that share a queue
// see it empty at the same time, and so drain together the next time.
func (c *Controller) drain(now time.Duration) {
	if c.base.lowAt > 0 {
		c.drainNext = max(c.drainNext, c.base.lowAt+drainEvery)
		if c.drainTill > 0 && now-c.base.lowAt < 20*time.Millisecond {
			c.drainTill = 0
		}
	}
	if now >= c.drainNext && c.reason == Track {
		c.drainTill = now + c.srtt + 100*time.Millisecond
		c.drainNext = now + drainEvery
	}
}
