package arq

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/transport/wire"
)

const ms = time.Millisecond

// report says which of the packets begin.. arrived, at which time (receiver's clock, an hour ahead), -1: not.
func report(t testing.TB, begin int64, at time.Duration, arrivals ...time.Duration) *wire.Feedback {
	t.Helper()
	var metrics []wire.Metric
	for _, a := range arrivals {
		if a < 0 {
			metrics = append(metrics, 0)
		} else {
			metrics = append(metrics, wire.NewMetric(at-a, 0))
		}
	}
	f, err := wire.ParseFeedback(wire.AppendFeedback(nil, 1, 1, uint16(begin), metrics, wire.ReportTime(at+time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	return &f
}

func outcomes(events []Event) (acked, lost, late []int64) {
	for _, e := range events {
		switch e.Outcome {
		case Acked:
			acked = append(acked, e.Sequence)
		case Lost:
			lost = append(lost, e.Sequence)
		case Late:
			late = append(late, e.Sequence)
		}
	}
	return acked, lost, late
}

// Packets 0.. leave at 0, 1, 2 … ms; one way is 30 ms.
func TestHolesBecomeLosses(t *testing.T) {
	tr := NewTracker(64)
	for i := range 6 {
		tr.Sent(time.Duration(i)*ms, Source, int64(100+i), 1000)
	}
	const no = -1
	for _, step := range []struct {
		why    string
		now    time.Duration
		begin  int64
		at     time.Duration
		has    []time.Duration
		acked  []int64
		lost   []int64
		late   []int64
		flying int
	}{
		{"0 arrives: nothing is known of the rest", 61 * ms, 0, 31 * ms, []time.Duration{30 * ms}, []int64{0}, nil, nil, 5000},
		{"2 arrives and not 1: lost at once, no reordering was ever seen", 63 * ms, 0, 33 * ms, []time.Duration{30 * ms, no, 32 * ms}, []int64{2}, []int64{1}, nil, 3000},
		{"the same report again says nothing new", 64 * ms, 0, 33 * ms, []time.Duration{30 * ms, no, 32 * ms}, nil, nil, nil, 3000},
		{"1 arrives after all: the window learns", 68 * ms, 0, 38 * ms, []time.Duration{30 * ms, 37 * ms, 32 * ms}, nil, nil, []int64{1}, 3000},
		{"4 arrives and not 3: now we wait", 69 * ms, 3, 39 * ms, []time.Duration{no, 34 * ms}, []int64{4}, nil, nil, 2000},
	} {
		events, err := tr.Feedback(step.now, report(t, step.begin, step.at, step.has...), nil)
		if err != nil {
			t.Fatalf("%s: %v", step.why, err)
		}
		acked, lost, late := outcomes(events)
		if !slices.Equal(acked, step.acked) || !slices.Equal(lost, step.lost) || !slices.Equal(late, step.late) {
			t.Errorf("%s: acked %v lost %v late %v, want %v %v %v", step.why, acked, lost, late, step.acked, step.lost, step.late)
		}
		if got := tr.BytesInFlight(); got != step.flying {
			t.Errorf("%s: %d bytes in flight, want %d", step.why, got, step.flying)
		}
	}
	if w := tr.ReorderWindow(); w <= 0 || w > 5*ms {
		t.Errorf("reorder window = %v, want within 5 ms", w)
	}
	at := tr.NextTimeout()
	if at <= 69*ms || at > 75*ms {
		t.Errorf("next timeout = %v, want a reorder window after 69 ms", at)
	}
	if _, lost, _ := outcomes(tr.Timeout(at-1, nil)); lost != nil {
		t.Errorf("%v lost before the window has passed", lost)
	}
	if _, lost, _ := outcomes(tr.Timeout(at, nil)); !slices.Equal(lost, []int64{3}) {
		t.Errorf("lost %v, want 3", lost)
	}
}

// The last packets of a frame are lost and nothing follows: a report made after they were due says so.
func TestTail(t *testing.T) {
	tr := NewTracker(64)
	for i := range 4 {
		tr.Sent(time.Duration(i)*ms, Source, 0, 1000)
	}
	events, err := tr.Feedback(62*ms, report(t, 0, 32*ms, 30*ms, 31*ms), nil)
	if _, lost, _ := outcomes(events); err != nil || lost != nil {
		t.Fatalf("lost %v, %v: 2 and 3 are on their way", lost, err)
	}
	events, _ = tr.Feedback(70*ms, report(t, 0, 45*ms, 30*ms, 31*ms), nil)
	if _, lost, _ := outcomes(events); !slices.Equal(lost, []int64{2, 3}) {
		t.Errorf("lost %v, want 2 and 3: they were due at 33 ms", lost)
	}
	for range 2 {
		tr.Sent(80*ms, Resend, 0, 1000)
	}
	events, _ = tr.Feedback(200*ms, report(t, 0, 170*ms, 30*ms, 31*ms), nil)
	if _, lost, _ := outcomes(events); lost != nil {
		t.Errorf("lost %v: nothing has arrived for 139 ms, the path has stopped, not lost", lost)
	}
	if _, lost, _ := outcomes(tr.Forget(time.Second, nil)); len(lost) != 2 || tr.BytesInFlight() != 0 || tr.PacketsInFlight() != 0 {
		t.Errorf("forgot %v, %d bytes left", lost, tr.BytesInFlight())
	}
}

// The newest packet is waited for as long as the slowest one of late took, and by as much longer as one came that was given up too soon.
func TestTailWaitsForWhatWasLate(t *testing.T) {
	tr := NewTracker(64)
	tr.Sent(0, Source, 0, 1000)
	tr.Sent(20*ms, Source, 0, 1000)
	events, _ := tr.Feedback(84*ms, report(t, 0, 52*ms, 30*ms), nil)
	if _, lost, _ := outcomes(events); !slices.Equal(lost, []int64{1}) {
		t.Fatalf("lost %v, want 1: it was due at 50 ms", lost)
	}
	events, _ = tr.Feedback(86*ms, report(t, 1, 53*ms, 53*ms), nil)
	if _, _, late := outcomes(events); !slices.Equal(late, []int64{1}) {
		t.Fatalf("late %v, want 1, 3 ms after it was due", late)
	}
	sent := 20 * ms
	for range 24 { // the delay of 33 ms is forgotten by then
		sent += 25 * ms
		n := tr.Sent(sent, Source, 0, 1000)
		tr.Feedback(sent+60*ms, report(t, n, sent+30*ms, sent+30*ms), nil)
	}
	last := tr.Sent(sent+25*ms, Source, 0, 1000)
	for _, c := range []struct {
		after time.Duration
		lost  []int64
	}{{33 * ms, nil}, {36 * ms, []int64{last}}} {
		events, _ = tr.Feedback(sent+100*ms, report(t, last-1, sent+25*ms+c.after, sent+30*ms), nil)
		if _, lost, _ := outcomes(events); !slices.Equal(lost, c.lost) {
			t.Errorf("%v after it was sent, 30 ms being the way: lost %v, want %v", c.after, lost, c.lost)
		}
	}
}

// Where the path slows down the newest packets are late, and lost only once one sent later has arrived.
func TestPatient(t *testing.T) {
	tr := NewTracker(64)
	tr.Patient(true)
	for i := range 4 {
		tr.Sent(time.Duration(i)*ms, Source, 0, 1000)
	}
	events, _ := tr.Feedback(70*ms, report(t, 0, 45*ms, 30*ms, 31*ms), nil)
	if _, lost, _ := outcomes(events); lost != nil || tr.PacketsInFlight() != 2 {
		t.Errorf("lost %v, %d in flight: 2 and 3 may only be late", lost, tr.PacketsInFlight())
	}
	events, _ = tr.Feedback(90*ms, report(t, 0, 65*ms, 30*ms, 31*ms, -1, 64*ms), nil)
	if _, lost, _ := outcomes(events); !slices.Equal(lost, []int64{2}) {
		t.Errorf("lost %v, want 2: 3 has arrived", lost)
	}
}

// What was sent before a path that had been silent is heard of again is lost to the silence, whenever that shows: it is no usual loss. What is lost
// afterwards is.
func TestOutageIsNoUsualLoss(t *testing.T) {
	tr := NewTracker(64)
	for i := range 4 {
		tr.Sent(time.Duration(i)*ms, Source, 0, 1000)
	}
	if _, err := tr.Feedback(62*ms, report(t, 0, 32*ms, 30*ms), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Feedback(600*ms, report(t, 0, 570*ms, 30*ms, -1, 565*ms), nil); err != nil { // 1 is lost
		t.Fatal(err)
	}
	for range 3 {
		tr.Sent(600*ms, Source, 0, 1000)
	}
	if _, err := tr.Feedback(665*ms, report(t, 0, 635*ms, 30*ms, -1, 565*ms, -1, 630*ms, -1, 631*ms), nil); err != nil { // and 3, and 5
		t.Fatal(err)
	}
	if fates := tr.Fates(); !slices.Equal(fates, []bool{false, false, false, true, false}) {
		t.Errorf("fates %v, want those of 0, 2, 4, 5 and 6, and 5 lost", fates)
	}
}

// What is only presumed lost, for nothing sent after it has arrived either, tells nothing about the path until that is so: it
// may only stand still.
func TestPresumed(t *testing.T) {
	tr := NewTracker(64)
	for i := range 4 {
		tr.Sent(time.Duration(i)*ms, Source, 0, 1000)
	}
	events, _ := tr.Feedback(70*ms, report(t, 0, 45*ms, 30*ms, 31*ms), nil)
	if _, lost, _ := outcomes(events); !slices.Equal(lost, []int64{2, 3}) || !events[len(events)-1].Presumed {
		t.Fatalf("lost %v, %+v", lost, events)
	}
	if fates := tr.Fates(); !slices.Equal(fates, []bool{false, false}) {
		t.Errorf("fates %v: 2 and 3 are not certain", fates)
	}
	tr.Sent(75*ms, Source, 0, 1000)
	// 2 comes after all, and 4, but not 3.
	events, _ = tr.Feedback(110*ms, report(t, 0, 106*ms, 30*ms, 31*ms, 60*ms, -1, 105*ms), nil)
	var late, certain []int64
	for _, e := range events {
		switch {
		case e.Outcome == Late && e.Presumed:
			late = append(late, e.Sequence)
		case e.Outcome == Certain:
			certain = append(certain, e.Sequence)
		}
	}
	if !slices.Equal(late, []int64{2}) || !slices.Equal(certain, []int64{3}) {
		t.Errorf("late %v, certain %v, want 2 and 3", late, certain)
	}
	if fates := tr.Fates(); !slices.Equal(fates, []bool{false, true, false}) {
		t.Errorf("fates %v, want 3 of 2 to 4 lost", fates)
	}
	if w := tr.ReorderWindow(); w != 0 {
		t.Errorf("reorder window %v: nothing was overtaken", w)
	}
}

func TestRTT(t *testing.T) {
	tr := NewTracker(64)
	tr.Sent(0, Source, 0, 1)
	if tr.RTT().Known() {
		t.Error("an RTT before the first sample")
	}
	// Arrived at 30 ms, reported 10 ms later, heard at 70 ms: 60 ms of round trip.
	if _, err := tr.Feedback(70*ms, report(t, 0, 40*ms, 30*ms), nil); err != nil {
		t.Fatal(err)
	}
	if got := tr.RTT().Smoothed(); got < 59*ms || got > 61*ms {
		t.Errorf("RTT = %v, want 60 ms", got)
	}
}

func TestLyingReports(t *testing.T) {
	tr := NewTracker(64)
	for i := range 3 {
		tr.Sent(time.Duration(i)*ms, Source, 0, 1000)
	}
	for _, begin := range []int64{3, 2, 100, 40000} {
		if events, err := tr.Feedback(60*ms, report(t, begin, 32*ms, 30*ms, 31*ms), nil); !errors.Is(err, ErrLying) || events != nil {
			t.Errorf("report on %d and %d: %v, %v; sent were 0 to 2", begin, begin+1, events, err)
		}
	}
	if tr.BytesInFlight() != 3000 {
		t.Errorf("%d bytes in flight, want 3000: lies change nothing", tr.BytesInFlight())
	}
}

func TestSequenceWraps(t *testing.T) {
	tr := NewTracker(1024)
	now := time.Duration(0)
	for n := int64(0); n < 200_000; n += 100 {
		for range 100 {
			tr.Sent(now, Source, 0, 1)
		}
		has := make([]time.Duration, 100)
		for i := range has {
			has[i] = now + 30*ms
		}
		events, err := tr.Feedback(now+60*ms, report(t, n, now+31*ms, has...), nil)
		if err != nil || len(events) != 100 || events[0].Sequence != n {
			t.Fatalf("at %d: %d events, %v", n, len(events), err)
		}
		now += 100 * ms
	}
}

// Whatever is reported, bytes in flight are those of the packets whose fate is open.
func TestAccounting(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		tr := NewTracker(256)
		open := map[int64]int{}
		count := func(events []Event) {
			for _, e := range events {
				if e.Outcome == Certain {
					continue // it was called lost before
				}
				if _, ok := open[e.Sequence]; ok == (e.Outcome == Late) {
					t.Fatalf("seed %d: %+v; open: %v", seed, e, ok)
				}
				delete(open, e.Sequence)
			}
		}
		now := time.Duration(0)
		for range 2000 {
			now += time.Duration(rng.IntN(3000)) * time.Microsecond
			if rng.IntN(3) > 0 {
				size := rng.IntN(1200)
				open[tr.Sent(now, Kind(rng.IntN(4)), 0, size)] = size
			} else if tr.Next() > 0 {
				begin := max(0, tr.Next()-1-rng.Int64N(60))
				has := make([]time.Duration, rng.Int64N(tr.Next()-begin+1))
				for i := range has {
					has[i] = now - 30*ms
					if rng.IntN(4) == 0 {
						has[i] = -1
					}
				}
				events, err := tr.Feedback(now, report(t, begin, now, has...), nil)
				if err != nil {
					t.Fatal(err)
				}
				count(events)
			}
			count(tr.Timeout(now, nil))
			for s := range open { // forgotten when its place was needed
				if s < tr.Next()-256 {
					delete(open, s)
				}
			}
			sum := 0
			for _, size := range open {
				sum += size
			}
			if sum != tr.BytesInFlight() || len(open) != tr.PacketsInFlight() {
				t.Fatalf("seed %d: %d bytes in %d packets in flight, want %d in %d", seed, tr.BytesInFlight(), tr.PacketsInFlight(), sum, len(open))
			}
		}
	}
}

func FuzzFeedback(f *testing.F) {
	f.Add(wire.AppendFeedback(nil, 1, 1, 0, []wire.Metric{0x8000, 0, 0x9fff}, 77), uint8(3))
	f.Add(wire.AppendFeedback(nil, 1, 1, 65530, make([]wire.Metric, 16), 77), uint8(200))
	f.Fuzz(func(t *testing.T, b []byte, sent uint8) {
		tr := NewTracker(64)
		for i := range int(sent) {
			tr.Sent(time.Duration(i)*ms, Source, 0, 10)
		}
		for range 2 {
			fb, err := wire.ParseFeedback(b)
			if err != nil {
				return
			}
			events, _ := tr.Feedback(time.Second, &fb, nil)
			for _, e := range events {
				if e.Sequence < 0 || e.Sequence >= tr.Next() {
					t.Fatalf("%+v was never sent", e)
				}
			}
			tr.Timeout(2*time.Second, nil)
			if tr.BytesInFlight() < 0 || tr.BytesInFlight() != 10*tr.PacketsInFlight() {
				t.Fatalf("%d bytes, %d packets in flight", tr.BytesInFlight(), tr.PacketsInFlight())
			}
		}
	})
}

func ExampleTracker() {
	tr := NewTracker(1024)
	tr.Sent(0, Source, 7, 1200)
	tr.Sent(1*ms, Source, 8, 1200)
	f, _ := wire.ParseFeedback(wire.AppendFeedback(nil, 1, 1, 0, []wire.Metric{0, wire.NewMetric(0, 0)}, 0))
	events, _ := tr.Feedback(61*ms, &f, nil)
	for _, e := range events {
		fmt.Println(e.Ref, e.Outcome == Lost)
	}
	// Output:
	// 8 false
	// 7 true
}

// A packet that no report told of may have arrived: one that goes further back is waited for, and no reordering is learned from it.
func TestUntoldIsNotLost(t *testing.T) {
	for _, c := range []struct {
		why         string
		then        *wire.Feedback
		at          time.Duration
		acked, lost []int64
	}{
		{"told later", report(t, 0, 50*ms, 30*ms, 31*ms, -1, 33*ms, 34*ms, 35*ms), 80 * ms, []int64{0, 1, 3}, []int64{2}},
		{"never told", report(t, 5, 110*ms, 35*ms), 140 * ms, nil, []int64{0, 1, 2, 3}},
	} {
		tr := NewTracker(64)
		for i := range 6 {
			tr.Sent(time.Duration(i)*ms, Source, int64(i), 1000)
		}
		events, err := tr.Feedback(66*ms, report(t, 4, 36*ms, 34*ms, 35*ms), nil) // those before it were lost
		if err != nil {
			t.Fatal(err)
		}
		if acked, lost, _ := outcomes(events); !slices.Equal(acked, []int64{4, 5}) || lost != nil {
			t.Fatalf("%s: acked %v, lost %v", c.why, acked, lost)
		}
		if events, err = tr.Feedback(c.at, c.then, nil); err != nil {
			t.Fatal(err)
		}
		acked, lost, _ := outcomes(events)
		if !slices.Equal(acked, c.acked) || !slices.Equal(lost, c.lost) {
			t.Errorf("%s: acked %v, lost %v, want %v and %v", c.why, acked, lost, c.acked, c.lost)
		}
		if w := tr.ReorderWindow(); w > 0 {
			t.Errorf("%s: reorder window %v", c.why, w)
		}
	}
}

// A packet that was of no use has arrived: no loss, no sample of the delay, and its arrival is that of the packet before it.
func TestUnused(t *testing.T) {
	tr := NewTracker(64)
	for i := range 3 {
		tr.Sent(time.Duration(i)*ms, Repair, 7, 1000)
	}
	metrics := []wire.Metric{wire.NewMetric(10*ms, 0), wire.NewUnused(0), wire.NewMetric(5*ms, 0)}
	f, err := wire.ParseFeedback(wire.AppendFeedback(nil, 1, 1, 0, metrics, wire.ReportTime(time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	out, err := tr.Feedback(60*ms, &f, nil)
	if err != nil || len(out) != 3 {
		t.Fatal(out, err)
	}
	for i, e := range out {
		if e.Outcome != Acked || e.Unused != (i == 1) {
			t.Errorf("%+v", e)
		}
	}
	if out[1].Arrival != out[0].Arrival {
		t.Errorf("arrived at %v, want %v", out[1].Arrival, out[0].Arrival)
	}
}
