package limit

// hybrid is the dynamic programme of one block of k source packets with feedback.
//
//	V0(d,s) = λ·1[d>0]
//	Vr(d,s) = min over n of  n + Σ_j Σ_s' P(j of n lost, last in s' | idle, s)·V(r-1)(max(0, d-n+j), s')
//	total   = min over x of  x + Σ_j Σ_s  P(j of k+x lost, last in s)·V(R)(max(0, j-x), s)
//
// d is how many symbols the receiver still lacks, s the fate of the last packet sent, λ the price of a lost block in
// packets. Every symbol that arrives counts: parity is kept over the rounds.
type hybrid struct {
	c      Channel
	k      int
	rounds int
	first  Losses
	again  [2]Losses
	atMost int // missing symbols looked at; beyond it the block counts as lost
}

// negligible is a probability that moves no figure printed.
const negligible = 1e-13

func (c Channel) newHybrid(k, rounds int, idleSlots float64) *hybrid {
	h := &hybrid{c: c, k: k, rounds: rounds}
	h.first = c.Meet(c.Stationary(), k)
	h.again = [2]Losses{
		c.Meet(c.Idle(Dist{1, 0}, idleSlots), 1),
		c.Meet(c.Idle(Dist{0, 1}, idleSlots), 1),
	}
	h.atMost = k
	for h.atMost > 1 && h.first.tail(k, h.atMost-1) < negligible {
		h.atMost--
	}
	return h
}

// point is what a policy costs and yields.
type point struct {
	packets float64 // mean number of packets beyond the k
	fail    float64 // probability that the block is not complete at the end
	parity  int     // sent with the first transmission
}

type value struct{ total, fail float64 }

// solve finds the best policy for a price.
func (h *hybrid) solve(price float64) point {
	v := make([][2]value, h.atMost+1)
	for d := 1; d <= h.atMost; d++ {
		v[d] = [2]value{{price, 1}, {price, 1}}
	}
	for range h.rounds {
		next := make([][2]value, h.atMost+1)
		for d := 1; d <= h.atMost; d++ {
			for s := range 2 {
				next[d][s] = h.best(v, d, s)
			}
		}
		v = next
	}
	best := point{}
	bestTotal := -1.0
	for x := 0; bestTotal < 0 || float64(x) < bestTotal; x++ {
		n := h.k + x
		h.first = h.c.Extend(h.first, n)
		total, fail := float64(x), 0.0
		for j := x + 1; j <= n; j++ {
			p := h.first[n][j]
			if d := j - x; d <= h.atMost {
				total += p[Good]*v[d][Good].total + p[Bad]*v[d][Bad].total
				fail += p[Good]*v[d][Good].fail + p[Bad]*v[d][Bad].fail
			} else {
				total += (p[Good] + p[Bad]) * price
				fail += p[Good] + p[Bad]
			}
		}
		if bestTotal < 0 || total < bestTotal {
			bestTotal, best = total, point{total - price*fail, fail, x}
		}
	}
	return best
}

// best is the cheapest number of packets to send now.
func (h *hybrid) best(v [][2]value, d, s int) value {
	idle := h.again[s][0][0] // n = 0: wait a round; the next decision is made as if the channel's state were seen
	best := value{
		idle[Good]*v[d][Good].total + idle[Bad]*v[d][Bad].total,
		idle[Good]*v[d][Good].fail + idle[Bad]*v[d][Bad].fail,
	}
	for n := d; float64(n) < best.total; n++ {
		if n >= len(h.again[s]) {
			h.again[s] = h.c.Extend(h.again[s], 2*n)
		}
		sum := value{total: float64(n)}
		for j := max(0, n-d+1); j <= n; j++ {
			p, w := h.again[s][n][j], &v[d-n+j]
			sum.total += p[Good]*w[Good].total + p[Bad]*w[Bad].total
			sum.fail += p[Good]*w[Good].fail + p[Bad]*w[Bad].fail
		}
		if sum.total < best.total {
			best = sum
		}
	}
	return best
}

// least is the cheapest mixture of two policies that fails with probability eps: the point on the lower hull of
// (fail, packets). ok is false when no policy is good enough.
func (h *hybrid) least(eps float64) (packets float64, parity int, ok bool) {
	cheap := h.solve(0)
	if cheap.fail <= eps {
		return 0, 0, true
	}
	dear := h.solve(100 * float64(h.k+10) / eps)
	if dear.fail > eps {
		return 0, 0, false
	}
	for range 200 {
		price := (dear.packets - cheap.packets) / (cheap.fail - dear.fail)
		p := h.solve(price)
		if p.packets+price*p.fail >= cheap.packets+price*cheap.fail-1e-10*(1+price*eps) {
			break
		}
		if p.fail > eps {
			cheap = p
		} else {
			dear = p
		}
	}
	share := (cheap.fail - eps) / (cheap.fail - dear.fail)
	return cheap.packets + share*(dear.packets-cheap.packets), dear.parity, true
}
