package sim_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bench/netem/profile"
	"github.com/fairlead-live/fairlead/bench/sim"
	"github.com/fairlead-live/fairlead/bench/sim/simtest"
)

const ms = time.Millisecond

func path(t testing.TB, words string) sim.Path {
	t.Helper()
	up, down, err := netem.ParsePath(words)
	if err != nil {
		t.Fatal(err)
	}
	return sim.Path{Up: up, Down: down}
}

// toy connects a toy stream of 6 Mbit/s: 625 packets of 1200 bytes a second.
func toy(w *sim.World, p sim.Path) (*sim.Link, *toySender, *toyReceiver) {
	tx, rx := &toySender{}, &toyReceiver{got: map[uint32]time.Time{}}
	l := w.Connect(p, tx, rx)
	l.B.OnWake = func(now time.Time) {
		for rx.pop(now) {
		}
	}
	w.Every(1600*time.Microsecond, func() {
		tx.push()
		l.A.Wake()
	})
	return l, tx, rx
}

const bursty = "delay 40ms 5ms loss gemodel 0.5% 20% duplicate 0.1% corrupt 0% up rate 10mbit limit 200ms down loss 1%"

// 60 s of a stream over a bursty link with ARQ, and every packet accounted for.
func TestToyStreamGetsThrough(t *testing.T) {
	simtest.ForSeeds(t, 5, func(t *testing.T, w *sim.World) {
		l, tx, rx := toy(w, path(t, bursty))
		w.Run(60 * time.Second)
		c := l.A.Counters()
		if c.Admitted != uint64(tx.count) || c.Admitted+c.Duplicated != c.Delivered+c.Drops() {
			t.Errorf("sent %d, counters %+v", tx.count, c)
		}
		if c.Dropped[netem.Lost] < 500 {
			t.Errorf("only %d packets were lost: the link is too good for the test", c.Dropped[netem.Lost])
		}
		if rx.skipped > 5 || rx.given < int(tx.next)-500 {
			t.Errorf("of %d packets %d came in order and %d were given up", tx.next, rx.given, rx.skipped)
		}
	})
}

// Every profile carries the toy stream, or part of it, and every packet is accounted for, twice the same way.
func TestEveryProfileInVirtualTime(t *testing.T) {
	length := 3 * time.Second
	if testing.Short() {
		length = time.Second
	}
	for _, p := range profile.List() {
		var sums [2]uint64
		for i := range sums {
			w := sim.New(7)
			l, _, rx := toy(w, sim.Path{Up: p.Up, Down: p.Down})
			w.Run(length)
			for _, e := range []*sim.End{l.A, l.B} {
				if c := e.Counters(); c.Admitted+c.Duplicated != c.Delivered+c.Drops() {
					t.Errorf("%s %s: %+v", p.Name, e.Name, c)
				}
			}
			if rx.given == 0 || len(w.Faults()) > 0 {
				t.Errorf("%s: %d packets came, faults %v", p.Name, rx.given, w.Faults())
			}
			sums[i] = w.Sum()
		}
		if sums[0] != sums[1] {
			t.Errorf("%s: one seed gave two runs", p.Name)
		}
	}
}

// One seed is one run: the same trace, byte for byte; another seed is another one.
func TestOneSeedOneRun(t *testing.T) {
	run := func(seed uint64) (sum uint64, text []byte) {
		w := sim.New(seed)
		w.OnVerdict = func(_ *sim.Link, v netem.Verdict) { text = append(v.AppendText(text), '\n') }
		toy(w, path(t, bursty+" at 2s up outage 200ms at 3s up handover at 4s up rate 5mbit drought 2s 50ms 100ms"))
		w.Run(5 * time.Second)
		return w.Sum(), text
	}
	sum, text := run(1)
	again, textAgain := run(1)
	if sum != again || !slices.Equal(text, textAgain) {
		t.Error("the same seed gave two runs")
	}
	if other, _ := run(2); other == sum {
		t.Error("another seed gave the same run")
	}
	if len(text) < 100_000 {
		t.Errorf("the trace has %d bytes: too little to prove anything", len(text))
	}
}

// A verdict log replays: what the world's link said is what a link alone says when asked the same.
func TestVerdictLogReplays(t *testing.T) {
	w := sim.New(4)
	p := path(t, bursty)
	var log []netem.Verdict
	w.OnVerdict = func(_ *sim.Link, v netem.Verdict) {
		if v.Dir == netem.Up {
			log = append(log, v)
		}
	}
	toy(w, p)
	w.Run(2 * time.Second)
	if err := netem.Replay(p.Up, 4, log); err != nil || len(log) < 1000 {
		t.Errorf("%d verdicts: %v", len(log), err)
	}
	if err := netem.Replay(p.Up, 5, log); err == nil {
		t.Error("another seed replays the same log")
	}
}

// probe records what comes in and sends one datagram when asked.
type probe struct {
	out      [][]byte
	at       []time.Time
	from     []netip.AddrPort
	ce       int
	due      time.Time
	woken    []time.Time
	stuck    bool
	payloads [][]byte
}

func (p *probe) HandleDatagram(time.Time, []byte) { panic("HandleArrival comes first") }

func (p *probe) HandleArrival(now time.Time, b []byte, a sim.Arrival) {
	p.at, p.from = append(p.at, now), append(p.from, a.From)
	p.payloads = append(p.payloads, slices.Clone(b))
	if a.CE {
		p.ce++
	}
}

func (p *probe) AppendDatagram(dst []byte, now time.Time) ([]byte, bool) {
	if !p.due.IsZero() && !now.Before(p.due) && !p.stuck {
		p.woken = append(p.woken, now)
		p.due = time.Time{}
	}
	if len(p.out) == 0 {
		return dst, false
	}
	dst = append(dst, p.out[0]...)
	p.out = p.out[1:]
	return dst, true
}

func (p *probe) NextTimeout() time.Time { return p.due }

func TestDelayAddressAndHandover(t *testing.T) {
	w := sim.New(1)
	a, b := &probe{}, &probe{}
	l := w.Connect(path(t, "delay 30ms at 1s up handover"), a, b)
	say := func() { a.out = append(a.out, []byte("hi")); l.A.Wake() }
	w.After(10*ms, say)
	w.After(1500*ms, say)
	w.Run(2 * time.Second)
	if len(b.at) != 2 || b.at[0] != sim.Epoch.Add(40*ms) || b.at[1] != sim.Epoch.Add(1530*ms) {
		t.Fatalf("arrivals at %v", b.at)
	}
	if b.from[0] == b.from[1] || b.from[0].String() != "10.0.0.1:1000" || l.A.Addr() != b.from[1] {
		t.Errorf("from %v, now %v", b.from, l.A.Addr())
	}
	if l.B.Addr().String() != "10.0.0.2:2000" {
		t.Errorf("the other end moved: %v", l.B.Addr())
	}
}

func TestMarksCopiesAndWrongBits(t *testing.T) {
	w := sim.New(1)
	a, b := &probe{}, &probe{}
	l := w.Connect(path(t, "loss 100% ecn duplicate 100% corrupt 100%"), a, b)
	a.out = [][]byte{make([]byte, 100)}
	l.A.Wake()
	w.Run(time.Second)
	if len(b.payloads) != 2 || b.ce != 2 {
		t.Fatalf("got %d copies, %d marked, want 2 and 2", len(b.payloads), b.ce)
	}
	ones := 0
	for _, x := range b.payloads[0] {
		for ; x > 0; x &= x - 1 {
			ones++
		}
	}
	if ones != 1 {
		t.Errorf("%d bits are wrong, want 1", ones)
	}
}

func TestTimersFireOnTheNodesClock(t *testing.T) {
	w := sim.New(1)
	a, b := &probe{}, &probe{}
	l := w.Connect(sim.Path{}, a, b)
	l.A.SetClock(time.Hour, 100) // an hour ahead, 100 ppm fast
	a.due = sim.Epoch.Add(time.Hour + 10*time.Second)
	w.Run(10*time.Second - 2*ms)
	if len(a.woken) != 0 {
		t.Fatalf("woken early: %v", a.woken)
	}
	w.Run(2 * ms)
	if len(a.woken) != 1 || a.woken[0].Before(sim.Epoch.Add(time.Hour+10*time.Second)) {
		t.Errorf("woken at %v", a.woken)
	}
	if got := l.A.Now().Sub(sim.Epoch); got != time.Hour+10*time.Second+ms {
		t.Errorf("after 10 s the fast clock says %v", got)
	}
}

// A node that is due now, always, would stop a real loop: the world says so and goes on.
func TestStuckNodeIsAFault(t *testing.T) {
	w := sim.New(1)
	a := &probe{stuck: true, due: sim.Epoch.Add(ms)}
	w.Connect(sim.Path{}, a, &probe{})
	w.Run(10 * ms)
	if len(w.Faults()) == 0 {
		t.Error("no fault")
	}
}

func TestEventsOfOneTimeKeepTheirOrder(t *testing.T) {
	w := sim.New(1)
	var got []int
	for i := range 100 {
		w.At(time.Duration(i%3)*ms, func() { got = append(got, i%3*1000+i) })
	}
	w.Run(time.Second)
	if len(got) != 100 || !slices.IsSorted(got) {
		t.Errorf("got %v", got)
	}
}

func TestRandStreamsAreTheirOwn(t *testing.T) {
	a, b := sim.New(1), sim.New(1)
	a.Rand("frames").Uint64()
	if a.Rand("loss").Uint64() != b.Rand("loss").Uint64() {
		t.Error("a draw from one stream moved another")
	}
	if a.Rand("frames").Uint64() == b.Rand("frames").Uint64() {
		t.Error("a stream starts again at each call")
	}
}

// 60 s of a 6 Mbit/s stream over a bursty link with ARQ.
func Benchmark60Seconds(b *testing.B) {
	p := path(b, bursty)
	var sum uint64
	for b.Loop() {
		w := sim.New(1)
		toy(w, p)
		w.Run(60 * time.Second)
		if sum != 0 && sum != w.Sum() {
			b.Fatal("another run")
		}
		sum = w.Sum()
	}
}
