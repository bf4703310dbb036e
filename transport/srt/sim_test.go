package srt

import (
	"encoding/binary"
	"flag"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bench/sim"
	"github.com/fairlead-live/fairlead/bench/sim/simtest"
)

// run is a caller that sends packets each interval over a path, and what became of them.
type run struct {
	w    *sim.World
	link *sim.Link
	tx   *caller
	rx   *server
	sent []time.Duration // world time of packet i
}

const seeds = 6

var long = flag.Bool("long", false, "longer runs: ten times ten minutes through the packet filter, 20 seeds of 30 s beside libsrt's rules")

const interval = 2632 * time.Microsecond // 4 Mbit/s in packets of 1316 bytes

func newRun(w *sim.World, p sim.Path, tx *caller, cfg Config) *run {
	r := &run{w: w, tx: tx, rx: newServer(cfg)}
	r.link = w.Connect(p, tx, r.rx)
	return r
}

// stream connects and sends for d.
func (r *run) stream(d time.Duration) {
	for r.tx.state < 2 && r.w.Elapsed() < 10*time.Second {
		r.w.Run(10 * time.Millisecond)
	}
	end := r.w.Elapsed() + d
	payload := make([]byte, 1316)
	for r.w.Elapsed() < end {
		binary.BigEndian.PutUint32(payload, uint32(len(r.sent)))
		r.sent = append(r.sent, r.w.Elapsed())
		r.tx.push(r.link.A.Now(), payload)
		r.link.A.Wake()
		r.w.Run(interval)
	}
}

// missing is the share of packets that did not come out; the order is checked on the way.
func (r *run) missing(t *testing.T) float64 {
	t.Helper()
	for i := 1; i < len(r.rx.got); i++ {
		if r.rx.got[i].n <= r.rx.got[i-1].n {
			t.Fatalf("payload %d after %d", r.rx.got[i].n, r.rx.got[i-1].n)
		}
	}
	return 1 - float64(len(r.rx.got))/float64(len(r.sent))
}

// errors are delivery time - (sent + delay + latency), sorted, in the world's time.
func (r *run) errors(delay, latency time.Duration) []time.Duration {
	var e []time.Duration
	for _, p := range r.rx.got {
		e = append(e, (p.at.Sub(sim.Epoch) - r.sent[p.n] - delay - latency))
	}
	slices.Sort(e)
	return e
}

func both(c netem.Config) sim.Path { return sim.Path{Up: c, Down: c} }

func delayed(d time.Duration) netem.Config { return netem.Config{Delay: netem.Delay{Base: d}} }

func lossy(d time.Duration, p float64) netem.Config {
	c := delayed(d)
	c.Loss = netem.Loss{Model: netem.LossRandom, P: p}
	return c
}

func TestDeliveryTime(t *testing.T) {
	for _, c := range []struct {
		rtt time.Duration
		ppm float64
	}{{0, 0}, {100 * time.Millisecond, 0}, {300 * time.Millisecond, 0}, {60 * time.Millisecond, 200}, {60 * time.Millisecond, -200}} {
		if testing.Short() && c.ppm != 0 {
			continue
		}
		w := sim.New(1)
		r := newRun(w, both(delayed(c.rtt/2)), newCaller(7, 1000, "k", 120*time.Millisecond), Config{Latency: 200 * time.Millisecond})
		r.link.A.SetClock(time.Hour, c.ppm)
		d := time.Second
		if c.ppm != 0 {
			d = 60 * time.Second
		}
		r.stream(d)
		w.Run(time.Second)
		if m := r.missing(t); m > 0 || r.tx.resends > 0 || r.tx.granted != 200 {
			t.Errorf("RTT %v: missing %v, %d resends, latency %d", c.rtt, m, r.tx.resends, r.tx.granted)
		}
		e := r.errors(c.rtt/2, 200*time.Millisecond)
		for i := range e {
			e[i] = e[i].Abs()
		}
		slices.Sort(e)
		p50, p99 := e[len(e)/2], e[len(e)*99/100]
		t.Logf("RTT %v, %v ppm: error p50 %v p99 %v max %v, drift %v", c.rtt, c.ppm, p50, p99, e[len(e)-1], r.rx.conns[0].Stats().Drift)
		if p50 > time.Millisecond || p99 > 3*time.Millisecond {
			t.Errorf("RTT %v, %v ppm: error p50 %v p99 %v, want ≤ 1 ms and ≤ 3 ms", c.rtt, c.ppm, p50, p99)
		}
	}
}

// A conclusion that waited says that everything comes early; two seconds later nothing is late because of it, and nothing was lost. One that came in
// its time is believed, jitter or not.
func TestHandshakeThatWaited(t *testing.T) {
	for _, c := range []struct {
		waits, jitter time.Duration
	}{{60 * time.Millisecond, 0}, {3 * time.Millisecond, 0}, {0, 0}, {0, 20 * time.Millisecond}, {80 * time.Millisecond, 20 * time.Millisecond}} {
		w := sim.New(1)
		tx := newCaller(7, 1000, "k", 120*time.Millisecond)
		tx.waits, tx.stamp = c.waits, math.MaxUint32-1_000_000
		p := both(delayed(20 * time.Millisecond))
		p.Up.Delay.Jitter = c.jitter
		r := newRun(w, p, tx, Config{Latency: 200 * time.Millisecond})
		r.stream(8 * time.Second)
		w.Run(time.Second)
		if m := r.missing(t); m > 0 || r.rx.conns[0].Stats().Skipped > 0 {
			t.Errorf("%v: missing %v, %+v", c, m, r.rx.conns[0].Stats())
		}
		e := r.errors(20*time.Millisecond, 200*time.Millisecond)
		first, last := e[0], e[len(e)-1]
		r.rx.got = slices.DeleteFunc(r.rx.got, func(p payload) bool { return int(p.n) < 3*len(r.sent)/8 })
		e = r.errors(20*time.Millisecond, 200*time.Millisecond)
		t.Logf("waited %v, jitter %v: all between %v and %v off, after 3 s %v and %v", c.waits, c.jitter, first, last, e[0], e[len(e)-1])
		if e[0] < -time.Millisecond-c.jitter || e[len(e)-1] > 2*time.Millisecond+c.jitter || c.waits > 0 && e[0] < c.jitter/2 {
			t.Errorf("waited %v, jitter %v: delivered between %v and %v off", c.waits, c.jitter, e[0], e[len(e)-1])
		}
	}
}

// The timestamp wraps after 71.6 minutes, sequence numbers at 2^31.
func TestWrap(t *testing.T) {
	w := sim.New(1)
	tx := newCaller(7, maxSeq-200, "k", 120*time.Millisecond)
	tx.stamp = math.MaxUint32 - 2_000_000 // wraps after 2 s
	r := newRun(w, both(lossy(20*time.Millisecond, 0.02)), tx, Config{Latency: 300 * time.Millisecond})
	r.stream(4 * time.Second)
	w.Run(time.Second)
	if m := r.missing(t); m > 0 || r.rx.conns[0].Stats().Skipped > 0 {
		t.Errorf("missing %v, %+v", m, r.rx.conns[0].Stats())
	}
	e := r.errors(20*time.Millisecond, 300*time.Millisecond)
	if e[0] < 0 || e[len(e)-1] > time.Millisecond {
		t.Errorf("delivered between %v and %v off", e[0], e[len(e)-1])
	}
}

func TestRecovery(t *testing.T) {
	// The floors are srt.md's figures for libsrt 1.5.5 at RTT 100 ms (10 %: 0.08 at 300 ms, 0.01 at 400 ms; 20 %: 0.24) + 0.05 points.
	for _, c := range []struct {
		up, down float64
		latency  time.Duration
		floor    float64
	}{
		{0.05, 0.01, 300 * time.Millisecond, 0.0010},
		{0.10, 0.02, 300 * time.Millisecond, 0.0014},
		{0.10, 0.02, 400 * time.Millisecond, 0.0006},
		{0.20, 0.05, 400 * time.Millisecond, 0.0029},
	} {
		t.Run("", func(t *testing.T) {
			var missing, n float64
			var resends, first int
			simtest.ForSeeds(t, seeds, func(t *testing.T, w *sim.World) {
				if testing.Short() && w.Seed() > 0 {
					return
				}
				r := newRun(w, sim.Path{Up: lossy(50*time.Millisecond, c.up), Down: lossy(50*time.Millisecond, c.down)},
					newCaller(7, 1000, "k", c.latency), Config{Latency: c.latency})
				r.stream(length())
				w.Run(time.Second)
				missing += r.missing(t)
				n++
				resends += r.tx.resends
				first += r.tx.first
				checkSums(t, r.rx.conns[0])
			})
			t.Logf("loss %v/%v, latency %v: missing %.4f %%, resends %.1f %%", c.up, c.down, c.latency, 100*missing/n, 100*float64(resends)/float64(first))
			floor := c.floor
			if n < seeds { // too few packets to tell
				floor *= 10
			}
			if missing/n > floor {
				t.Errorf("missing %.4f %%, want ≤ %.4f %%", 100*missing/n, 100*floor)
			}
		})
	}
}

// length is how long a stream is.
func length() time.Duration {
	if testing.Short() {
		return 4 * time.Second
	}
	return 20 * time.Second
}

func checkSums(t *testing.T, c *Conn) {
	t.Helper()
	s := c.Stats()
	sum := s.Delivered + uint64(s.Buffered)
	for _, n := range s.Drops {
		sum += n
	}
	if s.Received+s.Rebuilt != sum {
		t.Errorf("received %d, accounted for %d: %+v", s.Received, sum, s)
	}
}

func TestJitterIsNotLoss(t *testing.T) {
	simtest.ForSeeds(t, seeds, func(t *testing.T, w *sim.World) {
		p := netem.Config{Delay: netem.Delay{Base: 50 * time.Millisecond, Jitter: 20 * time.Millisecond, Dist: netem.Normal}}
		if w.Seed() == 1 {
			p.Delay.Dist = netem.Uniform
		}
		r := newRun(w, sim.Path{Up: p, Down: delayed(50 * time.Millisecond)}, newCaller(7, 1000, "k", 400*time.Millisecond), Config{})
		r.stream(length())
		w.Run(time.Second)
		ratio := float64(r.tx.resends) / float64(r.tx.first)
		t.Logf("%v: resends %.2f %%, %+v", p.Delay.Dist, 100*ratio, r.rx.conns[0].Stats())
		if r.missing(t) > 0 || ratio > 0.03 && !testing.Short() || ratio > 0.06 {
			t.Errorf("missing %v, resends %.2f %%, want 0 and ≤ 3 %%", r.missing(t), 100*ratio)
		}
	})
}

func TestThousandConnect(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 200
	}
	w := sim.New(1)
	var worst time.Duration
	late := 0
	for i := range n {
		tx := newCaller(uint32(i)+1, 1, "k", 120*time.Millisecond)
		rx := newServer(Config{})
		w.Connect(both(lossy(30*time.Millisecond, 0.2)), tx, rx)
		defer func() {
			if tx.state != 2 || tx.connected.Sub(sim.Epoch) > 3*time.Second {
				late++
			}
			worst = max(worst, tx.connected.Sub(sim.Epoch))
			if i == 0 {
				t.Logf("slowest %v, %d of %d not within 3 s", worst, late, n)
				if late > 0 {
					t.Errorf("%d of %d not within 3 s", late, n)
				}
			}
		}()
	}
	w.Run(4 * time.Second)
}

func TestTailIsDelivered(t *testing.T) {
	w := sim.New(1)
	r := newRun(w, both(delayed(20*time.Millisecond)), newCaller(7, 1000, "k", 0), Config{Latency: 120 * time.Millisecond})
	r.stream(time.Second)
	r.tx.hangUp(r.link.A.Now())
	r.link.A.Wake()
	w.Run(time.Second)
	e := r.errors(20*time.Millisecond, 120*time.Millisecond)
	if r.missing(t) > 0 || e[len(e)-1] > time.Millisecond || r.rx.err != ErrShutdown || r.rx.l.Conns() != 0 {
		t.Errorf("missing %v, latest %v, %v, %d connections", r.missing(t), e[len(e)-1], r.rx.err, r.rx.l.Conns())
	}
	if u := r.rx.l.pool.used; u != 0 {
		t.Errorf("%d buffers leaked", u)
	}
}

// Parity against loss; the floors are issue 6's. For the share of resends, `always` sees the same path.
//
//	go test ./transport/srt -run TestPacketFilter -long -v
func TestPacketFilter(t *testing.T) {
	length, runs, beside := time.Minute, uint64(1), uint64(1)
	if *long {
		length, runs, beside = 10*time.Minute, 10, 5
	}
	if testing.Short() {
		length = 4 * time.Second
	}
	for _, c := range []struct {
		why, filter   string
		rtt, latency  time.Duration
		loss          float64
		d             time.Duration
		least, most   float64 // missing
		mostOfResends float64 // of what `always` resends
	}{
		{"latency below a round trip: only parity helps", "fec,cols:5,rows:4,arq:never", 100 * time.Millisecond, 80 * time.Millisecond, 0.05, length / 2, 0, 0.0005, 0},
		{"onreq, with time to ask", "fec,cols:10,rows:5,arq:onreq", 100 * time.Millisecond, 400 * time.Millisecond, 0.10, length, 0, 0, 0.25},
		{"row only, never asked", "fec,cols:10,arq:never", 20 * time.Millisecond, 200 * time.Millisecond, 0.05, length / 4, 0.015, 0.026, 0},
		{"always", "fec,cols:10,rows:5,arq:always", 20 * time.Millisecond, 200 * time.Millisecond, 0.05, length / 6, 0, 0, 1},
	} {
		seeds := uint64(1)
		if c.mostOfResends > 0 && c.mostOfResends < 1 {
			seeds = runs
			c.d = max(c.d, 20*time.Second) // of fewer losses nothing can be said of their share
		}
		var missing, sent, resent, always int
		for seed := range seeds {
			m, n, again := filtered(t, seed+1, c.filter, c.rtt, c.latency, c.loss, c.d)
			missing, sent, resent = missing+m, sent+n, resent+again
			if c.mostOfResends == 0 || seed%beside != 0 {
				continue
			}
			_, _, all := filtered(t, seed+1, c.filter[:strings.LastIndex(c.filter, ":")]+":always", c.rtt, c.latency, c.loss, c.d)
			always += all * int(min(beside, seeds))
		}
		share, ratio := float64(missing)/float64(sent), 0.0
		if always > 0 {
			ratio = float64(resent) / float64(always)
		}
		t.Logf("%s: %d of %d missing (%.4f %%), resends %.1f %% of always'", c.why, missing, sent, 100*share, 100*ratio)
		if testing.Short() && c.most > 0 {
			c.least, c.most = 0, 2*c.most+0.005 // of so few packets
		}
		if share < c.least || share > c.most || ratio > c.mostOfResends || c.mostOfResends == 0 && resent > 0 {
			t.Errorf("%s: missing %.4f %%, want %.4f to %.4f; %d resends, %.1f %% of always', want ≤ %.0f %%",
				c.why, 100*share, 100*c.least, 100*c.most, resent, 100*ratio, 100*c.mostOfResends)
		}
	}
}

// filtered is one run with a packet filter: how many packets were missing, sent and resent. The last half second of a stream is not counted:
// nothing follows that would show what is lost of it.
func filtered(t *testing.T, seed uint64, fec string, rtt, latency time.Duration, loss float64, d time.Duration) (missing, sent, resent int) {
	t.Helper()
	w := sim.New(seed)
	tx := newCaller(7, maxSeq-100, "k", latency)
	tx.protect(fec)
	r := newRun(w, sim.Path{Up: lossy(rtt/2, loss), Down: lossy(rtt/2, 0.02)}, tx, Config{Latency: latency})
	r.stream(d + unseen*interval)
	w.Run(time.Second)
	r.missing(t) // checks the order
	sent = len(r.sent) - unseen
	missing = sent
	for _, p := range r.rx.got {
		if int(p.n) < sent {
			missing--
		}
	}
	if s := r.rx.conns[0].Stats(); s.Rebuilt == 0 {
		t.Errorf("%s: nothing was rebuilt", fec)
	}
	checkSums(t, r.rx.conns[0])
	return missing, sent, tx.resends
}
