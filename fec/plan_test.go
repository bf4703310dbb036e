package fec

import (
	"math"
	"slices"
	"testing"

	"github.com/fairlead-live/fairlead/fec/limit"
)

// TestPlanAgainstBruteForce enumerates every pattern of losses of every number of packets, without the kernels.
func TestPlanAgainstBruteForce(t *testing.T) {
	settings := []Setting{{Loss: 0.1}, {Loss: 0.15, Burst: 3, Idle: 5}, {Loss: 0.3}, {Loss: 0.05, Burst: 2, Idle: 10}}
	if testing.Short() {
		settings = settings[:2]
	}
	for _, s := range settings {
		p := newPlan(s)
		c := limit.Channel{Loss: s.Loss, Burst: s.Burst}
		burst := max(c.Burst, 1/(1-c.Loss))
		next := [2]float64{c.Loss / burst / (1 - c.Loss), 1 - 1/burst} // P(lost | state)
		idle := func(state int) float64 {                              // P(bad after the idle time)
			var from limit.Dist
			from[state] = 1
			return c.Idle(from, s.Idle)[limit.Bad]
		}
		// walk calls f with each outcome of n packets: how many are lost, the fate of the last, the probability.
		var walk func(n, lost, state int, prob float64, f func(lost, state int, prob float64))
		walk = func(n, lost, state int, prob float64, f func(int, int, float64)) {
			if n == 0 {
				f(lost, state, prob)
				return
			}
			walk(n-1, lost+1, 1, prob*next[state], f)
			walk(n-1, lost, 0, prob*(1-next[state]), f)
		}
		for _, price := range []Price{2, 4, 6} {
			cost := lowestPrice * math.Pow(2, float64(price))
			const most = 12
			memo := map[[3]int]float64{}
			var v func(r, d, state int) float64
			try := func(r, d, state, n int) float64 {
				total := float64(n)
				for before, prob := range []float64{1 - idle(state), idle(state)} {
					walk(n, 0, before, prob, func(lost, last int, prob float64) {
						total += prob * v(r-1, max(0, d-n+lost), last)
					})
				}
				return total
			}
			v = func(r, d, state int) float64 {
				if d == 0 {
					return 0
				}
				if r == 0 {
					return cost
				}
				best, ok := memo[[3]int{r, d, state}]
				if !ok {
					best = math.Inf(1)
					for n := d; n <= most && float64(n) < best; n++ {
						best = min(best, try(r, d, state, n))
					}
					memo[[3]int{r, d, state}] = best
				}
				return best
			}
			for r := 1; r <= 2; r++ {
				for d := 1; d <= 3; d++ {
					for state := range 2 {
						n := p.Repair(price, d, r, state == 1)
						if n > most {
							t.Errorf("%+v price %v: %d packets are beyond what is enumerated here", s, cost, n)
							continue
						}
						if got, want := try(r, d, state, n), v(r, d, state); got > want*(1+1e-9) {
							t.Errorf("%+v price %v: %d missing, %d left, state %d: %d packets cost %.5f, the best %.5f", s, cost, d, r, state, n, got, want)
						}
					}
				}
			}
		}
	}
}

func TestPlanIsMonotone(t *testing.T) {
	clean := newPlan(Setting{})
	for _, k := range []int{1, 14, 32, 128} {
		if s := clean.Proactive(k, 1, Reference, 0); s.Parity != 0 || clean.Overhead(k, 1, Key) != 0 {
			t.Errorf("clean path, k %d: %+v", k, s)
		}
	}
	var before *Plan
	losses := []float64{0.01, 0.05, 0.02, 0.1, 0.2}
	if testing.Short() {
		losses = losses[:2]
	}
	slices.Sort(losses)
	for _, loss := range losses {
		p := newPlan(Setting{Loss: loss, Burst: 3, Idle: 30})
		for _, k := range blockSizes {
			for class := range classes {
				for r := range planRounds + 1 {
					o, fail := p.Overhead(k, r, class), p.Fail(k, r, class)
					if fail > class.Target()*1.001 && r > 0 {
						t.Errorf("loss %v k %d R %d %v: fails %.2g", loss, k, r, class, fail)
					}
					// Up to p/(1-p) a further round may cost what it resends.
					if r > 0 && o > p.Overhead(k, r-1, class)*1.0001+1e-4 && o > loss/(1-loss)*1.001 {
						t.Errorf("loss %v k %d %v: R %d costs %.4f, R %d %.4f", loss, k, class, r, o, r-1, p.Overhead(k, r-1, class))
					}
					if before != nil && o < before.Overhead(k, r, class)*0.999 && fail <= class.Target()*1.001 {
						t.Errorf("loss %v k %d R %d %v: %.4f, less than at a lower loss", loss, k, r, class, o)
					}
				}
				if p.Overhead(k, 1, Audio) < p.Overhead(k, 1, Reference)*0.999 {
					t.Errorf("loss %v k %d: audio is cheaper than reference", loss, k)
				}
			}
		}
		for price := range Price(planPrices) {
			for d := 1; d <= 200; d++ {
				for left := range 7 {
					for _, last := range []bool{false, true} {
						n := p.Repair(price, d, left, last)
						if left == 0 && n != 0 || left > 0 && n < d || left > planRounds && n != d {
							t.Fatalf("loss %v price %d: %d packets for %d missing, %d left", loss, price, n, d, left)
						}
					}
				}
			}
		}
		before = p
	}
}

func TestAbsurdPlans(t *testing.T) {
	settings := []Setting{{Loss: math.SmallestNonzeroFloat64}, {Loss: 1}, {Loss: 0.99, Burst: 3, Idle: 1e9}}
	if testing.Short() {
		settings = settings[:2]
	}
	for _, s := range settings {
		p := NewPlan(s)
		st := p.Proactive(1000, -3, 77, 0.999)
		if st.Parity < 0 || st.Parity > MaxRows-1 {
			t.Errorf("%+v: %+v", s, st)
		}
		if n := p.Repair(255, 1000, 1, true); n < 1000 {
			t.Errorf("%+v: %d", s, n)
		}
	}
	if s := Class(9).String(); s != "unknown" || Class(9).Target() != Reference.Target() {
		t.Error(s)
	}
}

func TestSubBlock(t *testing.T) {
	for _, c := range []struct {
		packets int
		want    []int
	}{{0, nil}, {1, []int{1}}, {58, []int{58}}, {96, []int{96}}, {97, []int{49, 48}}, {100, []int{50, 50}}, {200, []int{67, 67, 66}}} {
		left, got := c.packets, []int{}
		for n := SubBlock(left); n > 0; n = SubBlock(left) {
			got = append(got, n)
			left -= n
		}
		if len(got) != len(c.want) {
			t.Errorf("%d packets: %v, want %v", c.packets, got, c.want)
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%d packets: %v, want %v", c.packets, got, c.want)
			}
		}
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		n, missing    int
		stale         bool
		sources, rows int
	}{{3, 3, false, 3, 0}, {5, 3, false, 3, 2}, {2, 4, false, 2, 0}, {5, 3, true, 0, 5}, {2, 0, false, 0, 2}} {
		if s, r := Split(c.n, c.missing, c.stale); s != c.sources || r != c.rows {
			t.Errorf("Split(%d, %d, %v) = %d, %d, want %d, %d", c.n, c.missing, c.stale, s, r, c.sources, c.rows)
		}
	}
}

func TestPlannerKeepsFew(t *testing.T) {
	p := NewPlanner()
	first := p.Use(Setting{Loss: 0.02})
	if _, want := p.Wanted(); want {
		t.Error("the first plan is not that of 2 %")
	}
	if got := p.Use(Setting{Loss: 0.2, Burst: 3, Idle: 30}); got != first {
		t.Error("a plan nobody made")
	}
	s, want := p.Wanted()
	if !want {
		t.Fatal("nothing is wanted")
	}
	p.Add(NewPlan(s))
	if _, want := p.Wanted(); want {
		t.Error("it is wanted still")
	}
	got := p.Use(Setting{Loss: 0.199, Burst: 2.9, Idle: 31})
	if got == first || got.Setting() != s {
		t.Errorf("a setting next to it: %+v, want %+v", got.Setting(), s)
	}
	if got.Setting().round() != got.Setting() {
		t.Error("rounding twice is rounding further")
	}
	for i := range 50 {
		p.Use(Setting{Loss: 0.1, Burst: 3, Idle: 10, Frames: 2 + i, Packets: 14})
		if s, want := p.Wanted(); want {
			p.Add(&Plan{setting: s})
		}
	}
	if len(p.plans) != plansKept {
		t.Errorf("%d plans are kept, want %d", len(p.plans), plansKept)
	}
	plan := first
	if !raceEnabled {
		if n := testing.AllocsPerRun(100, func() {
			p.Use(Setting{Loss: 0.05, Burst: 2, Idle: 12})
			p.Use(Setting{Loss: 0.1, Burst: 3, Idle: 10, Frames: 20, Packets: 14})
			plan.Proactive(14, 1, Key, 0.3)
			plan.Repair(4, 3, 2, true)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

func TestDitherAndAccumulator(t *testing.T) {
	var d Dither
	var a Accumulator
	below, sum := 0, 0
	for range 1000 {
		if d.Next() < 0.37 {
			below++
		}
		sum += a.Take(0.37)
	}
	if below < 367 || below > 373 || sum != 370 {
		t.Errorf("a share of 0.37 of 1000: %d by dither, %d by accumulator", below, sum)
	}
}

func BenchmarkNewPlan(b *testing.B) {
	for name, s := range map[string]Setting{
		"iid 5 %":         {Loss: 0.05},
		"bursts 3, 10 %":  {Loss: 0.1, Burst: 3, Idle: 30},
		"bursts 8, 20 %":  {Loss: 0.2, Burst: 8, Idle: 30},
		"bursts 3, slide": {Loss: 0.1, Burst: 3, Frames: 9, Packets: 14},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				NewPlan(s)
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	p := NewPlan(Setting{Loss: 0.1})
	var d Dither
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		s := p.Proactive(14, 1, Reference, d.Next())
		n += p.Repair(s.Price, 2, 1, false)
	}
}
