package congestion

import (
	"math"
	"time"
)

// Controller is the congestion control of one path. It is owned by one goroutine; it holds no lock.
// Memory: 21 KiB, none per packet.
type Controller struct {
	cfg    Config
	reason Reason

	rate float64 // R: what may be sent, bits/s
	base base
	out  meter // by time of sending
	in   meter // by time of arrival, the receiver's clock: what the link carried
	raw  meter // what arrived
	loss auditor

	begun     bool
	last      time.Duration // feedback that told of an arrival
	lastSent  time.Duration
	minRTT    time.Duration
	srtt      time.Duration
	queue     time.Duration // smoothed
	swing     float64       // share of time with a queue far above T, over the last while
	spacing   time.Duration // between arrivals
	blind     time.Duration // packets sent before say nothing about queue and loss: an outage
	blindLoss time.Duration // nor about loss: a gap
	gapEnd    time.Duration // by the receiver's clock: when the link went on after it stood still
	jitter    time.Duration // mean change of the queue from report to report
	lastLeast time.Duration
	recent    [8]time.Duration // the least queue of each of the last reports
	reports   int
	capacity  float64 // C: what the link carries: what arrives, and what is lost through no fault of ours
	heard     float64 // what arrives
	steady    float64 // the same over a second
	busy      float64 // C when the queue last showed that the link was busy
	busyAt    time.Duration
	calm      time.Duration // since when nothing spoke against growth
	acked     int           // bytes that arrived, this report

	target   time.Duration // T where the buffer is shallow; 0: not
	ceiling  float64       // C at the last loss that was ours
	holdTill time.Duration
	hold     time.Duration
	again    int           // cuts at the ceiling since a test
	lossCut  time.Duration // last cut for loss

	before    float64       // R before a test, or before an outage
	cutAt     time.Duration // last cut for the queue
	cutQueue  time.Duration
	alpha     float64 // share of CE marks, filtered
	marked    int
	markAll   int
	markAt    time.Duration
	drainTill time.Duration
	drainNext time.Duration
	startRate float64 // startup: R and A at the last look, for loss without a queue
	startIn   float64
	startAt   time.Duration
	restart   bool // startup after an outage, up to before
	rival     rival
}

// New makes a controller; a Config that does not validate is cut to what does.
func New(cfg Config) *Controller {
	if cfg.Validate() != nil {
		cfg = Config{}
	}
	cfg = cfg.withDefaults()
	return &Controller{cfg: cfg, rate: float64(cfg.Start)}
}

// A link whose delay changes from one report to the next cannot be held to a queue that is shorter than the change: T
// grows with it. Ours.
const (
	jitterRoom  = 3
	jitterMost  = 40 * time.Millisecond
	goalMost    = 85 * time.Millisecond
	swingQueue  = 120 * time.Millisecond
	swingTime   = 10.0 // s
	swingFree   = 0.02
	cautionGain = 8.0
	cautionMost = 0.75
	shakyFrom   = 4 * time.Millisecond // jitter: below it, a long queue is somebody else's
	shakyAll    = 10 * time.Millisecond
	jitterStep  = 3 * time.Millisecond // one report more is looked at for each
)

// The law. Sources: quic_cc.md §4.2 unless it says ours, and then docs/congestion.md has the figures.
const (
	share       = 0.92                  // of R is given to the encoder, FEC and resends
	paceGain    = 1.25                  // pacing above R
	growSlow    = 0.8                   // R grows so much a second
	growFast    = 2.0                   // after a second without congestion
	growHeld    = 0.03                  // near a rate that made losses
	growAfter   = 0.1                   // the same, once the hold is over: ours
	growBusy    = 3.0                   // towards what is known to arrive: ours
	headroom    = 1.45                  // R above max(C, sent)
	headroomAdd = 100e3                 // bits/s
	startDouble = 0.2                   // s: R·(1 + Δt/0.2 s)
	startRoom   = 2.5                   // R above max(C, sent) in startup
	lossKeep    = 0.95                  // of what arrived, after a loss that was ours
	policedKeep = 0.92                  // where there was no queue: what a policer's bucket took is to be refilled. Ours.
	busyJitter  = 5.0                   // a queue of so many times the jitter is one. Ours.
	gapLeast    = 80 * time.Millisecond // without arrivals: a gap of the radio's. Ours.
	gapLook     = 60 * time.Millisecond // after it, until what arrives is believed. Ours.
	silence     = time.Second           // without feedback: outage
	busyFor     = time.Second           // how long C of a busy link is believed. Ours.
	reportWait  = 30 * time.Millisecond // a report's interval, 20 ms, and its processing
	drainEvery  = 10 * time.Second      // without an empty queue; RFC-to-be BBR's ProbeRTT is every 5 s
	drainShare  = 0.7                   // of the empty path's bytes while draining. Ours.
)

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
			if c.in.n > 0 && p.Arrival-c.in.newest() >= max(gapLeast, 4*c.spacing) {
				// The link stood still. What it carries shows from here on; how long the packets waited says nothing.
				c.in.restart()
				c.gapEnd, c.blindLoss = p.Arrival, p.Sent
			} else if c.in.n > 0 {
				c.spacing += (max(0, p.Arrival-c.in.newest()) - c.spacing) / 16
			}
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
	window := max(100*time.Millisecond, min(250*time.Millisecond, c.srtt))
	c.capacity = c.in.rate(c.in.newest(), window)
	c.heard = c.raw.rate(c.raw.newest(), 250*time.Millisecond)
	if c.queue > c.goal()/2 {
		c.busy, c.busyAt = c.capacity, now
	}
	if blind {
		return
	}
	if c.gapEnd > 0 && c.in.newest()-c.gapEnd < gapLook {
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

// goal is T: the queue that is aimed at. A slow flow bears more than a fast one, so that flows that share a
// queue agree only when their rates do; ours, after Swift's flow scaling (SIGCOMM 2020).
func (c *Controller) goal() time.Duration {
	const reference, most, least = 6e6, 2.5, 0.9 // bits/s, and the bounds of the factor
	scale := max(least, min(most, math.Pow(reference/max(c.rate, 1e5), 0.6)))
	t := time.Duration(float64(c.cfg.Queue)*scale) + min(time.Duration(jitterRoom*float64(c.jitter)), jitterMost)
	t = time.Duration((1 - c.caution()) * float64(min(t, goalMost)))
	if c.target > 0 {
		t = min(t, c.target)
	}
	return t
}

// caution is 0 on a link that follows, up to cautionMost where the queue ran away often of late: the capacity swings more
// than the loop can follow, and only a smaller queue before each fall helps.
func (c *Controller) caution() float64 {
	shaky := max(0, min(1, (c.jitter-shakyFrom).Seconds()/(shakyAll-shakyFrom).Seconds()))
	return shaky * max(0, min(cautionMost, cautionGain*(c.swing-swingFree)))
}

// Rate is R: all that may be sent.
func (c *Controller) Rate() Bitrate { return Bitrate(c.rate) }

// PacingRate is the rate at which packets leave.
func (c *Controller) PacingRate() Bitrate {
	switch c.reason {
	case Outage:
		return Bitrate(max(float64(c.cfg.Min), c.before/20))
	case Probe:
		return Bitrate(c.rate)
	case Startup:
		return Bitrate(c.rate * 1.1)
	}
	if c.target > 0 || c.ceiling > 0 { // a shallow buffer bears no bursts, and a policer none
		return Bitrate(c.rate * 1.05)
	}
	return Bitrate(c.rate * paceGain)
}

// Window is how many bytes may be in flight: what the path holds with the queue that is aimed at and half of it
// again, so that a link that stops collects no more than that.
func (c *Controller) Window() int {
	rtt := c.minRTT
	if rtt == 0 {
		rtt = 300 * time.Millisecond
	}
	rate := c.rate * share
	least := 4 * 1500
	switch {
	case c.reason == Outage:
		return max(least, Bitrate(c.before).Bytes(rtt+silence))
	case c.rival.on:
		return max(least, int(c.rival.window))
	case c.reason == Startup:
		return max(10*1500, Bitrate(c.rate).Bytes(2*rtt+reportWait))
	case c.last < c.drainTill:
		return max(least, int(drainShare*float64(Bitrate(rate).Bytes(rtt+reportWait))))
	}
	return max(least, Bitrate(rate).Bytes(rtt+reportWait*2/3+c.goal()))
}

// Target is what media, repairs and resends may take together.
func (c *Controller) Target() Bitrate {
	switch c.reason {
	case Outage:
		return c.cfg.Min
	case Probe:
		return Bitrate(c.rate)
	}
	return Bitrate(c.rate * share)
}

// Padding reports whether the path is being explored, so that sending less than Rate learns nothing: fill with
// repairs or padding. True in startup and after an outage only.
func (c *Controller) Padding() bool { return c.reason == Startup }

// Reason says what the controller is doing.
func (c *Controller) Reason() Reason {
	if c.reason == Track && c.rate >= float64(c.cfg.Max) {
		return Limited
	}
	return c.reason
}

// Queue is the delay at the bottleneck, above the least that was seen.
func (c *Controller) Queue() time.Duration { return c.queue }

// Loss is the loss ratio that is usual on this path: not ours.
func (c *Controller) Loss() float64 { return c.loss.usual }

// Drift is how much the receiver's clock gains, seconds per second.
func (c *Controller) Drift() float64 { return c.base.drift }
