package fec

import "github.com/fairlead-live/fairlead/fec/limit"

// leastLoss is the loss that is planned for on a clean path: the first loss finds tables that can deal with it.
const leastLoss = 0.005

// negligible is a probability that no choice depends on: the highest price is 3e7 packets.
const negligible = 1e-12

// solver is the dynamic programme of research/fec 4.4, the same as in fec/limit but that it always sends at least what
// is missing and remembers its decisions:
//
//	V0(d,s) = λ·1[d>0]
//	Vr(d,s) = min over n ≥ d of  n + Σ_j Σ_s' P(j of n lost, last in s' | s, one round ago)·V(r-1)(max(0, d-n+j), s')
//	x       = argmin of  x + Σ_j Σ_s  P(j of k+x lost, last in s)·VR(max(0, j-x), s)
//
// d: symbols missing; s: fate of the last packet; λ: the price. The tables of one channel and one price serve every block.
type solver struct {
	channel limit.Channel
	first   limit.Losses
	again   [2]limit.Losses
	// tail[s][n][x] = P(more than x of n lost), all that counts in the last round.
	tail [2][][]float64
}

// extend looks up to n packets ahead.
func (sv *solver) extend(s, n int) {
	if n < len(sv.again[s]) {
		return
	}
	sv.again[s] = sv.channel.Extend(sv.again[s], n)
	for i := len(sv.tail[s]); i <= n; i++ {
		row := make([]float64, i+1)
		for x := i - 1; x >= 0; x-- {
			p := sv.again[s][i][x+1]
			row[x] = row[x+1] + p[limit.Good] + p[limit.Bad]
		}
		sv.tail[s] = append(sv.tail[s], row)
	}
}

type value struct{ total, fail float64 }

// values of one round: values[d][s].
type values [planMissing + 1][2]value

// outcome is what the best first transmission at one price leads to.
type outcome struct {
	packets, fail float64
	parity        int
}

// NewPlan computes the tables for a setting: some 10 to 100 ms of one core and a few megabytes of garbage, more with
// a window; off the packet path, that is.
func NewPlan(s Setting) *Plan { return newPlan(s.round()) }

func newPlan(s Setting) *Plan {
	p := &Plan{setting: s}
	channel := limit.Channel{Loss: max(s.Loss, leastLoss), Burst: s.Burst}
	sv := solver{channel: channel, first: channel.Meet(channel.Stationary(), MaxCount)}
	for state := range sv.again {
		var from limit.Dist
		from[state] = 1
		sv.again[state] = channel.Meet(channel.Idle(from, s.Idle), 0)
	}
	var outcomes [len(blockSizes)][planRounds + 1][planPrices]outcome
	price := lowestPrice
	for i := range planPrices {
		var v values
		for d := 1; d < len(v); d++ {
			v[d] = [2]value{{price, 1}, {price, 1}}
		}
		sv.start(&v, price, 0, i, &outcomes)
		for r := 1; r <= planRounds; r++ {
			v = sv.round(&v, r, price, &p.send[i][r-1])
			sv.start(&v, price, r, i, &outcomes)
		}
		price *= 2
	}
	for k := range blockSizes {
		for r := range planRounds + 1 {
			for class := range classes {
				p.choices[k][r][class] = choose(&outcomes[k][r], blockSizes[k], s.target(class))
			}
		}
	}
	p.window = s.windowOverhead(channel)
	return p
}

// round makes the values with one more transmission left, and notes the decisions.
func (sv *solver) round(v *values, r int, price float64, send *[planMissing + 1][2]uint8) (next values) {
	for d := 1; d <= planMissing; d++ {
		for s := range 2 {
			best, least := 0, value{total: -1}
			for n := d; n <= 255 && (best == 0 || float64(n) < least.total); n++ {
				sv.extend(s, n)
				var now value
				if r == 1 {
					now.fail = sv.tail[s][n][n-d]
					now.total = float64(n) + price*now.fail
				} else {
					now = sv.resend(v, d, s, n)
				}
				if best == 0 || now.total < least.total {
					best, least = n, now
				} else if past(n-best, now.total, least.total) {
					break
				}
			}
			next[d][s], send[d][s] = least, uint8(best)
		}
	}
	return next
}

// past reports whether a search over a number of packets, whose cost falls and then rises, is well past its minimum.
func past(steps int, total, least float64) bool { return steps > 8 && total > 1.1*least }

// resend is the mean price of sending n packets now, with d symbols missing.
func (sv *solver) resend(v *values, d, s, n int) value {
	sum := value{total: float64(n)}
	w := v[1:]
	for i, p := range sv.again[s][n][n-d+1:] { // n-d+1+i lost: i+1 are missing
		if p[limit.Good]+p[limit.Bad] < negligible {
			if n-d+i > n/2 {
				break
			}
			continue
		}
		sum.total += p[limit.Good]*w[i][limit.Good].total + p[limit.Bad]*w[i][limit.Bad].total
		sum.fail += p[limit.Good]*w[i][limit.Good].fail + p[limit.Bad]*w[i][limit.Bad].fail
	}
	return sum
}

// start finds the best parity of each block size when r rounds follow.
func (sv *solver) start(v *values, price float64, r, i int, outcomes *[len(blockSizes)][planRounds + 1][planPrices]outcome) {
	for ki, k := range blockSizes {
		from := 0 // parity only rises with the price
		if i > 0 {
			from = outcomes[ki][r][i-1].parity
		}
		best, least := outcome{}, -1.0
		for x := from; x < MaxRows && (least < 0 || float64(x) < least); x++ {
			total, fail := sv.meet(v, price, k, x)
			if least < 0 || total < least {
				least = total
				best = outcome{total - price*fail, fail, x}
			} else if past(x-best.parity, total, least) {
				break
			}
		}
		outcomes[ki][r][i] = best
	}
}

// meet is the mean price of k packets with x of parity behind them.
func (sv *solver) meet(v *values, price float64, k, x int) (total, fail float64) {
	n := k + x
	if n >= len(sv.first) {
		sv.first = sv.channel.Extend(sv.first, n)
	}
	total = float64(x)
	for j := x + 1; j <= n; j++ {
		p := &sv.first[n][j]
		if p[limit.Good]+p[limit.Bad] < negligible {
			if j > n/2 {
				break
			}
			continue
		}
		d := min(j-x, planMissing)
		scale := float64(j-x) / float64(d)
		for s := range 2 {
			w := &v[d][s]
			total += p[s] * ((w.total-price*w.fail)*scale + price*w.fail)
			fail += p[s] * w.fail
		}
	}
	return total, fail
}

// choose takes the cheapest policy that meets the target and the dearest that does not, and lets them share the time.
func choose(by *[planPrices]outcome, k int, target float64) choice {
	hi := 0
	for hi < planPrices-1 && by[hi].fail > target {
		hi++
	}
	lo, share := max(hi-1, 0), 1.0
	if lo < hi && by[lo].fail > by[hi].fail && by[hi].fail <= target {
		share = (by[lo].fail - target) / (by[lo].fail - by[hi].fail)
	}
	mix := func(a, b float64) float64 { return a + share*(b-a) }
	return choice{
		parity:   [2]uint8{uint8(by[lo].parity), uint8(by[hi].parity)},
		price:    [2]Price{Price(lo), Price(hi)},
		share:    float32(share),
		overhead: float32(mix(by[lo].packets, by[hi].packets) / float64(k)),
		fail:     float32(mix(by[lo].fail, by[hi].fail)),
	}
}

// windowOverhead is the repair rate of a sliding window. Long windows of long bursts, which nobody can afford, are
// priced like the block of the same span, which is up to 10 % dearer and quick to compute.
func (s Setting) windowOverhead(channel limit.Channel) float64 {
	if s.Frames == 0 || s.Packets == 0 {
		return 0
	}
	floor := 1 / float64(s.Frames*s.Packets) // so that the first loss on a clean path is covered
	if s.Loss == 0 {
		return floor
	}
	target := s.target(Reference)
	block := channel.BlockOverhead(s.Frames, s.Packets, target)
	if block < 1 {
		if slide, ok := channel.SlideOverhead(s.Packets, s.Frames, target, block); ok {
			return max(slide, floor)
		}
	}
	return max(block, floor)
}
