package netem

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// send puts n packets of size bytes through c, every gap, and hands each to see.
func send(c Config, seed uint64, n, size int, gap time.Duration, see func(i int, now, deliver time.Duration, f Fate)) *Link {
	l := NewLink(c, seed, Up)
	for i := range n {
		now := time.Duration(i) * gap
		deliver, f := l.Admit(now, size)
		see(i, now, deliver, f)
	}
	return l
}

func drops(c Config, seed uint64, n int) []bool {
	lost := make([]bool, n)
	send(c, seed, n, 1200, ms, func(i int, _, _ time.Duration, f Fate) { lost[i] = f.Drop != Delivered })
	return lost
}

func TestZeroConfigPassesEverythingAtOnce(t *testing.T) {
	l := send(Config{}, 1, 100, 1200, 0, func(i int, now, deliver time.Duration, f Fate) {
		if deliver != now || f != (Fate{}) {
			t.Fatalf("packet %d: got %v %v, want at once", i, deliver, f)
		}
	})
	if c := l.Counters(); c.Delivered != 100 || c.DeliveredBytes != 120000 {
		t.Errorf("counters: got %+v", c)
	}
}

// One seed, one run; another seed, another run; and the two directions differ.
func TestSeedDecides(t *testing.T) {
	c := Config{Loss: Loss{Model: LossRandom, P: 0.1}, Delay: Delay{Base: 50 * ms, Jitter: 10 * ms}}
	run := func(seed uint64, dir Direction) (h uint64) {
		l := NewLink(c, seed, dir)
		for i := range 2000 {
			d, f := l.Admit(time.Duration(i)*ms, 1000)
			h = mix64(h ^ uint64(d) ^ uint64(f.Drop)<<60)
		}
		return h
	}
	first, again := run(1, Up), run(1, Up)
	if first != again {
		t.Error("the same seed gave two runs")
	}
	if first == run(2, Up) || first == run(1, Down) {
		t.Error("another seed or direction gave the same run")
	}
}

// The streams are part of every report's meaning: this pins them.
func TestStreamsNeverChange(t *testing.T) {
	c := Config{Loss: Loss{Model: LossRandom, P: 0.2}}
	var got strings.Builder
	for _, l := range drops(c, 7, 64) {
		if l {
			got.WriteString("x")
		} else {
			got.WriteString(".")
		}
	}
	const want = "x......x....x.....x.......x.x.........x.....x.........x.x.x....."
	if got.String() != want {
		t.Errorf("seed 7: got %s, want %s", got.String(), want)
	}
}

// Switching one effect on moves no other (style §11: with a shared stream jitter moved 280 of 295 losses).
func TestEffectsAreIndependent(t *testing.T) {
	loss := Loss{Model: LossGE, P: 0.01, R: 0.2, Bad: 1}
	base := drops(Config{Loss: loss}, 3, 5000)
	for name, c := range map[string]Config{
		"jitter":    {Delay: Delay{Base: 50 * ms, Jitter: 20 * ms, Corr: 0.3, Dist: ParetoNormal}},
		"duplicate": {Duplicate: Chance{P: 0.2, Corr: 0.1}},
		"corrupt":   {Corrupt: Chance{P: 0.2}},
		"reorder":   {Delay: Delay{Base: 20 * ms}, Reorder: Reorder{P: 0.3, Gap: 3}},
		"rate":      {Rate: 100 * Mbit, Limit: Limit{Packets: 1 << 20}},
		"drought":   {Drought: Drought{Every: time.Second, Min: 10 * ms, Max: 100 * ms}},
		"poisson":   {Rate: 100 * Mbit, Poisson: true},
	} {
		c.Loss = loss
		for i, lost := range drops(c, 3, 5000) {
			if lost != base[i] {
				t.Errorf("%s moved the fate of packet %d", name, i)
				break
			}
		}
	}

	// And the other way round: loss moves no jitter, corruption or copy.
	c := Config{
		Delay: Delay{Base: 50 * ms, Jitter: 20 * ms, Corr: 0.5, Dist: Normal}, Corrupt: Chance{P: 0.1},
		Reorder: Reorder{P: 0.1, Corr: 0.5, Gap: 2},
	}
	type verdict struct {
		deliver time.Duration
		f       Fate
	}
	var plain []verdict
	send(c, 3, 3000, 1000, ms, func(_ int, _, d time.Duration, f Fate) { plain = append(plain, verdict{d, f}) })
	c.Loss = loss
	send(c, 3, 3000, 1000, ms, func(i int, _, d time.Duration, f Fate) {
		if f.Drop == Delivered && (verdict{d, f}) != plain[i] {
			t.Fatalf("loss moved packet %d: got %v %v, want %+v", i, d, f, plain[i])
		}
	})
}

// The same packet has the same fate in virtual and in real time: clocks that run late move delivery, not loss.
func TestFateIsIndexedByPacketNotTime(t *testing.T) {
	c := Config{
		Loss: Loss{Model: LossState, P13: 0.02, P31: 0.3, P32: 0.2, P23: 0.4, P14: 0.01}, Corrupt: Chance{P: 0.01, Corr: 0.3},
		Duplicate: Chance{P: 0.02}, Reorder: Reorder{P: 0.05, Corr: 0.2}, Delay: Delay{Base: 30 * ms, Jitter: 5 * ms},
	}
	virtual, real := NewLink(c, 11, Up), NewLink(c, 11, Up)
	late := newStream(1, Up, 99)
	for i := range uint64(10000) {
		now := time.Duration(i) * ms
		was := now + time.Duration(late.unit(i)*float64(ms))
		dv, fv := virtual.Admit(now, 1200)
		dr, fr := real.Admit(was, 1200)
		fv.CopyAt, fr.CopyAt = 0, 0
		if fv != fr || fv.Drop == Delivered && dv-now != dr-was {
			t.Fatalf("packet %d: virtual %v after %v, real %v after %v", i, fv, dv-now, fr, dr-was)
		}
	}
}

// Admitted + duplicated = delivered + dropped, by reason, in bytes and packets.
func TestCountersAddUp(t *testing.T) {
	c := everything()
	l := NewLink(c, 5, Down)
	var delivered, lost, copies uint64
	for i := range 20000 {
		_, f := l.Admit(time.Duration(i)*ms/2, 200+i%1200)
		if f.Drop == Delivered {
			delivered++
		} else {
			lost++
		}
		if f.Duplicated {
			copies++
		}
	}
	k := l.Counters()
	if k.Admitted != 20000 || k.Admitted+k.Duplicated != k.Delivered+k.Drops() {
		t.Errorf("the sum rule does not hold: %+v", k)
	}
	if k.Delivered != delivered+copies || lost == 0 || copies == 0 {
		t.Errorf("got %d delivered + %d copies, counters say %d", delivered, copies, k.Delivered)
	}
	for d := Lost; d < reasons; d++ {
		if k.Dropped[d] == 0 {
			t.Errorf("nothing was dropped by %v: the test misses it", d)
		}
	}
	if p, b := l.Queued(time.Hour); p != 0 || b != 0 {
		t.Errorf("an hour later %d packets, %d bytes are queued", p, b)
	}
}

// everything has each effect switched on.
func everything() Config {
	return Config{
		Delay:     Delay{Base: 40 * ms, Jitter: 10 * ms, Corr: 0.25, Dist: ParetoNormal},
		Loss:      Loss{Model: LossTime, GoodFor: time.Second, BadFor: 50 * ms, Bad: 0.5, Good: 0.01},
		Reorder:   Reorder{P: 0.02, Corr: 0.5, Gap: 5},
		Duplicate: Chance{P: 0.02}, Corrupt: Chance{P: 0.01},
		Rate: 6 * Mbit, Limit: Limit{Bytes: 64000}, CoDel: CoDel{On: true},
		Policer: Policer{Rate: 8 * Mbit, Burst: 20000},
		Drought: Drought{Every: time.Second, Min: 20 * ms, Max: 200 * ms},
		Schedule: []Step{
			{At: time.Second, Kind: StepRate, Rate: 3 * Mbit},
			{At: 2 * time.Second, Kind: StepOutage, For: 100 * ms},
			{At: 3 * time.Second, Kind: StepHandover, For: 50 * ms},
			{At: 3 * time.Second, Kind: StepStall, For: 30 * ms},
			{At: 4 * time.Second, Kind: StepDelay, Delay: Delay{Base: 80 * ms}},
			{At: 4 * time.Second, Kind: StepLoss, Loss: Loss{Model: LossRandom, P: 0.05, Corr: 0.2}},
		},
		Repeat: 5 * time.Second,
	}
}

func TestAdmitDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		return
	}
	trace, err := NewPacketTrace([]uint32{0, 3, 3, 9, 20, 21, 40})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]Config{
		"everything": everything(),
		"trace":      {Trace: trace, Limit: Limit{Time: 100 * ms}},
		"poisson":    {Rate: 3 * Mbit, Poisson: true},
	} {
		l := NewLink(c, 1, Up)
		var now time.Duration
		for range 2000 {
			now += ms / 4
			l.Admit(now, 1200)
		}
		if got := testing.AllocsPerRun(5000, func() { now += ms; l.Admit(now, 1200) }); got != 0 {
			t.Errorf("%s: got %v allocations per packet, want 0", name, got)
		}
	}
}

func TestValidateNamesTheField(t *testing.T) {
	for want, c := range map[string]Config{
		"netem: bad config: loss: 1.5 is not in 0..1":                                {Loss: Loss{Model: LossRandom, P: 1.5}},
		"netem: bad config: rate: -1 bit/s is not in 1kbit..1000gbit":                {Rate: -1},
		"netem: bad config: limit 100ms: a limit in time needs a rate":               {Limit: Limit{Time: 100 * ms}},
		"netem: bad config: poisson needs a rate":                                    {Poisson: true},
		"netem: bad config: trace x.up: not loaded":                                  {TraceFile: "x.up"},
		"netem: bad config: at 1s: after 2s":                                         {Schedule: []Step{{At: 2 * time.Second, Kind: StepHandover}, {At: time.Second, Kind: StepHandover}}},
		"netem: bad config: at 1s rate 0bit: must be positive (say stall or outage)": {Rate: Kbit, Schedule: []Step{{At: time.Second}}},
		"netem: bad config: delay: NaN is not in 0..1":                               {Delay: Delay{Corr: math.NaN()}},
		"netem: bad config: policer: burst must be positive":                         {Policer: Policer{Rate: Kbit}},
		"netem: bad config: at 3s: does not end before repeat 2s":                    {Schedule: []Step{{At: 3 * time.Second, Kind: StepHandover}}, Repeat: 2 * time.Second},
		"netem: bad config: drought: 2s is longer than 1s":                           {Drought: Drought{Every: time.Second, Min: 2 * time.Second, Max: time.Second}},
		"netem: bad config: delay: -1ms is not in 0..1000h0m0s":                      {Delay: Delay{Base: -ms}},
		"netem: bad config: loss state: p13 + p14 > 1":                               {Loss: Loss{Model: LossState, P13: 0.6, P14: 0.6}},
		"netem: bad config: loss getime: both stays must be 1ms or more":             {Loss: Loss{Model: LossTime}},
	} {
		if err := c.Validate(); err == nil || err.Error() != want || !errors.Is(err, ErrConfig) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	c := everything()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func BenchmarkAdmit(b *testing.B) {
	for name, c := range map[string]Config{"loss+delay+rate": {
		Delay: Delay{Base: 30 * ms, Jitter: 5 * ms}, Loss: Loss{Model: LossRandom, P: 0.02}, Rate: 6 * Mbit,
	}, "everything": everything()} {
		b.Run(name, func(b *testing.B) {
			l := NewLink(c, 1, Up)
			var now time.Duration
			for b.Loop() {
				now += 2 * ms
				l.Admit(now, 1200)
			}
		})
	}
}
