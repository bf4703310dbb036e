package congestion

import (
	"math"
	"time"
)

// begin starts a test: packets sent from now on count.
func (a *auditor) begin(now time.Duration, sent, arrived float64) {
	a.test = trial{on: true, began: now, before: max(a.recent, 0.005), sent: sent, arrived: arrived, sigmas: 3.5}
	if a.usual >= auditLoss && a.latest <= a.usual+0.03 { // an audit: what is usual is the better estimate of what was
		a.test.before, a.test.sigmas = min(a.test.before, a.usual), 2.5
	}
}

// outcome of a test.
type outcome uint8

const (
	running outcome = iota
	unclear         // too few losses to say
	random          // not ours
	proven
)

// relent forgets the loss of late: the rate was cut for it.
func (a *auditor) relent() { a.recent, a.weight, a.latest = min(a.recent, a.usual), 0, 0 }

// restart begins an epoch.
func (a *auditor) restart(now time.Duration) {
	a.began, a.n, a.lost, a.high, a.events = now, 0, 0, 0, 0
	a.above, a.below = share2{}, share2{}
}

// result reports whether the test is over and what it says. sent, arrived: rates of late, of the same packets;
// empty: there is no queue, and there was none.
func (a *auditor) result(now, srtt time.Duration, sent, arrived float64, empty bool) outcome {
	t := &a.test
	if !t.on {
		return running
	}
	took := now - t.began - srtt
	expect := float64(t.n) * t.before / a.run // events, were the loss not ours
	sure := expect >= testLosses || expect >= 8 && t.events == 0
	hopeless := took > testMost/2 && expect < testLosses/8
	if took < testLeast || took < testMost+srtt && !sure && !hopeless {
		return running
	}
	t.on = false
	if t.n == 0 {
		return unclear
	}
	p := float64(t.lost) / float64(t.n)
	floor := 0.0
	if t.before > a.usual+0.03 {
		floor = a.usual // the loss that was usual before stays whatever we do
	}
	few := expect - t.sigmas*math.Sqrt(expect)
	if expect >= 6 {
		few = max(0, few)
	}
	ours := p-floor < 0.5*(t.before-floor) && float64(t.events) <= few
	// Without a queue to drain, what arrives falls as what is sent does, unless a policer takes the difference. Below
	// 20 % of loss a cut of 20 % ends a policer's, and the count above shows it.
	less, fewer := 1-sent/max(1, t.sent), 1-arrived/max(1, t.arrived)
	policed := empty && t.before > 0.2 && less > 0.1 && fewer < less/3
	ours = ours || policed
	a.tested, a.proven = p, ours
	if ours {
		a.backoff = auditFirst
		a.usual = min(a.usual, p)
		if policed {
			a.usual = 0
		}
	} else {
		a.backoff = min(2*a.backoff, auditLast)
		a.usual = min(usualMax, (t.before+p)/2)
	}
	a.latest = 0
	a.recent, a.weight = p, float64(min(t.n, 200))
	a.nextAudit = now + a.backoff
	a.restart(now)
	switch {
	case ours:
		return proven
	case expect < 12 && p < 0.5*t.before:
		return unclear
	}
	return random
}
