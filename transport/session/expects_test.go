package session

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/transport/wire"
)

// arrive feeds a recorder with frames of n packets, 1 ms apart, every 33 ms, but for those that lost names; and drains its reports as they are due.
func arrive(t *testing.T, frames, n int, lost func(frame, i int) bool) (r *recorder, reports []wire.Feedback, at []time.Duration) {
	t.Helper()
	r = newRecorder()
	r.sent = time.Second
	drain := func(until time.Duration) {
		for due := r.due(); due > 0 && due <= until; due = r.due() {
			f, err := wire.ParseFeedback(r.append(nil, due, 1))
			if err != nil {
				t.Fatal(err)
			}
			reports, at = append(reports, f), append(at, due)
		}
	}
	for frame := range frames {
		for i := range n {
			now := time.Duration(frame)*33*time.Millisecond + time.Duration(i)*time.Millisecond + time.Second
			drain(now)
			if !lost(frame, i) {
				r.add(now, int64(frame*n+i), 0)
				r.expects.frame(now, now, i == 0, i == n-1)
			}
		}
	}
	drain(time.Second + time.Duration(frames)*33*time.Millisecond + 60*time.Millisecond)
	return r, reports, at
}

// On a clean path there is one report a frame, and each packet is told of three times or more.
func TestReportsOfACleanPath(t *testing.T) {
	r, reports, at := arrive(t, 300, 12, func(int, int) bool { return false })
	if n := len(reports); n < 300 || n > 310 {
		t.Errorf("%d reports on 300 frames", n)
	}
	told := map[uint16]int{}
	for i := range reports {
		for k := range reports[i].Len() {
			if reports[i].Metric(k).Received() {
				told[reports[i].Begin+uint16(k)]++
			}
		}
		if i > 0 && at[i]-at[i-1] > 34*time.Millisecond {
			t.Errorf("%v between two reports", at[i]-at[i-1])
		}
	}
	for s := range uint16(r.highest - 60) {
		if told[s] < 3 {
			t.Fatalf("packet %d was told of %d times", s, told[s])
		}
	}
}

// The loss of one packet, of a frame's end and of a whole frame is told within 5 ms of when it should have come.
func TestSilenceIsTold(t *testing.T) {
	for _, c := range []struct {
		why  string
		lost func(frame, i int) bool
		by   time.Duration // after the first lost packet of frame 100
	}{
		{"one packet", func(f, i int) bool { return f == 100 && i == 5 }, 1 * time.Millisecond},
		{"the end of a frame", func(f, i int) bool { return f == 100 && i >= 8 }, 3 * time.Millisecond},
		{"a whole frame", func(f, _ int) bool { return f == 100 }, 5 * time.Millisecond},
		{"a whole frame after another's end", func(f, i int) bool { return f == 100 || f == 99 && i >= 8 }, 33 * time.Millisecond},
	} {
		first := time.Duration(0)
		_, _, at := arrive(t, 101, 12, func(f, i int) bool {
			if c.lost(f, i) && first == 0 {
				first = time.Second + time.Duration(f)*33*time.Millisecond + time.Duration(i)*time.Millisecond
			}
			return c.lost(f, i)
		})
		n, told := 0, time.Duration(-1)
		for _, d := range at {
			if d > first && told < 0 {
				told = d - first
			}
			if d > first {
				n++
			}
		}
		if told < 0 || told > c.by {
			t.Errorf("%s: told after %v, want %v at most", c.why, told, c.by)
		}
		if n > 12 {
			t.Errorf("%s: %d reports", c.why, n)
		}
	}
}

// What comes irregularly is not waited for.
func TestIrregularFramesAreNotExpected(t *testing.T) {
	var e expects
	now := time.Second
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		now += 20*time.Millisecond + time.Duration(rng.Int64N(int64(200*time.Millisecond)))
		e.frame(now, now, true, false)
		e.frame(now, now, false, true)
	}
	if at := e.silence(now, now, false); at > 0 {
		t.Errorf("silence is to be told at %v after a frame", at-now)
	}
}
