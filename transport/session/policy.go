package session

import (
	"time"

	"github.com/fairlead-live/fairlead/fec"
	"github.com/fairlead-live/fairlead/fec/limit"
)

// policy decides how many packets answer a loss and how many repairs go ahead, from what feedback says
// about the path: package fec's estimators and plans, fed and asked.
type policy struct {
	off        bool // resends only
	loss       fec.LossEstimator
	planner    *fec.Planner
	plan       *fec.Plan
	dither     fec.Dither
	window     fec.Accumulator
	lossAt     time.Duration // newest loss; 0: none
	newest     int64         // transport sequence number of the newest packet whose fate is known
	newestAt   time.Duration // when it was sent
	newestLost bool          // and that fate
	flying     []float64     // reused
	packets    rate          // all that is sent
	media      rate          // first sendings
	frames     rate
	round      time.Duration // what one takes
	dear       bool          // one round fits: protection costs several times the loss
	patient    bool          // a block that misses its deadline is late, and only it: see lateRelax
	copies     bool          // the latency holds more packets than the other end's decoder
	cost       float64       // expected overhead of the blocks made lately, per source packet
}

func (p *policy) init(off bool) {
	p.off = off
	if off {
		return
	}
	p.planner = fec.NewPlanner()
	p.plan = p.planner.Use(fec.Setting{Loss: 0.02})
}

// How much is sent beyond what the estimate asks for: ours, from the grid (TestGrid, 10 % loss, 60/200). fec.md §4.4
// plans for one standard deviation more loss and pays for 1e-4; with the estimate rounded up to the next plan as
// well, that cost 15.7 % (independent) and 23.7 % (bursts of 3) where 12.2 and 14.0 % are the limits for 1e-3. With no
// margin and a quarter of the price it costs 12.9 and 12.8 % and meets 1e-3.
const (
	planMargin   = 0.0
	leastPlanned = 0.005
)

// Where many rounds fit, the last ones are rarely reached and what they cost is next to nothing: so there every block
// is worth 4·2^9 packets, whatever its class, unless so much is lost that the last rounds are common; and where four fit,
// 4·2^16. Ours, for G4: 60/300 at 10 % loses 2e-4 of the frames without it, and 5e-5 in bursts of 8 with the lower price. Not where a round is hardly longer
// than the sending of its answers: 20/120, 10 % in bursts of 8, takes 14.1 % and loses 1.1e-4 with it, 12.4 % and 8e-5 without (seeds 100 to 159).
const (
	manyRounds = 3
	dearLoss   = 0.14
	dearPrice  = fec.Price(9)
	dearest    = fec.Price(16)
	fourRounds = 3.9
	// Where three fit and losses come in long bursts the last one is not that rare: ours, from the grid at 10 % in bursts of 8, seeds 100 to 159, for
	// 1e-3. 150/500: 12.57 % and 6e-5 of the frames lost at 4·2^9, 12.37 % and 8e-5 so.
	dearLong    = fec.Price(6)
	threeRounds = 3.5
	dearCopies  = fec.Price(5) // where the last rounds find the block gone from the decoder: copies do less than symbols
)

// Steps of two by which a reference frame's price is below that of 1e-4 elsewhere: ours, from the grid at 20 %, for 1e-3. Not where two rounds
// fit and less is lost, independently: there the last factor of four of the frames lost costs 0.1 to 0.2 points (60/200, 5 %: 2.2e-4 at
// 5.53 %, 5.6e-5 at 5.63 %; 10 %: 3.9e-4 at 12.95 %, 2.2e-4 at 13.18 %; 30 seeds of 20 s).
const (
	cutPrice      = fec.Price(2)
	cutPriceBurst = fec.Price(3) // many rounds, bursts
)

// Where much is lost in long bursts the price is a step higher, and two steps above that of 1e-4 where a round is hardly longer than the
// sending of its answers, for there the last one is short of room: ours, from the grid at 20 % in bursts of 8 (20/120: 1.2e-3 at 32.9 %
// without the two steps, 8e-4 at 34.4 % with them; four lose no less).
const (
	longBurst   = 4.2 // packets
	shortRound  = 40 * time.Millisecond
	shortPrice  = fec.Price(2)
	surelyHeavy = 0.17 // 10 % that comes in bursts is not often taken for so much
)

// Where one round fits, and a block of two frames, protection costs up to three times the loss, and a tenth of that goes
// into the last factor of three of the targets: ours, from the grid. Where there is no room for two frames (60/120) rounds
// fail more often than planned, and 4e-3 of the frames are lost at 2 % with it.
const dearRelax = 3

// Where frames leave as soon as they are in order and the latency may grow, one that misses its deadline comes a round late, and that is all: so one in a
// hundred may, as it does with TCP, which has no deadline. Ours: at RTT 60 the slowest frame of a hundred takes 172 ms for 165 at 10 % of loss and a latency of 190 ms, and 233 for
// 227 at 20 % and 230 ms, for 1 point less; three times as much adds 30 ms.
const lateRelax = 20

// observe learns the fate of a packet, in the order of sending.
func (p *policy) observe(now time.Time, at time.Duration, lost bool) {
	p.loss.Observe(now, lost)
	if lost {
		p.lossAt = max(at, 1)
	}
}

// refresh takes the plan for the path as it is now. span > 0: no round fits, so a window over so much time is wanted.
func (p *policy) refresh(at, round, span time.Duration) {
	if p.off {
		return
	}
	p.round = round
	e := p.loss.Estimate()
	if e.Upper > 0 { // not clean: plan for the estimate itself, see planMargin
		e.Upper = max(leastPlanned, e.Loss+planMargin*(e.Upper-e.Loss))
	}
	setting := e.Setting(p.packets.perSecond(at) * round.Seconds())
	if fps := p.frames.perSecond(at); span > 0 && fps > 0 {
		setting.Packets = max(1, int(p.media.perSecond(at)/fps+0.5))
		setting.Frames = max(1, min(int(span.Seconds()*fps)+1, fec.MaxCount/setting.Packets))
	}
	switch {
	case p.patient:
		setting.Relax = lateRelax
	case span == 0 && p.dear:
		setting.Relax = dearRelax
	}
	p.plan = p.planner.Use(setting)
}

// ahead is what goes out with a block of k packets after whose sending further rounds fit; left is the time left in rounds.
func (p *policy) ahead(k, further int, left float64, c fec.Class) (parity int, price fec.Price) {
	if p.off {
		return 0, 0
	}
	further = max(0, further)
	s := p.plan.Proactive(k, further, c, p.dither.Next())
	p.cost += (p.plan.Overhead(k, further, c) - p.cost) / 32
	if p.patient {
		return s.Parity, s.Price
	}
	if c != fec.Droppable && further >= manyRounds && p.plan.Setting().Loss < dearLoss {
		dear := dearPrice
		switch {
		case p.copies:
			dear = dearCopies
		case left >= fourRounds && p.round >= shortRound:
			dear = dearest
		case (left < threeRounds || p.round < shortRound) && c == fec.Reference && p.plan.Setting().Burst >= longBurst:
			dear = dearLong
		}
		s.Price = max(s.Price, dear)
	} else if c == fec.Reference {
		cut := cutPrice
		switch set := p.plan.Setting(); {
		case further != 2:
		case set.Burst == 0 && set.Loss < dearLoss:
			cut = 0
		case set.Burst >= longBurst && p.heavy(): // 60/200, 20 % in bursts of 8: 8.9e-4 at 51.9 %, and 1.2e-3 at 48.6 % otherwise
			cut--
		}
		if further >= manyRounds && p.plan.Setting().Burst > 0 {
			cut = cutPriceBurst
			switch set := p.plan.Setting(); {
			case set.Loss < surelyHeavy:
			case p.round < shortRound:
				cut = 0
			default: // 150/500, 20 % in bursts of 3: 8.3e-4 at 29.3 %, and 2.2e-4 at 29.8 % so
				cut--
			}
		}
		s.Price -= min(s.Price, cut)
		if p.round < shortRound && p.bursty() && p.heavy() {
			s.Price += shortPrice
		}
	}
	if p.copies && further >= manyRounds {
		s.Parity = 0 // it would be forgotten before the last round
	}
	return s.Parity, s.Price
}

// none is for a block that goes without repairs: it says what the block is worth.
func (p *policy) none(c fec.Class) fec.Price {
	if p.off {
		return 0
	}
	p.cost -= p.cost / 32
	return p.plan.Proactive(1, manyRounds, c, 0).Price
}

// slide is how many repairs over a sliding window follow k packets where no round fits. span is how many packets the
// window holds: on a clean path one repair a window is sent, so that the first loss is covered (fec.md §4.4).
func (p *policy) slide(k, span int) int {
	if p.off {
		return 0
	}
	rate := 1 / float64(max(span, 1))
	if p.plan.Setting().Loss > 0 {
		rate = max(rate, p.plan.Window())
	}
	p.cost += (rate - p.cost) / 32
	return p.window.Take(rate * float64(k))
}

// answer is how many packets should be on their way for lost missing symbols when left transmissions remain,
// the one now included.
func (p *policy) answer(lost, left int, price fec.Price) int {
	if p.off {
		return lost
	}
	return p.plan.Repair(price, lost, left, p.newestLost)
}

// fate takes note of what became of a packet: of the newest one known, the path is still in that state.
func (p *policy) fate(sequence int64, sent time.Duration, lost bool) {
	if sequence >= p.newest {
		p.newest, p.newestAt, p.newestLost = sequence, sent, lost
	}
}

// last is how many more packets are sent for missing symbols when nothing more can be learned in time, and how far apart: on a
// bursty path they leave over all the time there is. flying is when each of those on their way left, wire the time that one takes to send.
func (p *policy) last(now time.Duration, missing int, price fec.Price, slack, wire time.Duration, flying []time.Duration) (n int, gap time.Duration) {
	e := p.loss.Estimate()
	slot := float64(time.Second) / max(1, p.packets.perSecond(now))
	slots := func(d time.Duration) float64 { return max(0, float64(d)/slot) }
	p.flying = p.flying[:0]
	for _, at := range flying {
		p.flying = append(p.flying, slots(at-p.newestAt))
	}
	slack = max(0, slack)
	l := fec.Last{
		Channel: limit.Channel{Loss: min(0.6, max(leastPlanned, e.Loss)), Burst: e.Burst},
		Lost:    p.newestLost, Since: slots(now - p.newestAt), Flying: p.flying, Slack: slots(slack), Wire: slots(wire),
		Most: max(missing-len(flying), 1+int(slack/max(wire, time.Microsecond))),
	}
	n = l.Send(price, missing)
	if n > 1 {
		gap = slack / time.Duration(n-1)
	}
	return n, gap
}

// overhead is the share of repairs and resends in what media takes.
func (p *policy) overhead() float64 {
	if e := p.loss.Estimate(); p.off {
		return e.Loss / (1 - min(e.Loss, 0.5))
	}
	return p.cost
}

// bursty reports whether losses come in bursts.
func (p *policy) bursty() bool {
	e := p.loss.Estimate()
	return !p.off && e.Upper > 0 && e.Burst*(1-e.Loss) > 1.3 // 1 when they are independent
}

// heavy reports whether so much is lost that the last rounds are common.
func (p *policy) heavy() bool { return p.plan != nil && p.plan.Setting().Loss >= dearLoss }

// lossy reports whether a packet was lost in the last 10 s.
func (p *policy) lossy(at time.Duration) bool { return p.lossAt > 0 && at-p.lossAt < 10*time.Second }

// rate counts events a second.
type rate struct {
	since    time.Duration
	n        int
	before   float64
	measured bool
}

func (r *rate) add(at time.Duration, n int) {
	if d := at - r.since; d >= time.Second {
		r.before, r.measured = float64(r.n)/d.Seconds(), true
		r.since, r.n = at, 0
	}
	r.n += n
}

// perSecond is the rate of the last whole second, or of what there was of the first.
func (r *rate) perSecond(at time.Duration) float64 {
	if r.measured {
		return r.before
	}
	return float64(r.n) / max(0.1, (at-r.since).Seconds())
}
