package netem

import (
	"flag"
	"math"
	"os"
	"testing"
	"time"
)

// within fails when got is further than tolerance from want.
func within(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s: got %.6g, want %.6g ± %.2g", what, got, want, tolerance)
	}
}

// many packets make a statistic; with -short fewer do, and tolerances follow.
var many = 200_000

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		many = 40_000
	}
	os.Exit(m.Run())
}

// bursts returns the loss ratio, the mean length of a run of losses and the lag-1 correlation.
func bursts(lost []bool) (ratio, length, corr float64) {
	var n, runs, pairs float64
	for i, l := range lost {
		if !l {
			continue
		}
		n++
		if i == 0 || !lost[i-1] {
			runs++
		} else {
			pairs++
		}
	}
	ratio = n / float64(len(lost))
	return ratio, n / runs, (pairs/float64(len(lost)) - ratio*ratio) / (ratio * (1 - ratio))
}

// sigma of the mean of n draws of a chain with ratio p and lag-1 correlation r, which falls geometrically.
func sigma(p, r float64, n int) float64 {
	return math.Sqrt(p * (1 - p) / float64(n) * (1 + r) / (1 - r))
}

func TestRandomLoss(t *testing.T) {
	for _, c := range []struct{ p, corr float64 }{{0.001, 0}, {0.01, 0}, {0.2, 0}, {0.05, 0.25}, {0.1, 0.8}, {1, 0.5}} {
		for seed := range uint64(3) {
			lost := drops(Config{Loss: Loss{Model: LossRandom, P: c.p, Corr: c.corr}}, seed, many)
			ratio, length, corr := bursts(lost)
			within(t, "loss ratio", ratio, c.p, 3*sigma(c.p, c.corr, many)+1e-12)
			if c.p == 1 {
				continue
			}
			stop := (1 - c.p) * (1 - c.corr) // P(received | lost), so the mean burst is 1/stop
			runs := c.p * stop * float64(many)
			within(t, "mean burst", length, 1/stop, 4*math.Sqrt(1-stop)/stop/math.Sqrt(runs)+2/runs)
			within(t, "correlation", corr, c.corr, 4/math.Sqrt(c.p*float64(many)))
		}
	}
}

// Gilbert-Elliott: ratio (p(1-h) + r(1-k)) / (p+r); with 1-h = 1 and 1-k = 0 a burst lasts 1/r packets.
func TestGilbertElliott(t *testing.T) {
	for _, c := range []struct{ p, r, bad, good float64 }{{0.01, 0.1, 1, 0}, {0.02, 0.25, 0.5, 0.01}, {0.001, 0.2, 1, 0}} {
		lost := drops(Config{Loss: Loss{Model: LossGE, P: c.p, R: c.r, Bad: c.bad, Good: c.good}}, 9, many)
		ratio, length, _ := bursts(lost)
		pBad := c.p / (c.p + c.r)
		want := pBad*c.bad + (1-pBad)*c.good
		// The state has correlation 1-p-r; the draws on top of it only loosen that.
		within(t, "gemodel ratio", ratio, want, 3*sigma(pBad, 1-c.p-c.r, many))
		if c.bad == 1 && c.good == 0 {
			runs := want * c.r * float64(many)
			within(t, "gemodel mean burst", length, 1/c.r, 4*math.Sqrt(1-c.r)/c.r/math.Sqrt(runs))
		}
	}
}

// The four-state chain against its stationary distribution, found by iteration.
func TestLossState(t *testing.T) {
	l := Loss{Model: LossState, P13: 0.02, P31: 0.3, P32: 0.2, P23: 0.4, P14: 0.01}
	pi := [4]float64{1}
	for range 10000 {
		pi = [4]float64{
			pi[0]*(1-l.P13-l.P14) + pi[2]*l.P31 + pi[3],
			pi[1]*(1-l.P23) + pi[2]*l.P32,
			pi[0]*l.P13 + pi[1]*l.P23 + pi[2]*(1-l.P31-l.P32),
			pi[0] * l.P14,
		}
	}
	ratio, length, _ := bursts(drops(Config{Loss: l}, 2, many))
	want := pi[2] + pi[3]
	within(t, "state ratio", ratio, want, 3*sigma(want, 0.6, many))
	// A run of losses is one visit to 4, or one stay in 3 of 1/(p31+p32) packets.
	starts := pi[0]*l.P13 + pi[1]*l.P23 + pi[3]
	within(t, "state mean burst", length, want/starts, 0.05*want/starts)
}

// Loss by time: the share of time in the bad state, whatever the packet rate.
func TestLossByTime(t *testing.T) {
	l := Loss{Model: LossTime, GoodFor: 900 * ms, BadFor: 100 * ms, Bad: 0.5, Good: 0.01}
	for _, gap := range []time.Duration{ms, 5 * ms} {
		length := time.Duration(many) * 10 * ms // as many cycles as seconds
		n := int(length / gap)
		var lost float64
		send(Config{Loss: l}, 4, n, 1200, gap, func(_ int, _, _ time.Duration, f Fate) {
			if f.Drop != Delivered {
				lost++
			}
		})
		// Stays have the standard deviation of their mean.
		within(t, "getime ratio", lost/float64(n), 0.1*0.5+0.9*0.01, 3*0.05*math.Sqrt(2/length.Seconds()))
	}
}

// moments of the delays that c gives.
func moments(c Config, n int) (mean, sd, corr float64, all []float64) {
	send(c, 6, n, 1200, ms, func(_ int, now, deliver time.Duration, _ Fate) {
		all = append(all, float64(deliver-now)/float64(ms))
	})
	for _, d := range all {
		mean += d / float64(n)
	}
	var prod float64
	for i, d := range all {
		sd += (d - mean) * (d - mean) / float64(n)
		if i > 0 {
			prod += (d - mean) * (all[i-1] - mean) / float64(n)
		}
	}
	return mean, math.Sqrt(sd), prod / sd, all
}

// expect integrates the standard deviate of a distribution, cut at ±4, over both of its draws.
func expect(d Distribution) (mean, sd float64) {
	const steps = 500
	inner := 1
	if d == ParetoNormal {
		inner = steps
	}
	var sq float64
	for i := range steps {
		for j := range inner {
			x := min(4, max(-4, deviate(d, (float64(i)+0.5)/steps, (float64(j)+0.5)/float64(inner))))
			mean += x / steps / float64(inner)
			sq += x * x / steps / float64(inner)
		}
	}
	return mean, math.Sqrt(sq - mean*mean)
}

func TestDelayDistributions(t *testing.T) {
	for d := Uniform; d <= ParetoNormal; d++ {
		wantMean, wantSD := expect(d)
		switch d { // closed forms, so that expect is not taken on trust
		case Uniform:
			within(t, "uniform sd", wantSD, 1/math.Sqrt(3), 1e-5)
		case Normal:
			within(t, "normal sd", wantSD, 1, 2e-3)
		case Pareto:
			// E[min(x, 4)] for shape 3: the tail above m = 1.5 + 4·sqrt(3)/2 holds m^-2/2, of the mean 1.5.
			m := 1.5 + 4*math.Sqrt(0.75)
			within(t, "pareto mean", wantMean, -0.5/(m*m)/math.Sqrt(0.75), 2e-3)
		}
		for _, corr := range []float64{0, 0.5} {
			mean, sd, got, _ := moments(Config{Delay: Delay{Base: 200 * ms, Jitter: 20 * ms, Corr: corr, Dist: d}}, many)
			slack := math.Sqrt((1 + corr) / (1 - corr))
			within(t, d.String()+" mean", mean, 200+20*wantMean, 4*20*wantSD*slack/math.Sqrt(float64(many)))
			within(t, d.String()+" sd", sd, 20*wantSD, 9/math.Sqrt(float64(many))*20*wantSD)
			want := corr
			if d == Uniform {
				want = 6 / math.Pi * math.Asin(corr/2) // of uniforms under a Gaussian copula
			}
			if d == Uniform || d == Normal || corr == 0 {
				within(t, d.String()+" correlation", got, want, 4.5/math.Sqrt(float64(many)))
			} else if got < 0.6*want || got > want {
				t.Errorf("%v correlation: got %.3f, want a good part of %.3f", d, got, want)
			}
		}
	}
	// A delay is never negative.
	_, _, _, all := moments(Config{Delay: Delay{Base: 10 * ms, Jitter: 20 * ms, Dist: Normal}}, 5000)
	for _, d := range all {
		if d < 0 {
			t.Fatalf("got a delay of %v ms", d)
		}
	}
}

func TestJitterReordersUnlessToldNotTo(t *testing.T) {
	for _, inOrder := range []bool{false, true} {
		var last time.Duration
		overtook := 0
		send(Config{Delay: Delay{Base: 50 * ms, Jitter: 20 * ms, InOrder: inOrder}}, 1, 5000, 1200, ms, func(_ int, _, d time.Duration, _ Fate) {
			if d < last {
				overtook++
			}
			last = d
		})
		if inOrder != (overtook == 0) {
			t.Errorf("inorder %v: %d packets overtook", inOrder, overtook)
		}
	}
}

// reorder P gap N: among packets that may overtake (N-1 after the last that did), a share P does.
func TestReorder(t *testing.T) {
	for _, c := range []Reorder{{P: 0.25}, {P: 0.5, Gap: 5}, {P: 1, Gap: 10}} {
		early := 0.0
		send(Config{Delay: Delay{Base: 10 * ms}, Reorder: c}, 8, many, 1200, ms, func(_ int, now, d time.Duration, f Fate) {
			if f.Early {
				early++
			}
			if f.Early != (d == now) {
				t.Fatalf("early %v, but delayed by %v", f.Early, d-now)
			}
		})
		cycle := float64(max(1, c.Gap)-1) + 1/c.P // packets from one to the next
		within(t, "share early", early/float64(many), 1/cycle, 4*math.Sqrt(1/cycle/float64(many)))
	}
}

func TestDuplicateAndCorrupt(t *testing.T) {
	var copies, corrupt, bit float64
	l := send(Config{Duplicate: Chance{P: 0.05}, Corrupt: Chance{P: 0.02}, Delay: Delay{Base: 10 * ms}}, 8, many, 1000, ms,
		func(_ int, now, d time.Duration, f Fate) {
			if f.Duplicated {
				copies++
				if f.CopyAt != d {
					t.Fatalf("copy at %v, packet at %v", f.CopyAt, d)
				}
			}
			if f.Corrupted {
				corrupt++
				bit += float64(f.CorruptBit)
			}
		})
	within(t, "duplicates", copies/float64(many), 0.05, 3*sigma(0.05, 0, many))
	within(t, "corrupt", corrupt/float64(many), 0.02, 3*sigma(0.02, 0, many))
	within(t, "mean corrupt bit", bit/corrupt, 3999.5, 3*8000/math.Sqrt(12*corrupt))
	if k := l.Counters(); float64(k.Duplicated) != copies || k.Delivered != uint64(many)+k.Duplicated {
		t.Errorf("counters: %+v", k)
	}
}
