package cc

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem/profile"
)

const ms = time.Millisecond

var full = flag.Bool("full", false, "ten seeds of every scenario")

// mean of results.
type mean struct {
	n                       int
	util, self, jain, share float64
	media                   float64
	q95, clear, held, lag   time.Duration
}

func meanOf(rs []Result) (m mean) {
	n := len(rs)
	m.n = n
	for _, r := range rs {
		m.util += r.Utilisation / float64(n)
		m.media += r.Media / float64(n)
		m.self += r.SelfLoss / float64(n)
		m.jain += r.Jain / float64(n)
		m.share += r.Shares[0] / float64(n)
		m.q95 += r.QueueP95 / time.Duration(n)
		m.clear += r.QueueClear / time.Duration(n)
		m.held += r.HeldP95 / time.Duration(n)
		m.lag += r.LagP95 / time.Duration(n)
	}
	return m
}

// run plays a floor's scenario over the seeds: 10 with -full, 2 otherwise, 1 with -short.
func run(t *testing.T, sc Scenario) []Result {
	t.Helper()
	n := 2
	switch {
	case *full:
		n = 10
	case testing.Short():
		n = 1
	}
	rs := make([]Result, n)
	for seed := range rs {
		rs[seed] = Run(sc, uint64(seed))
		if testing.Verbose() {
			t.Log(rs[seed].String())
		}
	}
	return rs
}

func atLeast(t *testing.T, what string, got, want float64) {
	t.Helper()
	if got < want {
		t.Errorf("%s = %.3f, want %.3f or more", what, got, want)
	}
}

func atMost(t *testing.T, what string, got, want float64) {
	t.Helper()
	if got > want {
		t.Errorf("%s = %.3f, want %.3f or less", what, got, want)
	}
}

// Utilisation under random loss, with a short queue: the loss is not ours.
func TestRandomLoss(t *testing.T) {
	for _, x := range []struct{ p, burst, want float64 }{
		{0, 1, 0.95}, {0.02, 1, 0.95}, {0.05, 1, 0.95}, {0.1, 1, 0.95}, {0.2, 1, 0.95}, {0.05, 5, 0.92}, {0.1, 5, 0.92},
	} {
		if testing.Short() && x.p != 0.1 {
			continue
		}
		t.Run(fmt.Sprintf("p=%g,burst=%g", x.p, x.burst), func(t *testing.T) {
			t.Parallel()
			m := meanOf(run(t, Constant(x.p, x.burst)))
			slack := 0.0
			if m.n < 10 && x.burst > 1 {
				slack = 0.02 // of few seeds
			}
			atLeast(t, "utilisation of (1-p)C", m.util/(1-x.p), x.want-slack)
			atMost(t, "p95 queue, s", m.q95.Seconds(), 0.080+slack/3)
		})
	}
}

// Shallow buffers: loss that is ours is found, with and without a queue.
func TestShallowBufferAndPolicer(t *testing.T) {
	t.Parallel()
	m := meanOf(run(t, Link(25*ms, 60*ms)))
	atLeast(t, "25 ms: utilisation", m.util, 0.90)
	atMost(t, "25 ms: self-made loss", m.self, 0.02)
	m = meanOf(run(t, Words("policer", "delay 30ms up policer 3mbit burst 32kb", minute)))
	policed := 0.05 // of few seeds
	if *full {
		policed = 0.03
	}
	atMost(t, "policer: loss", m.self, policed)
	atLeast(t, "policer: utilisation", m.util, 0.9)
}

// Buffers and round trips of all sizes.
func TestBuffersAndRoundTrips(t *testing.T) {
	if testing.Short() {
		return // TestShallowBufferAndPolicer runs
	}
	for _, x := range []struct{ buffer, rtt time.Duration }{
		{50, 60}, {100, 60}, {500, 60}, {2000, 60}, {250, 20}, {250, 120}, {250, 200}, {250, 300},
	} {
		t.Run(fmt.Sprintf("buffer=%d,rtt=%d", x.buffer, x.rtt), func(t *testing.T) {
			t.Parallel()
			m := meanOf(run(t, Link(x.buffer*ms, x.rtt*ms)))
			atLeast(t, "utilisation", m.util, 0.92)
			atMost(t, "p95 queue, s", m.q95.Seconds(), 0.110)
		})
	}
}

// first is when a sample satisfies ok, after from.
func first(c []Sample, from time.Duration, ok func(Sample) bool) time.Duration {
	for _, s := range c {
		if s.At > from && ok(s) {
			return s.At - from
		}
	}
	return time.Hour
}

// 1 to 5 Mbit/s on 6 in a second, without filling the buffer.
func TestStartup(t *testing.T) {
	t.Parallel()
	for _, r := range run(t, Words("startup", "delay 30ms up rate 6mbit limit 500ms", 10*time.Second)) {
		if got := first(r.Curve, 0, func(s Sample) bool { return s.Arrived[0] >= 5e6 }); got > time.Second {
			t.Errorf("seed %d: 5 Mbit/s after %v, want 1 s", r.Seed, got)
		}
		for _, s := range r.Curve[:20] {
			if s.Queue > 150*ms {
				t.Errorf("seed %d: %v of queue at %v, want 150 ms", r.Seed, s.Queue, s.At)
			}
		}
	}
}

// 8 to 2 Mbit/s: the queue is short again soon.
func TestDrop(t *testing.T) {
	t.Parallel()
	for _, r := range run(t, Words("drop", "delay 30ms up rate 8mbit limit 500ms at 15s rate 2mbit", 30*time.Second)) {
		got := first(r.Curve, 15*time.Second+200*ms, func(s Sample) bool { return s.Queue > 0 && s.Queue < 100*ms }) + 200*ms
		// The queue begins to grow with the drop; the encoder is to know a round trip and 100 ms later.
		i := slices.IndexFunc(r.Lowered, func(at time.Duration) bool { return at > 15*time.Second })
		if i < 0 || r.Lowered[i] > 15*time.Second+180*ms { // a round trip with the queue of before
			t.Errorf("seed %d: the encoder was told at %v, want 15.18s", r.Seed, r.Lowered[max(0, i)])
		} else if testing.Verbose() {
			t.Logf("seed %d: told %v after the drop", r.Seed, r.Lowered[i]-15*time.Second)
		}
		if got > 800*ms { // samples are 100 ms apart
			t.Errorf("seed %d: less than 100 ms of queue %v after the drop, want 700 ms", r.Seed, got)
		}
	}
}

// Two seconds without a link, with what was queued lost or held.
func TestOutage(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"outage", "stall"} {
		for _, r := range run(t, Words(kind, "delay 30ms up rate 6mbit limit 250ms at 15s "+kind+" 2s", 30*time.Second)) {
			if got := first(r.Curve, 17*time.Second, func(s Sample) bool { return s.Arrived[0] > 0 }); got > 300*ms {
				t.Errorf("%s, seed %d: the first packet %v after the link, want 300 ms", kind, r.Seed, got)
			}
			if got := first(r.Curve, 17*time.Second+500*ms, func(s Sample) bool { return s.Arrived[0] >= 0.8*6e6 }) + 500*ms; got > 2*time.Second {
				t.Errorf("%s, seed %d: 80 %% after %v, want 2 s", kind, r.Seed, got)
			}
		}
	}
}

// Beside bulk flows nobody starves.
func TestBesideBulk(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range []Kind{Reno, Cubic, BBR} {
		for _, buffer := range []time.Duration{50, 100, 250, 500} {
			t.Run(fmt.Sprintf("%v,buffer=%d", k, buffer), func(t *testing.T) {
				t.Parallel()
				for _, r := range run(t, Rival(k, buffer*ms)) { // each seed
					atLeast(t, "share", r.Shares[0], 0.25)
					atMost(t, "share", r.Shares[0], 0.75)
				}
			})
		}
	}
}

// Flows of ours share alike.
func TestOwnFlows(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, n := range []int{2, 4, 8} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			m := meanOf(run(t, Own(n)))
			least := 0.95
			if n > 4 {
				least = 0.90 // of few seeds
				if *full {
					least = 0.93
				}
			}
			atLeast(t, "Jain's index", m.jain, least)
			atLeast(t, "utilisation", m.util, 0.95)
		})
	}
}

// Odds: a bad way back, clocks that drift, a queue that marks.
func TestWayBackDriftAndMarks(t *testing.T) {
	if testing.Short() {
		return
	}
	t.Parallel()
	m := meanOf(run(t, Words("reverse", "delay 30ms up rate 6mbit limit 250ms down loss 20%", minute)))
	atLeast(t, "20 % loss on the way back: utilisation", m.util, 0.93)
	atMost(t, "20 % loss on the way back: p95 queue, s", m.q95.Seconds(), 0.090)
	for _, ppm := range []float64{-200, 200} {
		sc := Words("drift", "delay 30ms up rate 6mbit limit 250ms", 2*minute)
		sc.Drift = ppm
		m = meanOf(run(t, sc))
		atLeast(t, "drift: utilisation", m.util, 0.93)
		atMost(t, "drift: p95 queue, s", m.q95.Seconds(), 0.090)
	}
	m = meanOf(run(t, Words("marks", "delay 30ms up rate 6mbit limit 250ms codel ecn", minute)))
	atLeast(t, "marks: utilisation", m.util, 0.8)
	m = meanOf(run(t, Words("silence", "delay 30ms up rate 6mbit limit 250ms down at 20s outage 1500ms", minute)))
	atLeast(t, "feedback away for 1.5 s: utilisation", m.util, 0.9)
}

// Cellular links, made by models of recordings: never the recordings themselves, which are kept for judging.
func TestCellular(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, x := range []struct {
		name  string
		util  float64
		queue time.Duration
	}{
		{"lte-tmobile", 0.75, 150 * ms},
		{"lte-verizon", 0.70, 150 * ms},
		{"lte-driving", 0.37, 150 * ms},
		{"bus", 0.65, 150 * ms},
		{"wifi-drought", 0.50, 150 * ms},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			m := meanOf(run(t, Cellular(t, x.name, "")))
			atLeast(t, "utilisation", m.util, x.util)
			atMost(t, "p95 queue outside outages, s", m.clear.Seconds(), x.queue.Seconds())
		})
	}
}

// Cellular is one flow of ours over a profile.
func Cellular(t *testing.T, name, traces string) Scenario {
	p, err := profile.Load(name, traces)
	if err != nil {
		t.Fatal(err)
	}
	return Scenario{Name: name, About: p.About, Up: p.Up, Down: p.Down, For: minute, Flows: []Flow{{Kind: Ours}}}
}

// Links that nobody has seen: each seed is another one. The seeds are not those the constants were found with.
func TestFreshLinks(t *testing.T) {
	if testing.Short() {
		return
	}
	for name, want := range map[string]struct {
		util  float64
		queue time.Duration
	}{
		"walk":      {0.90, 120 * ms},
		"markov":    {0.60, 120 * ms},
		"hspa":      {0.60, 220 * ms}, // pauses of the scheduler of up to 60 ms, RTT to 300 ms
		"fading":    {0.68, 150 * ms},
		"mmwave":    {0.45, 80 * ms},
		"wifi":      {0.85, 130 * ms},
		"satellite": {0.85, 80 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := Families()[slices.IndexFunc(Families(), func(f Family) bool { return f.Name == name })]
			n := 2
			if *full {
				n = 10
			}
			var rs []Result
			for seed := range uint64(n) {
				rs = append(rs, Run(f.Link(201+seed), 201+seed))
				if testing.Verbose() {
					t.Log(rs[seed].String())
				}
			}
			m := meanOf(rs)
			slack := 0.0
			if !*full {
				slack = 0.12 // of few seeds
			}
			atLeast(t, "utilisation", m.util, want.util-slack)
			atMost(t, "p95 queue outside outages, s", m.clear.Seconds(), want.queue.Seconds()*(1+2*slack))
		})
	}
}

// A picture that stands still for a while says nothing about the link: what it carried before is there when the picture
// moves again. And a stream that needs less than the link carries does not drive the rate up without bound.
func TestStillPicture(t *testing.T) {
	t.Parallel()
	sc := Words("still", "delay 30ms up rate 6mbit limit 250ms", minute)
	sc.Flows = []Flow{{Kind: Ours, Rate: 5 * 1e6, Still: [2]time.Duration{20 * time.Second, 35 * time.Second}}}
	for _, r := range run(t, sc) {
		if got := first(r.Curve, 35*time.Second, func(s Sample) bool { return s.Arrived[0] >= 4e6 }); got > 300*ms {
			t.Errorf("seed %d: 4 Mbit/s %v after the picture moved again, want 300 ms", r.Seed, got)
		}
		for _, s := range r.Curve {
			if s.Rate > 15e6 {
				t.Fatalf("seed %d: R = %.1f Mbit/s at %v for 5 Mbit/s of media", r.Seed, s.Rate/1e6, s.At)
			}
		}
	}
}

// A link that fell to a twentieth for three seconds and comes back is used again soon, though the encoder makes no more than it is told.
func TestCollapse(t *testing.T) {
	t.Parallel()
	sc := Words("collapse", "delay 30ms up rate 6mbit limit 500ms at 10s rate 300kbit at 13s rate 6mbit", 20*time.Second)
	for _, r := range run(t, sc) {
		back := time.Duration(0)
		for _, s := range r.Curve {
			if s.At > 13*time.Second && back == 0 && s.Told > 3e6 {
				back = s.At - 13*time.Second
			}
		}
		t.Logf("seed %d: half of the link is told %v after it came back", r.Seed, back)
		if back == 0 || back > 2500*ms {
			t.Errorf("seed %d: half of the link is told %v after it came back, want 2.5 s", r.Seed, back)
		}
	}
}
