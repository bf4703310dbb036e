package srt

import (
	"flag"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/sim"
)

var grid = flag.Bool("grid", false, "print the table of docs/push.md: 18 cells of 3 seeds, a minute each")

// shown is the share of frames that a decoder shows, of a stream of 30 frames a second with a key frame each 2 s: a frame with a
// packet missing is not shown, and nothing after it up to the next key frame.
func shown(got []payload, sent int) float64 {
	perFrame := float64(time.Second) / 30 / float64(interval)
	frames := int(float64(sent) / perFrame)
	here := make([]bool, sent)
	for _, p := range got {
		here[p.n] = true
	}
	n, whole := 0, true
	for f := range frames {
		if f%60 == 0 {
			whole = true
		}
		for i := int(float64(f) * perFrame); i < int(float64(f+1)*perFrame); i++ {
			whole = whole && here[i]
		}
		if whole {
			n++
		}
	}
	return float64(n) / float64(frames)
}

// TestCallerGrid measures our caller, with and without parity, and a model of libsrt's caller, to our listener.
func TestCallerGrid(t *testing.T) {
	if !*grid {
		return // a study, not a test
	}
	t.Log("| loss | RTT | latency | libsrt's rules: not shown, resends | fairlead | fairlead, parity 10×5 |")
	t.Log("| --- | --- | --- | --- | --- | --- |")
	for _, c := range []struct {
		loss         float64
		rtt, latency time.Duration
	}{
		{0.01, 20, 120}, {0.01, 100, 120}, {0.01, 200, 250}, {0.05, 20, 120}, {0.05, 60, 120}, {0.05, 100, 120}, {0.05, 100, 250}, {0.05, 200, 250}, {0.05, 200, 500}, {0.05, 300, 500},
		{0.10, 20, 120}, {0.10, 60, 250}, {0.10, 100, 250}, {0.10, 100, 500}, {0.10, 200, 500}, {0.20, 20, 120}, {0.20, 60, 250}, {0.20, 100, 500},
	} {
		c.rtt *= time.Millisecond
		c.latency *= time.Millisecond
		path := sim.Path{Up: lossy(c.rtt/2, c.loss), Down: lossy(c.rtt/2, c.loss/4)}
		var hidden, cost [3]float64
		for seed := range uint64(3) {
			w := sim.New(seed)
			m := newRun(w, path, newCaller(7, 1000, "k", c.latency), Config{Latency: c.latency})
			m.stream(60 * time.Second)
			w.Run(time.Second)
			hidden[0] += 1 - shown(m.rx.got, len(m.sent))
			cost[0] += float64(m.tx.resends) / float64(m.tx.first)
			for i, f := range []string{"", "fec,cols:10,rows:5,arq:onreq"} {
				r := newCall(t, sim.New(seed), path, CallerConfig{Latency: c.latency, Filter: f}, Config{Latency: c.latency})
				r.stream(60 * time.Second)
				s := r.tx.Stats()
				hidden[i+1] += 1 - shown(r.rx.got, len(r.sent))
				cost[i+1] += float64(s.Resent+s.Parity) / float64(s.Sent)
			}
		}
		h := func(i int) float64 { return 100 * hidden[i] / 3 }
		k := func(i int) float64 { return 100 * cost[i] / 3 }
		t.Logf("| %.0f %% | %d ms | %d ms | %.1f %%, %.0f %% | %.1f %%, %.0f %% | %.1f %%, %.0f %% |", 100*c.loss, c.rtt.Milliseconds(), c.latency.Milliseconds(),
			h(0), k(0), h(1), k(1), h(2), k(2))
	}
}
