package congestion

import "time"

// Sent is told of each packet; size in bytes on the wire.
func (c *Controller) Sent(now time.Duration, size int) {
	c.out.add(now, size)
	c.lastSent = now
	if c.begun && now-c.last >= silence {
		c.enterOutage(now)
	}
}

func (c *Controller) enterOutage(now time.Duration) {
	if c.reason == Outage {
		return
	}
	c.before = c.rate
	c.reason = Outage
	c.loss.test.on = false
	c.climb.on = false
	c.rival.end()
	c.base.held = false
}

// Feedback is told what became of packets, in the order of sending as far as it can be. minRTT is the least round
// trip of the last half minute, 0 before the first. Borrows packets.
func (c *Controller) Feedback(now, minRTT time.Duration, packets []Packet) {
	if minRTT > 0 {
		c.minRTT = minRTT
	}
	if c.loss.backoff == 0 {
		c.loss.init(now)
	}
	least, arrived, blind := time.Duration(-1), 0, false
	var newest time.Duration
	for i := range packets { // the round trip first: a report's newest packet waited least
		if p := &packets[i]; !p.Lost {
			newest = max(newest, p.Sent)
		}
	}
	for i := range packets {
		p := &packets[i]
		if p.Lost {
			continue
		}
		rtt := time.Duration(0)
		if p.Sent == newest {
			rtt = max(time.Microsecond, now-p.Sent)
		}
		arrived += p.Size
		c.base.add(now, p.Sent, p.Arrival-p.Sent, rtt)
		q := c.base.queue(p.Sent, p.Arrival-p.Sent)
		if least < 0 || q < least {
			least = q
		}
		if p.Sent < c.blind {
			blind = true // it waited for the link to come back
		}
		c.loss.received(now, p.Sent, q)
		c.mark(p)
	}
	for i := range packets {
		if p := &packets[i]; p.Lost && c.reason != Outage && p.Sent >= max(c.blind, c.blindLoss) {
			c.loss.dropped(p.Sent)
		}
	}
	c.acked = arrived
	if arrived == 0 {
		if c.begun && now-c.last >= silence {
			c.enterOutage(now)
		}
		return
	}
	if c.reason == Outage || c.begun && now-c.last >= silence {
		c.enterOutage(now)
		c.in.restart()
		c.raw.restart()
		c.leaveOutage(now)
		blind = true
	}
	for i := range packets {
		if p := &packets[i]; !p.Lost {
			c.gap(p)
			c.arrivedSent = p.Sent
			c.in.add(p.Arrival, p.Size)
			c.raw.add(p.Arrival, p.Size)
		}
	}
	// A packet that was lost through no fault of ours took its place on the link, or its share of the rate that fills
	// it: it counts as carried, when its neighbour arrived.
	lost := 0
	for i := range packets {
		if p := &packets[i]; p.Lost && p.Sent >= max(c.blind, c.blindLoss) {
			lost += p.Size
		}
	}
	c.in.add(c.in.newest(), int(float64(lost)*c.loss.innocent()))
	c.observe(now, now-newest, least, blind)
}

// gap notices that nothing arrived for a while before p. What the link carries shows from here on. Where there had been
// something to carry the link stood still, and how long the packets waited says nothing.
func (c *Controller) gap(p *Packet) {
	if c.in.n == 0 {
		return
	}
	length, paused := max(0, p.Arrival-c.in.newest()), p.Sent-c.arrivedSent
	held := paused < length*7/10                                                             // it waited
	dropped := paused > meterGrain && c.out.rate(p.Sent-meterGrain, paused-2*meterGrain) > 0 // others before it did not come
	if length < max(gapLeast, 4*c.spacing) {
		c.spacing += (length - c.spacing) / 16
		if c.gapOpen {
			c.gapAfter += p.Size
		}
		return
	}
	if c.gapOpen && c.gapAfter < gapBurst { // a packet or two and nothing again: it does not stand still, it is slow
		c.closeGap()
		return
	}
	c.gapFrom = c.in.newest()
	c.in.restart()
	if c.gapOpen = held || dropped; c.gapOpen {
		c.gapEnd, c.blindLoss, c.gapAfter = p.Arrival, p.Sent, 0
		c.gapBack = p.Arrival
	}
}

// gapBurst is how many bytes come within gapLook of a gap's end where the link has come back, behind its first packet: half a megabit a second. Small
// packets that a slow scheduler serves at once are not as many. Ours.
const gapBurst = 3600

// closeGap judges what looked like a gap: unless packets follow upon each other behind it the link is slow, and the time it took belongs
// to what it carries.
func (c *Controller) closeGap() {
	c.gapOpen = false
	if c.gapAfter < gapBurst {
		c.in.since = min(c.in.since, c.gapFrom)
		c.gapEnd = 0
	}
}

// observe updates the estimates and then the rate.
func (c *Controller) observe(now, rtt, least time.Duration, blind bool) {
	if !c.begun {
		c.begun = true
		c.last, c.calm, c.drainNext = now, now, now+drainEvery
		c.srtt = rtt
	}
	dt := min(now-c.last, 200*time.Millisecond)
	c.last = now
	c.srtt += (rtt - c.srtt) / 8
	c.jitter += ((least - c.lastLeast).Abs() - c.jitter) / 32
	c.lastLeast = least
	c.recent[c.reports%len(c.recent)] = least
	c.reports++
	far := 0.0
	if least > swingQueue {
		far = 1
	}
	c.swing += (far - c.swing) * min(1, dt.Seconds()/swingTime)
	keep := 1 - min(1, dt.Seconds()/stopTime)
	c.came, c.stood = c.came*keep+float64(c.acked), c.stood*keep
	if least > swingQueue && c.gapBack > 0 && c.arrivedSent < c.gapBack-c.base.low { // sent before the link went on
		c.stood += float64(c.acked)
	}
	c.stops = max(0, min(1, (c.stood/c.came-stopFree)/(stopAll-stopFree)))
	slow := min(1, stopSlow/max(1, c.climb.peak))
	c.stops *= slow * slow
	// Where the delay jitters, a queue is what stays over several reports; far above T it is a queue at once.
	look := min(c.reports, 1+int(c.jitter/jitterStep), len(c.recent))
	if least < 3*c.goal() {
		for i := 2; i <= look; i++ {
			least = min(least, c.recent[(c.reports-i)%len(c.recent)])
		}
	}
	if least <= c.queue {
		c.queue = least
	} else {
		c.queue += (least - c.queue) / 2
	}
	if c.gapOpen && c.in.newest()-c.gapEnd >= gapLook {
		c.closeGap()
		c.loss.restart(now) // what seemed lost meanwhile waited, or is the gap's
		c.loss.latest = 0
	}
	if !c.gapOpen { // else a packet or two behind a gap are no rate
		c.capacity = c.in.rate(c.in.newest(), lookBack)
	}
	c.usually += (c.capacity - c.usually) * min(1, dt.Seconds()/longTime)
	c.heard = c.raw.rate(c.raw.newest(), lookBack)
	// A stream that sends less for a while, of a still picture, leaves what was proven before. A queue says that it is over.
	if seen := min(c.capacity, (aheadLong-stopLong*c.stops)*c.usually); seen > c.proof || c.queue > c.goal()/2 {
		c.proof = seen
	}
	if c.queue > c.goal()/2 {
		c.busy, c.busyAt = c.capacity, now
	}
	if blind {
		return
	}
	c.watch(now, dt)
	if c.gapEnd > 0 && c.in.newest()-c.gapEnd < gapLook {
		c.gapEndHere = now
		return
	}
	c.control(now, dt)
	c.rate = max(float64(c.cfg.Min), min(float64(c.cfg.Max), c.rate))
}

// mark counts congestion marks.
func (c *Controller) mark(p *Packet) {
	c.markAll++
	if p.CE {
		c.marked++
	}
}
