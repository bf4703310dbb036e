package congestion

import (
	"math"
	"time"
)

// auditor judges losses. Three ways lead to the verdict that a loss is ours:
//
//   - position: packets that meet the top of the queue are lost much more often than others: a buffer that
//     overflows. A test of two proportions, over the last seconds.
//   - test: more loss than is usual here, next to a full queue or above 25 %, asks for a cut of 20 %; if loss shrinks
//     with the rate it was ours.
//   - audit: any standing loss of 2 % or more is put to the same test now and then, ever more rarely, because a
//     policer drops without a queue.
//
// What is not ours is usual (p0): it is no reason to slow down, and the rate is counted before it.
type auditor struct {
	usual float64 // p0: loss that is not ours
	run   float64 // mean length of a run of losses

	began     time.Duration // of the epoch
	n, lost   int
	high      int // loss events at the top of the queue
	events    int
	above     share2  // packets at the top of the queue
	below     share2  // the others
	latest    float64 // loss ratio of the last epoch where it was above what is usual, until it is acted on
	recent    float64 // loss ratio, smoothed over a few epochs
	weight    float64 // packets behind recent
	top       [topBuckets]time.Duration
	topAt     int64
	shareHigh float64       // of arriving packets, those at the top
	lossQueue time.Duration // that the last packet met which was lost at the top
	fullAt    time.Duration // when that was sent

	ring  [auditRing]seen
	seen  int
	inRun int // ring position at the last loss: the next loss there belongs to the same run
	runs  int
	inAll int

	proven    bool          // the last test's loss was ours
	firm      time.Duration // after a verdict, what is usual does not grow until then
	nextAudit time.Duration
	backoff   time.Duration
	tested    float64 // loss ratio at the last test
	test      trial
}

// share2 counts packets and loss events, and forgets slowly.
type share2 struct{ n, lost float64 }

func (s *share2) fade(keep float64) { s.n, s.lost = s.n*keep, s.lost*keep }

// overflows is how many standard deviations the loss at the top is above that elsewhere.
func (a *auditor) overflows() float64 {
	if a.above.lost < 2.5 || a.below.n < 20 {
		return 0
	}
	pa, pb := a.above.lost/a.above.n, a.below.lost/a.below.n
	p := (a.above.lost + a.below.lost + 1) / (a.above.n + a.below.n + 1)
	return (pa - pb) / math.Sqrt(p*(1-p)*(1/a.above.n+1/a.below.n))
}

type seen struct{ sent, queue time.Duration }

// trial is a cut of 20 % and what came of it.
type trial struct {
	on      bool
	began   time.Duration // packets sent from here on count
	before  float64       // loss ratio
	sent    float64       // rate before, bits/s
	arrived float64
	n, lost int
	events  int
	sigmas  float64 // how sure to be
}

const (
	auditRing  = 256
	topBuckets = 8                      // of half a second: the recent maximum of the queue
	topShare   = 0.85                   // of the recent maximum counts as the top. Ours.
	topLeast   = 4 * time.Millisecond   // quic_cc.md §4.2
	epochLeast = 200 * time.Millisecond // quic_cc.md §4.2: E = max(200 ms, 2 SRTT)
	usualMax   = 0.4                    // quic_cc.md §4.2
	testCut    = 0.8                    // quic_cc.md §4.2
	testLosses = 20                     // loss events a test should expect: ours; half of them or fewer has a chance of 1 % where loss is not ours
	testLeast  = 400 * time.Millisecond
	testMost   = 2000 * time.Millisecond
	overflowOK = 4.5 // standard deviations. Ours: 4 was met by chance twice in ten minutes of 10 % random loss
	keepShares = 0.9 // each epoch, so a memory of 2 s
	auditLoss  = 0.02
	auditFirst = 4 * time.Second
	auditLast  = 64 * time.Second
)

func (a *auditor) init(now time.Duration) {
	a.run, a.began = 1, now
	a.shareHigh = 0.2
	a.nextAudit = now // the first test may come at once
	a.backoff = auditFirst
	a.inRun = -1
}

// maxQueue is the greatest queue of the last 4 s.
func (a *auditor) maxQueue() time.Duration {
	var m time.Duration
	for _, q := range a.top {
		m = max(m, q)
	}
	return m
}

// received is told of a packet that arrived, with the queue it met.
func (a *auditor) received(now, sent, queue time.Duration) {
	k := int64(now / (500 * time.Millisecond))
	for a.topAt < k {
		a.topAt = max(a.topAt+1, k-topBuckets)
		a.top[a.topAt%topBuckets] = 0
	}
	a.top[k%topBuckets] = max(a.top[k%topBuckets], queue)
	a.ring[a.seen%auditRing] = seen{sent, queue}
	a.seen++
	a.n++
	hit := 0.0
	if m := a.maxQueue(); m >= topLeast && float64(queue) >= topShare*float64(m) {
		hit = 1
		a.above.n++
	} else {
		a.below.n++
	}
	a.shareHigh += (hit - a.shareHigh) / 512
	if a.test.on && sent >= a.test.began {
		a.test.n++
	}
}

// dropped is told of a packet that was lost.
func (a *auditor) dropped(sent time.Duration) {
	a.n++
	a.lost++
	if a.test.on && sent >= a.test.began {
		a.test.n++
		a.test.lost++
	}
	// The neighbour: the newest packet that arrived and was sent before.
	i := a.seen - 1
	for ; i >= max(0, a.seen-auditRing); i-- {
		if a.ring[i%auditRing].sent <= sent {
			break
		}
	}
	a.inAll++
	if a.test.on && sent >= a.test.began && i != a.inRun {
		a.test.events++
	}
	if i == a.inRun || i < 0 || i < a.seen-auditRing {
		return
	}
	a.inRun = i
	a.runs++
	a.events++
	if a.runs >= 64 {
		a.runs, a.inAll = a.runs/2, a.inAll/2
	}
	a.run = float64(a.inAll+2) / float64(a.runs+2)
	queue := a.ring[i%auditRing].queue
	if m := a.maxQueue(); m >= topLeast && float64(queue) >= topShare*float64(m) {
		a.high++
		a.above.n++
		a.above.lost++
		a.lossQueue, a.fullAt = queue, sent
	} else {
		a.below.n++
		a.below.lost++
	}
}

// clean reports whether the only losses seen of late were ours.
func (a *auditor) clean() bool { return a.proven && a.usual < 0.01 }

// innocent is the share of lost packets that counts as carried by the link: what is usual, of what is lost.
func (a *auditor) innocent() float64 {
	if a.recent <= a.usual {
		return 1
	}
	return a.usual / a.recent
}

// judgement is what an epoch brought.
type judgement uint8

const (
	nothing  judgement = iota
	ours               // it is congestion
	suspects           // put it to the test
)

// epoch ends the epoch if it is over, and judges.
func (a *auditor) epoch(now, srtt time.Duration) judgement {
	if now-a.began < max(epochLeast, 2*srtt) || a.n < 20 {
		return nothing
	}
	p, n, high, events := float64(a.lost)/float64(a.n), float64(a.n), a.high, a.events
	a.began, a.n, a.lost, a.high, a.events = now, 0, 0, 0, 0
	gain := n / (n + min(a.weight, 400))
	a.weight = min(a.weight+n, 400)
	a.recent += gain * (p - a.recent)
	a.latest = 0
	z := a.overflows()
	a.above.fade(keepShares)
	a.below.fade(keepShares)
	if z >= overflowOK {
		a.above, a.below = share2{}, share2{}
		return ours
	}
	if a.test.on {
		return nothing
	}
	rested := now >= a.nextAudit-a.backoff+min(a.backoff, auditFirst)
	sigma := math.Sqrt(max(a.usual, 0.01) * (1 - a.usual) / n * a.run)
	bound := a.usual + max(0.03, 3*sigma)
	if a.clean() {
		bound = a.usual + max(0.015, 3*sigma)
	}
	if p <= bound {
		switch {
		case p < a.usual || now >= a.firm && !a.clean():
			a.usual += 0.1 * (p - a.usual)
		case now >= a.firm:
			a.usual += 0.02 * (p - a.usual)
		}
		if a.recent >= auditLoss && (now >= a.nextAudit || a.recent > a.tested+0.05 && rested) {
			return suspects
		}
		return nothing
	}
	a.latest = p
	full := events > 0 && float64(high) >= 0.6*float64(events) && a.shareHigh < 0.6
	if rested && (full || p > 0.25 && p > 2*a.usual) {
		return suspects
	}
	if now >= a.firm {
		a.usual = min(usualMax, a.usual+0.3*(p-a.usual))
	}
	return nothing
}
