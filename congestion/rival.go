package congestion

import (
	"math"
	"time"
)

// rival is the competing mode: beside a flow that fills the queue, a flow that yields to the queue starves.
//
// It is entered when the queue stayed above T while we fell by half: alone we would have emptied it. In it the
// window grows as CUBIC's and yields as TCP's does, by loss alone; a cut now and then shows whether somebody is still there: alone,
// what arrives stays the same while the queue falls.
type rival struct {
	on     bool
	window float64 // bytes
	most   float64 // the window at the last loss, 0: none yet
	low    float64 // and behind it

	since time.Duration // when the queue rose above T
	from  float64       // the most that arrived in the last while
	seen  time.Duration
	until time.Duration // no suspicion before
	fails int
	alone int // tests in a row that saw nobody

	lossAt  time.Duration
	cutAt   time.Duration // the test: when it began, 0: none
	nextCut time.Duration
	arrived float64
	saved   float64
	stood   time.Duration // queue before the cut
	fullAt  time.Duration // when it was last at its top
	empty   time.Duration // since when the queue is below T/2
}

const (
	rivalAfter  = 2000 * time.Millisecond
	rivalFell   = 0.5
	rivalSent   = 1.2                    // of R: one that sends more has not yielded. Ours.
	rivalLoss   = 0.02                   // above it a buffer may be shorter than T. Ours.
	rivalFull   = 0.4                    // of the queue at which packets were lost of late: one that loses there too falls to it, and comes back. Ours.
	rivalRecall = 20 * time.Second       // since that loss: who has yielded sends few packets, and loses one of them seldom. Ours.
	rivalGain   = 2.0                    // packets a round trip
	rivalCubic  = 0.1                    // packets/s³ and, beyond the window at the last loss,
	rivalBeyond = 1.1                    // of it at most: RFC 9438 has 0.4, and no bound. Ours.
	rivalClean  = 0.01                   // of usual loss: below it each loss at the top of the queue counts, and above it evidence is wanted. Ours.
	rivalLost   = 0.012                  // of loss: less, where some is usual, is nobody's doing. Ours.
	rivalRest   = 100 * time.Millisecond // and a round trip since the top of the queue: what it falls by just behind is the others' doing. Ours.
	rivalBeta   = 0.8                    // RFC 9438 has 0.7
	rivalLossy  = 2.5                    // more of rivalBeta for each unit of loss, up to rivalMost: one that does not answer to loss loses much. Ours.
	rivalMost   = 0.90
	rivalCut    = 0.7
	rivalEvery  = 8 * time.Second
	rivalEmpty  = 2 * time.Second
	rivalPacket = 1200
	rivalMemory = 30.0 // s
)

func (r *rival) end() { r.on, r.since, r.cutAt = false, 0, 0 }

// suspects watches the queue.
func (r *rival) suspects(c *Controller, now time.Duration) bool {
	r.from = max(c.capacity, r.from*(1-(now-r.seen).Seconds()/rivalMemory))
	r.seen = now
	stands := time.Duration(float64(c.goal()) / (1 - c.caution())) // a smaller T of our own making is no sign of others
	if r.since > 0 && c.loss.fullAt > 0 && (c.loss.usual < rivalClean/3 || c.loss.recent > rivalLost) && now-c.loss.fullAt < rivalRecall {
		stands = min(stands, time.Duration(rivalFull*float64(c.loss.lossQueue)))
	}
	if c.loss.recent > rivalLoss { // a full buffer may be shorter than T
		stands = min(stands, c.loss.maxQueue()/2)
	}
	least := c.rate <= 2*float64(c.cfg.Min) && c.out.rate(c.lastSent, sentLook) > rivalSent*c.rate+headroomAdd
	if c.queue <= stands || now < r.until || least {
		r.since = 0 // the queue is short, or R can fall no further and more is sent: the queue is our own
		return false
	}
	if r.since == 0 {
		r.since = now
	}
	return now-r.since >= max(rivalAfter, 6*c.srtt) && c.capacity <= rivalFell*r.from && c.queue < c.cfg.MaxQueue
}

func (c *Controller) enterCompete(now time.Duration) {
	r := &c.rival
	r.on, r.alone = true, 0
	c.base.held = true
	r.window = max(r.from*0.8, c.capacity) / 8 * (c.minRTT + c.queue).Seconds()
	r.nextCut = now + rivalEvery
	r.cutAt, r.empty, r.lossAt, r.most = 0, 0, now, 0
	c.reason = Compete
}

func (c *Controller) compete(now, _ time.Duration, verdict judgement) {
	r := &c.rival
	rtt := c.minRTT + c.queue
	switch {
	case c.queue > c.goal()/2:
		r.empty = 0
	case r.empty == 0:
		r.empty = now
	}
	if r.empty > 0 && now-r.empty >= rivalEmpty || c.queue > c.cfg.MaxQueue {
		c.leaveCompete(now)
		return
	}
	if r.cutAt > 0 {
		if now-r.cutAt < rtt+c.srtt/2+250*time.Millisecond {
			return
		}
		r.cutAt = 0
		// Alone, a cut of 30 % takes 30 % of a round trip out of the queue and nothing from what arrives.
		fell := (r.stood - c.queue).Seconds() / ((1 - rivalCut) * (c.minRTT + r.stood).Seconds())
		if c.in.rate(c.in.newest(), 500*time.Millisecond) > 0.85*r.arrived && fell > 0.6 {
			if r.alone++; r.alone < 2 { // once more, to be sure
				r.nextCut = now + time.Second + rtt
				r.window = r.saved
				return
			}
			r.fails++
			r.until = now + min(30*time.Second, time.Duration(r.fails)*5*time.Second)
			c.leaveCompete(now)
			return
		}
		r.fails, r.alone = 0, 0
		r.window = r.saved
	}
	r.window += rivalGain * rivalPacket * float64(c.acked) / r.window
	if r.most > 0 { // RFC 9438 §4.2: W(t) = C·(t − K)³ + Wmax
		t := (now - r.lossAt).Seconds() - math.Cbrt((r.most-r.low)/rivalPacket/rivalCubic)
		r.window = max(r.window, min(rivalBeyond*r.most, r.most+rivalCubic*t*t*t*rivalPacket))
	}
	full := c.queue.Seconds() > topShare*c.loss.maxQueue().Seconds()
	if full {
		r.fullAt = now
		c.loss.firm = now + time.Second // what is lost now is nobody's usual loss
	}
	if (verdict == ours || c.loss.usual < rivalClean && c.loss.fullAt > r.lossAt || c.loss.overflows() > 2 || full && c.loss.latest > 0) && now-r.lossAt > rtt+100*time.Millisecond {
		r.lossAt = now
		r.most = r.window
		r.window *= min(rivalMost, rivalBeta+rivalLossy*c.loss.recent)
		r.low = r.window
		c.loss.above, c.loss.below, c.loss.latest = share2{}, share2{}, 0
	}
	if now >= r.nextCut && (now-max(r.fullAt, r.lossAt) > rtt+rivalRest || now >= r.nextCut+rivalEvery) {
		r.nextCut = now + rivalEvery
		r.stood = c.queue
		r.cutAt, r.arrived, r.saved = now, c.in.rate(c.in.newest(), 500*time.Millisecond), r.window
		r.window *= rivalCut
	}
	c.rate = r.window * 8 / max(rtt+reportWait/2, c.srtt).Seconds()
}

func (c *Controller) leaveCompete(now time.Duration) {
	c.rival.end()
	c.base.held = false
	c.reason, c.calm = Track, now
	c.rate = min(c.rate, c.capacity/share)
	c.busyAt = 0
}
