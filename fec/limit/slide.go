package limit

import "math"

// A sliding window sends parity per frame over every frame that is not decoded yet. The receiver decodes all of them
// as soon as it has received as many parity packets as source packets are missing. Frame t is in time when that happens
// with the parity of frame t+window-1 at the latest.
//
// The chain is (deficit, last packet's fate, phase); the parity rate is a multiple of 1/phases packets per frame and
// its fractions are spread evenly over the phases.

const phases = 20

// maxDeficit bounds the chain. A deficit of this many packets does not come back to 0 in time at any rate worth its price.
const maxDeficit = 400

type slide struct {
	c         Channel
	k, window int
	rate      int // parity packets per phases frames
	move      [2]frameMove
	least     int // parity of the leaner frames; move[1] has one more
}

// frameMove is what one frame does: P(j of k+parity lost, last in s' | before in s), and the part of it in which a
// source packet was lost.
type frameMove struct {
	any, hit [2][]Dist
	parity   int
}

func (c Channel) newSlide(k, window, rate int) *slide {
	sl := &slide{c: c, k: k, window: window, rate: rate, least: rate / phases}
	for i := range sl.move {
		mv := &sl.move[i]
		mv.parity = sl.least + i
		for s := range 2 {
			all, hit := []Dist{{}}, []Dist{{}}
			all[0][s], hit[0][s] = 1, 1
			for n := range k + mv.parity {
				all = c.oneMore(all, false)
				hit = c.oneMore(hit, n < k)
			}
			for j := range hit {
				hit[j] = Dist{all[j][Good] - hit[j][Good], all[j][Bad] - hit[j][Bad]}
			}
			end := len(all)
			for end > 1 && all[end-1][Good]+all[end-1][Bad] < negligible {
				end--
			}
			mv.any[s], mv.hit[s] = all[:end], hit[:end]
		}
	}
	return sl
}

// apply moves a distribution over (deficit, state) by one frame. hit keeps only what loses a source packet, busy only
// what does not reach deficit 0.
func (sl *slide) apply(now []Dist, phase int, hit, busy bool) []Dist {
	mv := &sl.move[(phase+1)*sl.rate/phases-phase*sl.rate/phases-sl.least]
	kernel := &mv.any
	if hit {
		kernel = &mv.hit
	}
	next := make([]Dist, min(len(now)+max(len(kernel[Good]), len(kernel[Bad])), maxDeficit))
	last := len(next) - 1
	for e, p := range now {
		for s, ps := range p {
			if ps < negligible {
				continue
			}
			for j, q := range kernel[s] {
				to := e + j - mv.parity
				if to <= 0 {
					if busy {
						continue
					}
					to = 0
				}
				to = min(to, last)
				next[to][Good] += ps * q[Good]
				next[to][Bad] += ps * q[Bad]
			}
		}
	}
	end := len(next)
	for end > 1 && next[end-1][Good]+next[end-1][Bad] < negligible {
		end--
	}
	return next[:end]
}

// fail is the probability that a frame is not complete in time, to about 0.1 % of eps.
func (sl *slide) fail(eps float64) float64 {
	now := []Dist{sl.c.Stationary()}
	// Run the chain until a whole round of phases changes nothing.
	for range 200 {
		was := now
		for phase := range phases {
			now = sl.apply(now, phase, false, false)
		}
		change := 0.0
		for e := range max(len(now), len(was)) {
			var d Dist
			if e < len(now) {
				d = now[e]
			}
			if e < len(was) {
				d[Good] -= was[e][Good]
				d[Bad] -= was[e][Bad]
			}
			change += math.Abs(d[Good]) + math.Abs(d[Bad])
		}
		if change < eps*1e-3 {
			break
		}
	}
	sum := 0.0
	for phase := range phases {
		f := sl.apply(now, phase, true, true)
		for w := 1; w < sl.window; w++ {
			f = sl.apply(f, (phase+w)%phases, false, true)
		}
		for _, p := range f {
			sum += p[Good] + p[Bad]
		}
		now = sl.apply(now, phase, false, false)
	}
	return sum / phases
}

// SlideOverhead is the least overhead of an ideal sliding window over frames of k packets, with a residual frame loss of
// eps, in steps of 1/phases packet per frame. block, the overhead of a
// block of the same span, is where the search begins. ok is false when even ten times the source rate is not enough.
func (c Channel) SlideOverhead(k, window int, eps, block float64) (overhead float64, ok bool) {
	enough := func(rate int) bool { return c.newSlide(k, window, rate).fail(eps) <= eps }
	most := 10 * k * phases
	high := min(int(block*float64(k)*phases*0.95)+1, most)
	low := -1
	for step := 1 + high/50; ; step *= 2 { // downwards while it is enough, upwards while it is not
		if enough(high) {
			if low >= 0 {
				break
			}
			if next := max(0, high-step); next < high && enough(next) {
				high = next
			} else {
				low = next
				break
			}
		} else {
			if high == most {
				return 10, false
			}
			low, high = high, min(high+step, most)
		}
	}
	for high-low > 1 {
		if mid := (low + high) / 2; enough(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return float64(high) / float64(k*phases), true
}
