package show

import (
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// Stalls at a bitrate lie between those of the runs next to it.
func TestAt(t *testing.T) {
	rows := []Row{{Shown: 4, Stall1: 10}, {Shown: 1, Stall1: 1}, {Shown: 2, Stall1: 4}}
	for _, c := range []struct {
		shown, stall float64
		ok           bool
	}{{0.5, 1, true}, {1, 1, true}, {1.5, 2.5, true}, {3, 7, true}, {4, 10, true}, {6, 10, false}} {
		if r, ok := At(rows, c.shown); r.Stall1 != c.stall || ok != c.ok {
			t.Errorf("at %.1f: %.2f %v, want %.2f %v", c.shown, r.Stall1, ok, c.stall, c.ok)
		}
	}
}

// A viewer who waits for a first picture is stalled for as long as the wait is beyond the buffer and the usual latency.
func TestLateStart(t *testing.T) {
	for _, c := range []struct{ start, stall time.Duration }{{1300, 0}, {1390, 0}, {3300, 2000}} {
		p := stutter.Player{Buffer: time.Second, Started: true, StartUp: c.start * time.Millisecond, Watched: 10 * time.Second}
		chargeStart(&p, 300*time.Millisecond)
		if want := c.stall * time.Millisecond; p.StallTime != want || p.Watched != 10*time.Second+want || p.Longest != want {
			t.Errorf("start after %d ms: %v stalled of %v, want %v", c.start, p.StallTime, p.Watched, want)
		}
	}
}

// Who cannot show as much as the first is compared where he shows most, and who shows more there than he is asked for is taken as he is.
func TestEquals(t *testing.T) {
	rows := []Row{
		{Profile: "a", Scheme: "ours", Shown: 1, Stall1: 1}, {Profile: "a", Scheme: "ours", Shown: 3, Stall1: 3},
		{Profile: "a", Scheme: "low", Shown: 1.2, Stall1: 1.2}, {Profile: "a", Scheme: "low", Shown: 1.5, Stall1: 2},
		{Profile: "a", Scheme: "high", Shown: 3, Stall1: 1}, {Profile: "a", Scheme: "high", Shown: 4, Stall1: 5},
		{Profile: "a", Scheme: "lowest", Shown: 0.5, Stall1: 1.04},
	}
	for i, want := range []struct {
		shown, stall, ours, stalled float64
		verdict                     string
	}{{2, 2, 2, 2, "the same"}, {1.5, 2, 1.5, 1.5, "less"}, {3, 1, 2, 2, "more"}, {0.5, 1.04, 1, 1, "the same"}} {
		e := Equals(rows)[i]
		if e.Other.Shown != want.shown || e.Other.Stall1 != want.stall || e.First.Shown != want.ours || e.First.Stall1 != want.stalled || e.Verdict() != want.verdict {
			t.Errorf("%s: %.2f %.2f beside %.2f %.2f %s, want %+v", e.Other.Scheme, e.Other.Shown, e.Other.Stall1, e.First.Shown, e.First.Stall1, e.Verdict(), want)
		}
	}
}
