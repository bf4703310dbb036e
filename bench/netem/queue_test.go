package netem

import (
	"math"
	"testing"
	"time"
)

// flood sends 1250-byte packets (10 kbit) every gap and returns the rate that came through after
// the first second, the longest wait and the loss ratio.
func flood(c Config, gap, length time.Duration) (rate float64, wait time.Duration, k Counters) {
	var bits float64
	l := send(c, 3, int(length/gap), 1250, gap, func(_ int, now, d time.Duration, f Fate) {
		if f.Drop == Delivered {
			wait = max(wait, f.Wait)
			if d -= c.Delay.Base; d >= time.Second && d < length {
				bits += 10_000
			}
		}
	})
	return bits / (length - time.Second).Seconds(), wait, l.Counters()
}

func TestRateAndQueueLimits(t *testing.T) {
	for _, c := range []struct {
		limit Limit
		wait  time.Duration // the longest: the queue, the one that is being sent included
	}{
		{Limit{Packets: 20}, 50 * ms},
		{Limit{Bytes: 50_000}, 100 * ms},
		{Limit{Time: 250 * ms}, 250 * ms},
		{Limit{}, 2500 * ms}, // tc's 1000 packets
	} {
		rate, wait, k := flood(Config{Rate: 4 * Mbit, Limit: c.limit, Delay: Delay{Base: 30 * ms}}, ms, 20*time.Second)
		within(t, "rate", rate, 4e6, 4e6*0.001)
		within(t, "longest wait in ms", wait.Seconds()*1000, c.wait.Seconds()*1000, 2.6)
		if k.Dropped[QueueFull] != k.Drops() || k.Drops() == 0 {
			t.Errorf("limit %+v: dropped %v", c.limit, k.Dropped)
		}
	}
	// Below its rate a link does not queue: each packet waits for its own serialisation.
	_, wait, k := flood(Config{Rate: 4 * Mbit}, 3*ms, 10*time.Second)
	if wait != 2500*time.Microsecond || k.Drops() != 0 {
		t.Errorf("below the rate: longest wait %v, %d dropped", wait, k.Drops())
	}
	// Overhead counts: 1250 bytes at 4 Mbit/s are sent as 1350.
	rate, _, _ := flood(Config{Rate: 4 * Mbit, Overhead: 100}, ms, 10*time.Second)
	within(t, "rate with overhead", rate, 4e6*1250/1350, 4e6*0.002)
}

func TestCoDelShortensAStandingQueue(t *testing.T) {
	// 25 % more than the rate, from a sender that does not respond: the worst case of CoDel's
	// square-root law, which swings around its target. A plain queue would be full: 1250 ms.
	c := Config{Rate: 8 * Mbit, CoDel: CoDel{On: true}}
	var late []float64
	l := send(c, 1, 60000, 1250, ms, func(_ int, now, d time.Duration, f Fate) {
		if f.Drop == Delivered && now > 30*time.Second {
			late = append(late, f.Wait.Seconds()*1000)
		}
	})
	var mean float64
	for _, w := range late {
		mean += w / float64(len(late))
	}
	k := l.Counters()
	if mean > 150 || k.Dropped[CoDelDrop] == 0 {
		t.Errorf("after 30 s the mean wait is %.1f ms, drops %v", mean, k.Dropped)
	}
	within(t, "share that passes", float64(k.Delivered)/float64(k.Admitted), 0.8, 0.02)

	// Short bursts that drain within an interval are left alone: RFC 8289 §3.2, a good queue.
	l = NewLink(c, 1, Up)
	for i := range 500 {
		for range 50 { // 50 ms of queue, every 100 ms
			if _, f := l.Admit(time.Duration(i)*100*ms, 1250); f.Drop != Delivered {
				t.Fatalf("burst %d: %v", i, f)
			}
		}
	}

	// ecn marks what can be marked and drops the rest.
	c.ECN = true
	for _, ect := range []bool{true, false} {
		l = NewLink(c, 1, Up)
		for i := range 5000 {
			l.AdmitECT(time.Duration(i)*ms, 1250, ect)
		}
		k := l.Counters()
		if ect != (k.Marked > 0) || ect != (k.Dropped[CoDelDrop] == 0) {
			t.Errorf("ect %v: %d marked, dropped %v", ect, k.Marked, k.Dropped)
		}
	}
}

// The first drop comes one interval after the sojourn time went above target; the next ones follow
// interval/sqrt(count) (RFC 8289 §4.5), while it stays there.
func TestCoDelDropTimes(t *testing.T) {
	k := newCoDel(CoDel{On: true})
	var at []time.Duration
	for now := time.Duration(0); now < 500*ms; now += ms / 10 {
		if k.drop(now, 20*ms, 10000) {
			at = append(at, now)
		}
	}
	next := 100.0
	for i, got := range at {
		within(t, "drop in ms", got.Seconds()*1000, next, 0.2)
		next += 100 / math.Sqrt(float64(i+1))
	}
	if len(at) < 7 {
		t.Errorf("got %d drops in 500 ms: %v", len(at), at)
	}
}

func TestPolicer(t *testing.T) {
	c := Config{Policer: Policer{Rate: 4 * Mbit, Burst: 25_000}}
	rate, wait, k := flood(c, ms, 20*time.Second)
	within(t, "rate", rate, 4e6, 4e6*0.002)
	if wait != 0 || k.Dropped[Policed] != k.Drops() {
		t.Errorf("a policer has no queue: longest wait %v, dropped %v", wait, k.Dropped)
	}
	// A burst of Burst bytes passes whole, the next packet does not, and after a pause it passes again.
	l := NewLink(c, 1, Up)
	for i := range 21 {
		if _, f := l.Admit(0, 1250); (f.Drop == Delivered) != (i < 20) {
			t.Errorf("packet %d of a burst: %v", i, f)
		}
	}
	if _, f := l.Admit(2500*time.Microsecond, 1250); f.Drop != Delivered {
		t.Errorf("after 2.5 ms, 1250 bytes of 4 Mbit/s: %v", f)
	}
}

// Mahimahi: each line lets 1500 bytes go; small packets share it, what is not used is lost.
func TestPacketTrace(t *testing.T) {
	tr, err := NewPacketTrace([]uint32{10, 10, 50, 100})
	if err != nil {
		t.Fatal(err)
	}
	l := NewLink(Config{Trace: tr}, 1, Up)
	for i, c := range []struct {
		at, size, want int
		why            string
	}{
		{0, 1500, 10, "the first opportunity"},
		{0, 700, 10, "the second one, shared"},
		{0, 700, 10, "by two"},
		{0, 200, 50, "100 bytes of it were left, and the rest waits for the third"},
		{60, 1500, 100, "what was left at 50 is gone"},
		{60, 1500, 110, "round again"},
		{120, 3000, 200, "a large one takes two"},
		{1000, 100, 1000, "wherever it is in the trace, and at once"},
		{1001, 100, 1010, "but an opportunity is over when its time is"},
	} {
		d, _ := l.Admit(time.Duration(c.at)*ms, c.size)
		if d != time.Duration(c.want)*ms {
			t.Errorf("packet %d (%s): got %v, want %d ms", i, c.why, d, c.want)
		}
	}

	rate, _, _ := flood(Config{Trace: tr, Limit: Limit{Packets: 50}}, ms, 60*time.Second)
	within(t, "rate", rate, float64(tr.Mean()), float64(tr.Mean())*0.005)
}

func TestSeedsTakeDifferentStretches(t *testing.T) {
	rates := make([]Bitrate, 600)
	for i := range rates {
		rates[i] = Bitrate(i+1) * 10 * Kbit
	}
	tr, err := NewRateTrace(rates)
	if err != nil {
		t.Fatal(err)
	}
	first := func(seed uint64, dir Direction, offset time.Duration) time.Duration {
		d, _ := NewLink(Config{Trace: tr, TraceOffset: offset}, seed, dir).Admit(0, 1500)
		return d
	}
	seen := map[time.Duration]bool{}
	for seed := range uint64(20) {
		seen[first(seed, Up, -1)] = true
		if first(seed, Up, -1) != first(seed, Down, -1) {
			t.Errorf("seed %d: up and down are at different places of the recording", seed)
		}
	}
	if len(seen) < 18 {
		t.Errorf("20 seeds took %d stretches", len(seen))
	}
	if got, want := first(5, Up, 99*time.Second), 12*ms; got != want { // 12 kbit at 1 Mbit/s
		t.Errorf("offset 99s: got %v, want %v", got, want)
	}
	rate, _, _ := flood(Config{Trace: tr, Limit: Limit{Packets: 20}}, 2*ms, 300*time.Second)
	within(t, "rate", rate, 1.51e6, 0.01e6) // seconds 1 to 299
}

func TestPoissonDeliveries(t *testing.T) {
	c := Config{Rate: 3 * Mbit, Poisson: true, Limit: Limit{Packets: 20}}
	times := map[time.Duration]bool{}
	var last time.Duration
	var gaps, squares, n float64
	l := NewLink(c, 2, Up)
	for i := range 100_000 {
		d, f := l.Admit(time.Duration(i)*2*ms, 1500)
		if f.Drop != Delivered || i < 100 {
			last = max(last, d)
			continue
		}
		g := (d - last).Seconds() * 1000
		last = d
		gaps, squares, n = gaps+g, squares+g*g, n+1
		times[d] = true
	}
	mean := gaps / n
	within(t, "mean gap in ms", mean, 4, 4*4/math.Sqrt(n))
	within(t, "sd of gaps", math.Sqrt(squares/n-mean*mean), 4, 0.1)

	// Capacity is indexed by time: half the traffic sees the same opportunities.
	l = NewLink(c, 2, Up)
	for i := range 1000 {
		d, f := l.Admit(time.Duration(i)*100*ms+time.Second, 1500)
		if f.Drop == Delivered && !times[d] {
			t.Fatalf("an opportunity at %v that full load did not see", d)
		}
	}
}

// A drought holds packets; the mean share of time held is mean/(every+mean), and nothing is lost.
func TestDrought(t *testing.T) {
	var held, longest float64
	n := 5 * many
	l := send(Config{Drought: Drought{Every: time.Second, Min: 50 * ms, Max: 150 * ms}, Limit: Limit{Packets: 1 << 20}}, 3, n, 100, ms,
		func(_ int, now, d time.Duration, f Fate) {
			if d > now {
				held++
			}
			longest = max(longest, (d-now).Seconds()*1000)
		})
	within(t, "share held", held/float64(n), 0.1/1.1, 2.5*0.1/1.1/math.Sqrt(float64(n)/1100))
	within(t, "longest", longest, 150, 5)
	if k := l.Counters(); k.Drops() > 0 {
		t.Errorf("dropped %v", k.Dropped)
	}
}

func TestMean(t *testing.T) {
	for _, c := range []struct {
		words string
		in    time.Duration
		want  Bitrate
	}{
		{"delay 30ms loss 5%", time.Minute, 0},
		{"rate 3mbit", time.Minute, 3 * Mbit},
		{"rate 6mbit at 10s rate 3mbit at 20s rate 6mbit repeat 30s", time.Minute, 5 * Mbit},
		{"rate 8mbit at 0s rate 8mbit at 10s rate 2mbit at 20s rate 5mbit at 30s rate 1mbit repeat 40s", 80 * time.Second, 4 * Mbit},
		{"rate 10mbit at 10s rate 5mbit", 40 * time.Second, 6250 * Kbit},
		{"policer 4mbit burst 32768b", time.Minute, 4 * Mbit},
		{"rate 6mbit policer 4mbit burst 32768b", time.Minute, 4 * Mbit},
	} {
		cfg, err := ParseWords(c.words)
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.Mean(c.in); got != c.want {
			t.Errorf("%s: %d in %v, want %d", c.words, got, c.in, c.want)
		}
	}
}

func TestSchedule(t *testing.T) {
	c, err := ParseWords("delay 20ms rate 6mbit limit 100ms at 10s rate 3mbit at 20s rate 6mbit at 30s outage 1s at 40s handover outage 50ms at 50s stall 300ms at 55s delay 80ms at 57s loss 100% at 59s loss 0% repeat 60s")
	if err != nil {
		t.Fatal(err)
	}
	var bits [120]float64
	var dropped [120]int
	send(c, 1, 120_000, 1250, ms, func(i int, now, d time.Duration, f Fate) {
		sec := int(now / time.Second)
		if f.Drop == Outage || f.Drop == Lost {
			dropped[sec]++
		}
		if f.Drop == Delivered && d < 120*time.Second {
			bits[d/time.Second] += 10_000
		}
		round, in := now/(60*time.Second), now%(60*time.Second)
		want := 2 * round
		if in >= 40*time.Second {
			want++
		}
		if f.Path != uint32(want-round) {
			t.Fatalf("at %v: path %d, want %d", now, f.Path, want-round)
		}
	})
	for i, want := range map[int]float64{5: 6e6, 15: 3e6, 25: 6e6, 65: 6e6, 75: 3e6, 85: 6e6} {
		within(t, "rate", bits[i], want, want*0.01)
	}
	if dropped[30] != 1000 || dropped[90] != 1000 || dropped[40] != 50 || dropped[58] != 1000 || dropped[60] != 0 {
		t.Errorf("outage %d and %d, handover %d, loss %d, after it %d", dropped[30], dropped[90], dropped[40], dropped[58], dropped[60])
	}
	// Stalled from 50 s to 50.3 s: what arrives from there on was queued for 0.3 s at most.
	within(t, "rate in the second of the stall", bits[50], 0.7*6e6, 0.1e6)
}
