package netem

import "time"

// lossProcess says which packets are lost. It is asked once for each packet number, in order.
type lossProcess struct {
	Loss
	chance chance // LossRandom
	draw   stream // one loss draw for each packet
	move   stream // one move of the state for each packet
	stay   stream // LossTime: one draw for each stay

	bad   bool  // LossGE, LossTime
	state uint8 // LossState: 1..4
	stays uint64
	until time.Duration // LossTime: end of this stay
}

func newLossProcess(seed uint64, dir Direction, l Loss, from time.Duration) lossProcess {
	p := lossProcess{
		draw: newStream(seed, dir, effectLoss),
		move: newStream(seed, dir, effectLossState),
		stay: newStream(seed, dir, effectLossTime),
	}
	p.set(l, from)
	return p
}

// set starts another model at time from, in its good state; draws stay where packet numbers put them.
func (p *lossProcess) set(l Loss, from time.Duration) {
	p.Loss, p.bad, p.state = l, false, 1
	p.chance = chance{p: l.P, corr: l.Corr, draw: p.draw}
	if l.Model == LossTime {
		p.until = from + p.nextStay(l.GoodFor)
	}
}

func (p *lossProcess) nextStay(mean time.Duration) time.Duration {
	d := time.Duration(p.stay.exp(p.stays) * float64(mean))
	p.stays++
	return max(d, 1)
}

// lost advances the process to packet n at time now.
func (p *lossProcess) lost(n uint64, now time.Duration) bool {
	switch p.Model {
	case LossRandom:
		return p.chance.next(n)
	case LossState:
		return p.step(p.move.unit(n))
	case LossGE:
		was := p.bad
		if was {
			p.bad = p.move.unit(n) >= p.R
		} else {
			p.bad = p.move.unit(n) < p.P
		}
		return p.draw.unit(n) < p.ratio(was)
	case LossTime:
		for now >= p.until {
			p.bad = !p.bad
			mean := p.GoodFor
			if p.bad {
				mean = p.BadFor
			}
			p.until += p.nextStay(mean)
		}
		return p.draw.unit(n) < p.ratio(p.bad)
	}
	return false
}

func (p *lossProcess) ratio(bad bool) float64 {
	if bad {
		return p.Bad
	}
	return p.Good
}

// step is tc's four-state chain: 1 received in a gap, 2 received in a burst, 3 lost in a burst, 4 lost in a gap.
// The packet has the fate of the state it moves to.
func (p *lossProcess) step(u float64) bool {
	switch p.state {
	case 1:
		switch {
		case u < p.P14:
			p.state = 4
		case u < p.P14+p.P13:
			p.state = 3
		}
	case 2:
		if u < p.P23 {
			p.state = 3
		}
	case 3:
		switch {
		case u < p.P32:
			p.state = 2
		case u < p.P32+p.P31:
			p.state = 1
		}
	case 4:
		p.state = 1
	}
	return p.state >= 3
}
