package limit

// tail is P(more than x of n lost).
func (l Losses) tail(n, x int) float64 {
	sum := 0.0
	for j := n; j > x; j-- {
		sum += l[n][j][Good] + l[n][j][Bad]
	}
	return sum
}

// BlockOverhead is the least overhead at which an ideal MDS block of some frames of k packets each, its parity behind them,
// leaves a frame incomplete with probability ≤ eps, two neighbouring numbers of parity packets sharing the time.
// A frame that lost nothing is complete although its block fails.
func (c Channel) BlockOverhead(frames, k int, eps float64) float64 {
	source := frames * k
	all := c.Meet(c.Stationary(), source)
	// clean[f]: what the block meets and frame f does not lose a packet.
	clean := make([][]Dist, frames)
	for f := range clean {
		clean[f] = c.withoutLoss(source, f*k, (f+1)*k)
	}
	before := 1.0
	for x := 0; ; x++ {
		if x > 0 {
			all = c.Extend(all, source+x)
			for f := range clean {
				clean[f] = c.oneMore(clean[f], false)
			}
		}
		fail := 0.0
		for f := range clean {
			for j := x + 1; j <= source+x; j++ {
				p, q := all[source+x][j], clean[f][j]
				fail += p[Good] + p[Bad] - q[Good] - q[Bad]
			}
		}
		fail /= float64(frames)
		if fail <= eps {
			if x == 0 {
				return 0
			}
			return (float64(x-1) + (before-eps)/(before-fail)) / float64(source)
		}
		if x > 20*source+2000 {
			return float64(x) / float64(source)
		}
		before = fail
	}
}

// withoutLoss is P(j of n lost, last in s, and none of the packets from..to-1 lost).
func (c Channel) withoutLoss(n, from, to int) []Dist {
	row := []Dist{c.Stationary()}
	for i := range n {
		row = c.oneMore(row, from <= i && i < to)
	}
	return row
}

// oneMore sends one more packet; with noLoss, what loses it is left out.
func (c Channel) oneMore(row []Dist, noLoss bool) []Dist {
	t := c.step()
	next := make([]Dist, len(row)+1)
	for j, was := range row {
		d := was.after(t)
		next[j][Good] += d[Good]
		if !noLoss {
			next[j+1][Bad] += d[Bad]
		}
	}
	return next
}

// arq is resending alone: each packet missing at the end of a round is sent again in the next, at most rounds times.
// frame is the probability that one of k packets is never received, overhead the packets sent again per packet.
func (c Channel) arq(k, rounds int, idleSlots float64) (frame, overhead float64) {
	first := c.Meet(c.Stationary(), k)
	again := [2]Losses{
		c.Meet(c.Idle(Dist{1, 0}, idleSlots), k),
		c.Meet(c.Idle(Dist{0, 1}, idleSlots), k),
	}
	now := first[k] // P(d missing, last in state s)
	for range rounds {
		next := make([]Dist, k+1)
		for d, p := range now {
			for s := range p {
				if d == 0 || p[s] == 0 {
					next[0][s] += p[s]
					continue
				}
				overhead += p[s] * float64(d)
				for j, q := range again[s][d] {
					next[j][Good] += p[s] * q[Good]
					next[j][Bad] += p[s] * q[Bad]
				}
			}
		}
		now = next
	}
	for d, p := range now {
		if d > 0 {
			frame += p[Good] + p[Bad]
		}
	}
	return frame, overhead / float64(k)
}
