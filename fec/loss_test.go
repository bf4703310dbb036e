package fec

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/fec/limit"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// gilbert draws the fate of packets one after the other.
type gilbert struct {
	r            *rand.Rand
	enter, leave float64
	bad          bool
}

func newGilbert(r *rand.Rand, c limit.Channel) *gilbert {
	burst := max(c.Burst, 1/(1-c.Loss))
	return &gilbert{r: r, leave: 1 / burst, enter: c.Loss / burst / (1 - c.Loss), bad: r.Float64() < c.Loss}
}

func (g *gilbert) lost() bool {
	if g.bad {
		g.bad = g.r.Float64() >= g.leave
	} else {
		g.bad = g.r.Float64() < g.enter
	}
	return g.bad
}

// TestEstimateIsRight: on a steady channel the mean of p̂ and L̂ is right, p⁺ is above the truth most of the time and not
// far above it.
func TestEstimateIsRight(t *testing.T) {
	for _, c := range []limit.Channel{{Loss: 0.01}, {Loss: 0.05}, {Loss: 0.1}, {Loss: 0.2}, {Loss: 0.02, Burst: 3}, {Loss: 0.05, Burst: 3}, {Loss: 0.1, Burst: 8}} {
		r := rand.New(rand.NewPCG(21, 22))
		g := newGilbert(r, c)
		var l LossEstimator
		var p, up, burst, above, n float64
		now := epoch
		for i := range 417 * 240 {
			now = now.Add(2400 * time.Microsecond)
			l.Observe(now, g.lost())
			if i > 417*10 && i%50 == 0 {
				e := l.Estimate()
				p += e.Loss
				up += e.Upper
				burst += e.Burst
				if e.Upper >= c.Loss {
					above++
				}
				n++
			}
		}
		want := max(c.Burst, 1/(1-c.Loss))
		t.Logf("p %v L %.2f: p̂ %.4f, p⁺ %.4f = %.2f·p, above p %.0f %% of the time, L̂ %.2f", c.Loss, want, p/n, up/n, up/n/c.Loss, 100*above/n, burst/n)
		if p/n < 0.9*c.Loss || p/n > 1.25*c.Loss || up/n > 1.8*c.Loss+0.005 || above/n < 0.7 || burst/n < 0.75*want || burst/n > 1.25*want {
			t.Errorf("p %v L %v: out of range", c.Loss, want)
		}
	}
}

// TestStepOfLoss is goal G8: 0 → 10 % and back.
func TestStepOfLoss(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(23, seed))
		var l LossEstimator
		now := epoch
		run := func(d time.Duration, p float64) {
			for end := now.Add(d); now.Before(end); now = now.Add(2400 * time.Microsecond) {
				l.Observe(now, r.Float64() < p)
			}
		}
		run(20*time.Second, 0)
		if e := l.Estimate(); e.Upper != 0 {
			t.Fatalf("seed %d: a clean path: %+v", seed, e)
		}
		run(200*time.Millisecond, 0.1)
		if e := l.Estimate(); e.Upper < 0.04 {
			t.Errorf("seed %d: 200 ms after the step: %+v", seed, e)
		}
		run(800*time.Millisecond, 0.1)
		if e := l.Estimate(); e.Upper < 0.06 || e.Upper > 0.25 {
			t.Errorf("seed %d: 1 s after the step: %+v", seed, e)
		}
		run(time.Second, 0.1)
		if e := l.Estimate(); e.Upper < 0.075 || e.Upper > 0.2 {
			t.Errorf("seed %d: 2 s after the step: %+v", seed, e)
		}
		run(10*time.Second, 0.1)
		run(300*time.Millisecond, 0)
		if e := l.Estimate(); e.Upper < 0.03 {
			t.Errorf("seed %d: forgotten after 300 ms: %+v", seed, e)
		}
		run(4700*time.Millisecond, 0)
		if e := l.Estimate(); e.Upper > 0.011 {
			t.Errorf("seed %d: 5 s after the end: %+v", seed, e)
		}
	}
}

// TestBurstsGrow: L from 1 to 20 at the same loss is noticed within 4 s.
func TestBurstsGrow(t *testing.T) {
	r := rand.New(rand.NewPCG(25, 26))
	var l LossEstimator
	now := epoch
	for _, c := range []limit.Channel{{Loss: 0.05}, {Loss: 0.05, Burst: 20}} {
		g := newGilbert(r, c)
		for range 417 * 8 {
			now = now.Add(2400 * time.Microsecond)
			l.Observe(now, g.lost())
		}
		if e := l.Estimate(); e.Burst < 0.5*c.Burst || c.Burst == 0 && e.Burst > 1.3 {
			t.Errorf("%+v: %+v", c, e)
		}
	}
}

func TestEstimateBeforeAnyPacket(t *testing.T) {
	var l LossEstimator
	if e := l.Estimate(); e.Upper <= 0 || e.Burst < 1 {
		t.Errorf("%+v", e)
	}
	if !raceEnabled {
		now := epoch
		if n := testing.AllocsPerRun(100, func() { now = now.Add(time.Millisecond); l.Observe(now, true); l.Estimate() }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

func TestTransmissionsLeft(t *testing.T) {
	ms := time.Millisecond
	for _, c := range []struct {
		why                 string
		left, spread, round time.Duration
		want                int
	}{
		{"60/120 with 10 ms each", 120 * ms, 10 * ms, 70 * ms, 2},
		{"60/300", 300 * ms, 10 * ms, 70 * ms, 5},
		{"just one", 79 * ms, 10 * ms, 70 * ms, 1},
		{"just two", 80 * ms, 10 * ms, 70 * ms, 2},
		{"it no longer gets there", 9 * ms, 10 * ms, 70 * ms, 0},
		{"the deadline has passed", -5 * ms, 0, 70 * ms, 0},
		{"no round time", 20 * ms, 0, 0, 21},
	} {
		if got := TransmissionsLeft(epoch, epoch.Add(c.left), c.spread, c.round); got != c.want {
			t.Errorf("%s: %d, want %d", c.why, got, c.want)
		}
	}
}

func TestRoundEstimator(t *testing.T) {
	ms := time.Millisecond
	var e RoundEstimator
	if got := e.Round(epoch); got != firstRound {
		t.Errorf("before any sample: %v", got)
	}
	now := epoch
	for range 100 {
		now = now.Add(20 * ms)
		e.ObserveRTT(now, 60*ms)
	}
	if got := e.Round(now); got < 70*ms || got > 72*ms {
		t.Errorf("60 ms, no delays measured: %v", got)
	}
	for range 50 {
		now = now.Add(60 * ms)
		e.ObserveRTT(now, 60*ms)
		e.ObserveDelay(now, 3*ms)
	}
	if got := e.Round(now); got < 63*ms || got > 65*ms {
		t.Errorf("60 ms, delays of 3 ms: %v", got)
	}
	for range 20 {
		now = now.Add(60 * ms)
		e.ObserveRTT(now, 150*ms)
	}
	if got := e.Round(now); got < 153*ms {
		t.Errorf("the RTT has risen to 150 ms: %v", got)
	}
	for range 400 {
		now = now.Add(20 * ms)
		e.ObserveRTT(now, 40*ms)
	}
	if got := e.Round(now); got > 50*ms {
		t.Errorf("the RTT has been 40 ms for 8 s: %v", got)
	}
}
