package stutter

import (
	"testing"
	"time"
)

// feed is 30 frames a second for so many, from frame first on, each late by so much; a negative lateness: it never comes.
func feed(l *Live, first, n int, f Facts, late func(i int) time.Duration, see func(at time.Duration, f *Facts)) {
	const every = time.Second / 30
	for i := first; i < first+n; i++ {
		at := time.Duration(i) * every
		if d := late(i); d >= 0 {
			l.Observe(Frame{DTS: at, Key: i%60 == 0, Size: 1000}, at+d)
		}
		if i%3 == 0 {
			f.Received += 50
			see(at, &f)
			l.Tick(at, f)
		}
	}
}

func TestLiveCountsWhatTheMeterDoes(t *testing.T) {
	l := NewLive()
	m := NewMeter(Config{Buffers: []time.Duration{Headline}})
	f := Facts{Publishing: true, Numbered: true}
	const every = time.Second / 30
	for i := range 9000 { // 5 min; every 20 s nothing for 1 to 8 s
		at := time.Duration(i) * every
		if in := at % (20 * time.Second); in > 10*time.Second && in < 10*time.Second+time.Duration(1+i/1125)*time.Second {
			f.Silent += every
		} else {
			l.Observe(Frame{DTS: at, Key: i%60 == 0, Size: 1000}, at)
			m.Observe(Frame{DTS: at, Key: i%60 == 0, Size: 1000}, at)
			f.Received += 17
			f.Silent = 0
		}
		if i%3 == 0 {
			l.Tick(at, f)
			if i%60 != 0 {
				continue
			}
			r, s := l.Report(), m.Score(at)
			if p := s.Players[0]; p.Started && (r.Total.Sum()-p.StallTime).Abs() > 150*time.Millisecond {
				t.Fatalf("at %v: %v stalled, the meter says %v", at, r.Total, p.StallTime)
			}
			if sum := r.Settled.Sum(); sum > r.Total.Sum() {
				t.Fatalf("at %v: %v settled of %v", at, r.Settled, r.Total)
			}
		}
	}
	end := 9000 * every
	r, p := l.Report(), m.Score(end).Players[0]
	if int(r.Stalls) != p.Stalls || (r.Longest-p.Longest).Abs() > time.Millisecond {
		t.Errorf("%d stalls, longest %v; the meter says %d, %v", r.Stalls, r.Longest, p.Stalls, p.Longest)
	}
	if r.Last100.Sum() > r.Total.Sum() || r.Last100.Sum() == 0 {
		t.Errorf("of the last 100 s: %v of %v", r.Last100, r.Total)
	}
}

// An output's viewers wait for what the stream did not have, and for what its destination did not take.
func TestOutputTakesTheStreamsCause(t *testing.T) {
	stream, out := NewLive(), NewOutput()
	f := Facts{Publishing: true, Numbered: true}
	const every = time.Second / 30
	for i := range 3600 {
		at := time.Duration(i) * every
		gone := at > 20*time.Second && at < 24*time.Second
		blocked := at > 60*time.Second && at < 64*time.Second
		if !gone {
			fr := Frame{DTS: at, Key: i%60 == 0, Size: 1000}
			stream.Observe(fr, at)
			if !blocked {
				out.Observe(fr, at)
			}
			f.Received, f.Silent = f.Received+17, 0
		} else {
			f.Silent += every
		}
		if at > 24*time.Second && at < 24200*time.Millisecond {
			f.Lost += 200 // what was lost meanwhile shows in the numbers
		}
		if i%3 == 0 {
			stream.Tick(at, f)
			out.TickOutput(at, stream)
		}
	}
	s, o := stream.Report(), out.Report()
	if s.Total[Path] < 2*time.Second || s.Total.Sum() != s.Total[Path] {
		t.Errorf("stream: %v, want path alone", s.Total)
	}
	if o.Total[Path] != s.Total[Path] || o.Total[Egress] < 2*time.Second || o.Total.Sum() != o.Total[Path]+o.Total[Egress] {
		t.Errorf("output: %v, want the stream's %v of path and the rest egress", o.Total, s.Total[Path])
	}
}

func TestNobodyThereIsTheEncodersDoingUnlessItWasSilentFirst(t *testing.T) {
	for _, c := range []struct {
		silent time.Duration
		want   Cause
	}{{0, Encoder}, {5 * time.Second, Path}} {
		l := NewLive()
		on := Facts{Publishing: true, Numbered: true}
		never := func(int) time.Duration { return -1 }
		feed(l, 0, 300, on, func(int) time.Duration { return 0 }, func(time.Duration, *Facts) {})
		feed(l, 300, 30, on, never, func(_ time.Duration, f *Facts) { f.Silent, f.Received = c.silent, on.Received })
		feed(l, 330, 270, Facts{}, never, func(_ time.Duration, f *Facts) { f.Received = 0 })
		r := l.Report()
		if got, ok := r.Total.Main(); !ok || got != c.want || !r.Stalled {
			t.Errorf("silent for %v, then gone: %v (stalled now %v), want %v", c.silent, r.Total, r.Stalled, c.want)
		}
	}
}

func TestLiveDoesNotAllocate(t *testing.T) {
	l := NewLive()
	i := 0
	f := Facts{Publishing: true, Numbered: true}
	one := func() {
		at := ms(33 * i)
		l.Observe(Frame{DTS: at, Key: i%50 == 0, Size: 1000}, at)
		f.Received += 10
		l.Tick(at, f)
		i++
	}
	for range 1000 {
		one()
	}
	if n := testing.AllocsPerRun(1000, one); n != 0 {
		t.Errorf("%v allocations a frame, want 0", n)
	}
}

func BenchmarkLive(b *testing.B) {
	l := NewLive()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.Observe(Frame{DTS: ms(33 * i), Key: i%50 == 0, Size: 1000}, ms(33*i))
	}
}
