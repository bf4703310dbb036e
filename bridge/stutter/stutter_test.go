package stutter

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// pattern makes a stream of 30..50 frames a second that is held back, bursts and loses frames at random.
func pattern(r *rand.Rand) []slowFrame {
	n := 60 + r.IntN(400)
	interval := []int{20, 25, 33, 40}[r.IntN(4)]
	gop := 5 + r.IntN(60)
	loss := []float64{0, 0, 0.005, 0.05, 0.3}[r.IntN(5)]
	droppable := r.IntN(3) // 0: none; else every second or third frame of a group
	hold, latency := 0, 20+r.IntN(300)
	heldFrom, heldTo := -1, -1
	if r.IntN(4) == 0 {
		heldFrom = r.IntN(n)
		heldTo = heldFrom + r.IntN(60)
	}
	var out []slowFrame
	clock := 0
	for i := range n {
		f := slowFrame{dts: i * interval, key: i%gop == 0}
		f.drop = !f.key && droppable > 0 && i%gop%(droppable+1) == 1
		f.held = i >= heldFrom && i < heldTo
		if hold == 0 && r.IntN(40) == 0 {
			hold = 1 + r.IntN(1500)
			latency = 20 + r.IntN(400)
		}
		hold = max(0, hold-interval)
		clock = max(clock, f.dts+latency+hold)
		f.arrives = clock
		if r.Float64() < loss || loss > 0 && r.IntN(150) == 0 {
			f.arrives = -1
		}
		out = append(out, f)
	}
	for i := range r.IntN(30) { // sometimes the tail is lost
		if r.IntN(2) == 0 {
			break
		}
		out[n-1-i].arrives = -1
	}
	return out
}

func source(frames []slowFrame) []Frame {
	var out []Frame
	for i, f := range frames {
		out = append(out, Frame{Seq: int64(i), DTS: ms(f.dts), Key: f.key, Droppable: f.drop, Capture: ms(f.dts)})
	}
	return out
}

func checkPlayer(t *testing.T, name string, got Player, want slowScore) {
	t.Helper()
	have := fmt.Sprintf("started %v up %v watched %v stalls %d time %v longest %v",
		got.Started, got.StartUp, got.Watched, got.Stalls, got.StallTime, got.Longest)
	wish := fmt.Sprintf("started %v up %v watched %v stalls %d time %v longest %v",
		want.started, ms(want.startUp), ms(want.watched), want.stalls, ms(want.stallTime), ms(want.longest))
	if have != wish {
		t.Fatalf("%s:\n got %s\nwant %s", name, have, wish)
	}
}

// The incremental meter equals the slow player at the end and at random times on the way, with the source known.
func TestMeterEqualsSlowPlayerWithSource(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 1))
		frames := pattern(r)
		interval := frames[1].dts
		m := NewMeter(Config{Source: source(frames)})
		end := frames[len(frames)-1].dts + r.IntN(4000)
		for i, f := range frames {
			if f.arrives < 0 || f.arrives > end {
				continue
			}
			for r.IntN(30) == 0 { // a live score, just before this arrival
				if at := f.arrives - 1; ms(at) >= m.last {
					checkScore(t, fmt.Sprintf("seed %d at %d ms", seed, at), m.Score(ms(at)), frames, 0, at, interval, true)
				}
			}
			m.Observe(Frame{Seq: int64(i), Held: f.held, Size: 100}, ms(f.arrives))
		}
		end = max(end, int(m.last/time.Millisecond))
		s := m.Score(ms(end))
		checkScore(t, fmt.Sprintf("seed %d", seed), s, frames, 0, end, interval, true)
		if s.Frames+s.Missing != s.Expected {
			t.Fatalf("seed %d: frames %d + missing %d != expected %d", seed, s.Frames, s.Missing, s.Expected)
		}
	}
}

func checkScore(t *testing.T, name string, s Score, frames []slowFrame, begin, end, interval int, tail bool) {
	t.Helper()
	for _, p := range s.Players {
		want := slowPlayer(frames, int(p.Buffer/time.Millisecond), begin, end, interval, tail)
		checkPlayer(t, fmt.Sprintf("%s, buffer %v", name, p.Buffer), p, want)
		if int(s.Frames) != want.arrived || int(s.Undecodable) != want.undecodable {
			t.Fatalf("%s: frames %d undecodable %d, want %d %d", name, s.Frames, s.Undecodable, want.arrived, want.undecodable)
		}
	}
}

// Without the source's list the meter finds the same stalls from timestamps and the losses the reader saw.
func TestMeterEqualsSlowPlayerWithoutSource(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 2))
		frames := pattern(r)
		interval := frames[1].dts
		for i := range 4 { // the interval is learnt from whole frames, and arrivals stay in order
			frames[i].arrives = 100 + i
		}
		for i := range frames {
			if frames[i].arrives >= 0 {
				frames[i].arrives = max(frames[i].arrives, 100+min(i, 4))
			}
		}
		frames[0].held, frames[1].held = false, false
		for i := range frames { // half of the seeds: a source that leaves frames out, and nobody saw a loss
			if seed%2 == 0 && frames[i].arrives < 0 && !frames[i].key {
				frames[i].drop = true
			}
		}
		m := NewMeter(Config{})
		lost, until, begin := false, 0, frames[0].arrives
		for i, f := range frames {
			if f.arrives < 0 {
				lost = lost || !f.drop
				continue
			}
			until = i + 1
			m.Observe(Frame{DTS: ms(90000 + f.dts), Key: f.key, Droppable: f.drop, Discontinuity: lost, Held: f.held, Size: 100}, ms(f.arrives))
			lost = false
		}
		end := max(frames[len(frames)-1].dts+r.IntN(4000), int(m.last/time.Millisecond))
		checkScore(t, fmt.Sprintf("seed %d", seed), m.Score(ms(end)), frames[:until], begin, end, interval, false)
	}
}

// steady feeds frames of 40 ms, keys every 25, arriving 50 ms after capture, except as late says.
func steady(m *Meter, n int, late func(i int) time.Duration) {
	for i := range n {
		d := late(i)
		if d < 0 {
			continue
		}
		m.Observe(Frame{Seq: int64(i), Size: 1000}, ms(40*i+50)+d)
	}
}

func steadySource(n int) []Frame {
	out := make([]Frame, n)
	for i := range out {
		out[i] = Frame{Seq: int64(i), DTS: ms(40 * i), Capture: ms(40 * i), Key: i%25 == 0, Droppable: i%2 == 1}
	}
	return out
}

func TestWhatAViewerSees(t *testing.T) {
	const n = 500 // 20 s
	for _, c := range []struct {
		why       string
		late      func(i int) time.Duration
		stalls    int // of the player with 200 ms
		stallTime time.Duration
		never     float64
		d999      time.Duration
	}{
		{"nothing happens", func(int) time.Duration { return 0 }, 0, 0, 0, ms(50)},
		{"within the buffer", func(i int) time.Duration { return ms(max(0, 150-40*(i%50))) }, 0, 0, 0, ms(200)},
		// Frame 100 is due at 210+4000 (the buffer is full when frame 4 has come) and comes at 4050+1000.
		{"held back 1 s: waits, then is that much behind", func(i int) time.Duration {
			if i >= 100 && i < 125 {
				return ms(1000 - 40*(i-100))
			}
			return 0
		}, 1, ms(840), 0, ms(1050)},
		{"held back twice by as much: the second one does not stall", func(i int) time.Duration {
			if i >= 100 && i < 125 || i >= 300 && i < 325 {
				return ms(1000 - 40*(i%100))
			}
			return 0
		}, 1, ms(840), 0, ms(1050)},
		{"a droppable frame is lost: nobody sees it", func(i int) time.Duration {
			if i == 101 {
				return -1
			}
			return 0
		}, 0, 0, 1.0 / n, Never},
		{"a reference is lost: frozen until the next key frame", func(i int) time.Duration {
			if i == 110 {
				return -1
			}
			return 0
		}, 1, ms(40 * 15), 15.0 / n, Never},
		{"a key frame is lost: the whole group", func(i int) time.Duration {
			if i == 100 {
				return -1
			}
			return 0
		}, 1, ms(40 * 25), 25.0 / n, Never},
		{"the end is lost", func(i int) time.Duration {
			if i >= 400 {
				return -1
			}
			return 0
		}, 1, ms(40 * 100), 100.0 / n, Never},
	} {
		m := NewMeter(Config{Source: steadySource(n)})
		steady(m, n, c.late)
		s := m.Score(30 * time.Second)
		p := s.Players[0]
		if p.Stalls != c.stalls || p.StallTime != c.stallTime {
			t.Errorf("%s: %d stalls of %v, want %d of %v (%+v)", c.why, p.Stalls, p.StallTime, c.stalls, c.stallTime, p.Kept)
		}
		if d := s.NeverShare - c.never; d > 1e-9 || d < -1e-9 {
			t.Errorf("%s: never decodable %v, want %v", c.why, s.NeverShare, c.never)
		}
		if d := s.D999 - c.d999; d > ms(1) || d < -ms(1) {
			t.Errorf("%s: d999 %v, want %v", c.why, s.D999, c.d999)
		}
	}
}

func TestNeverStartedIsOneLongStall(t *testing.T) {
	m := NewMeter(Config{Source: steadySource(100)})
	s := m.Score(4 * time.Second)
	for _, p := range s.Players {
		if p.Started || p.Stalls != 1 || p.StallSecondsPer100() != 100 {
			t.Errorf("got %+v, want one stall over everything", p)
		}
	}
	if s.D999 != Never || s.LatencyP50 != Never || s.NeverShare != 1 {
		t.Errorf("got d999 %v p50 %v never %v", s.D999, s.LatencyP50, s.NeverShare)
	}
}

func TestHeldPictureIsAStall(t *testing.T) {
	m := NewMeter(Config{Source: steadySource(500)})
	for i := range 500 {
		m.Observe(Frame{Seq: int64(i), Held: i >= 200 && i < 300}, ms(40*i+50))
	}
	s := m.Score(30 * time.Second)
	if p := s.Players[1]; p.Stalls != 1 || p.StallTime != 4*time.Second || s.Held != 100 {
		t.Errorf("stalls %d of %v, held %d; want 1 of 4s, 100", p.Stalls, p.StallTime, s.Held)
	}
}

func TestTimelineThatJumps(t *testing.T) {
	for _, c := range []struct {
		why    string
		jump   time.Duration // of timestamps at frame 250
		silent time.Duration // of arrivals
		stall  time.Duration // for the player with 1 s
	}{
		{"back to zero without a pause", -ms(10000), 0, 0},
		{"ahead by an hour without a pause", time.Hour, 0, 0},
		{"back to zero after 20 s: the buffer covers the first second", -ms(10000), 20 * time.Second, 20*time.Second - ms(960)},
		{"a pause that the timestamps show", ms(5000), 5 * time.Second, 5 * time.Second},
	} {
		m := NewMeter(Config{})
		for i := range 500 {
			f, at := Frame{DTS: ms(40 * i), Key: i%25 == 0}, ms(40*i)
			if i >= 250 {
				f.DTS, at = f.DTS+c.jump, at+c.silent
			}
			m.Observe(f, at)
		}
		p := m.Score(m.last).Players[1]
		if d := p.StallTime - c.stall; d > ms(1) || d < -ms(1) {
			t.Errorf("%s: stalled %v, want %v", c.why, p.StallTime, c.stall)
		}
	}
}

func TestOddInputIsCounted(t *testing.T) {
	m := NewMeter(Config{Source: steadySource(100), Buffers: []time.Duration{ms(200)}})
	m.Observe(Frame{Seq: -1}, ms(10))
	m.Observe(Frame{Seq: 100}, ms(10))
	m.Observe(Frame{Seq: 0}, ms(50))
	m.Observe(Frame{Seq: 2}, ms(51))
	m.Observe(Frame{Seq: 1}, ms(40)) // late, and the clock goes back
	s := m.Score(ms(60))
	if s.Damaged != 2 || s.OutOfOrder != 1 || s.Frames != 2 || s.Missing != 1 {
		t.Errorf("got %+v", s.Counts)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := NewMeter(Config{})
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 200_000 {
		m.Observe(Frame{DTS: ms(40 * i), Key: i%50 == 0}, ms(40*i)+time.Duration(r.Int64N(int64(time.Hour))))
	}
	if n := len(m.latency.bins); n > maxBins {
		t.Errorf("%d bins, want at most %d", n, maxBins)
	}
	for _, p := range m.players {
		if len(p.filling) > maxFilling || len(p.ahead) > maxAhead || len(p.kept) > maxKept {
			t.Errorf("a player holds %d %d %d", len(p.filling), len(p.ahead), len(p.kept))
		}
	}
	f := NewMeter(Config{})
	for range 10_000 { // no time passes in the stream: the buffer never fills
		f.Observe(Frame{Key: true}, 0)
	}
	if n := len(f.players[2].filling); n > maxFilling {
		t.Errorf("%d frames while filling", n)
	}
}

func TestHistogramAgreesWithSorting(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	var h histogram
	least := time.Hour
	for range 2000 {
		d := time.Duration(r.Int64N(int64(time.Second))) - 300*time.Millisecond
		least = min(least, d)
		h.add(d)
	}
	if got := h.quantile(0.5, 2000, least); got < 480*time.Millisecond || got > 520*time.Millisecond {
		t.Errorf("median above the least = %v, want about 500ms", got)
	}
	if h.quantile(0.999, 4000, 0) != Never {
		t.Error("a quantile of more values than there are exists")
	}
	if h.min() != least {
		t.Errorf("least %v, want %v", h.min(), least)
	}
}

func BenchmarkObserve(b *testing.B) {
	m := NewMeter(Config{})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Observe(Frame{DTS: ms(40 * i), Key: i%50 == 0, Size: 1000}, ms(40*i+50+i%7))
	}
}

func TestObserveDoesNotAllocate(t *testing.T) {
	m := NewMeter(Config{})
	i := 0
	one := func() {
		m.Observe(Frame{DTS: ms(40 * i), Key: i%50 == 0, Size: 1000}, ms(40*i+50+i%7))
		i++
	}
	for range 1000 {
		one()
	}
	if n := testing.AllocsPerRun(1000, one); n != 0 {
		t.Errorf("%v allocations a frame, want 0", n)
	}
}
