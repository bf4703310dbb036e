package session

import (
	"flag"
	"slices"
	"strings"
	"testing"
	"time"
)

var hourMinutes = flag.Int("minutes", 0, "TestHour: minutes of virtual time for each cell; 0: not at all")

// stutters are what a viewer sees of lost frames: from a lost frame to the next key frame the picture stands, for every
// frame between refers to it.
func stutters(lost []int64, keyEvery int64) (events int, frozen int64) {
	until := int64(-1)
	for _, n := range lost {
		if n < until {
			continue
		}
		until = (n/keyEvery + 1) * keyEvery
		if n%keyEvery == 0 {
			until = n + keyEvery
		}
		events++
		frozen += until - n
	}
	return events, frozen
}

func TestStutters(t *testing.T) {
	for _, c := range []struct {
		lost   []int64
		events int
		frozen int64
	}{{nil, 0, 0}, {[]int64{59}, 1, 1}, {[]int64{60}, 1, 60}, {[]int64{61, 70, 119, 120}, 2, 59 + 60}, {[]int64{100, 130}, 2, 20 + 50}} {
		if e, f := stutters(c.lost, 60); e != c.events || f != c.frozen {
			t.Errorf("%v: %d events of %d frames, want %d of %d", c.lost, e, f, c.events, c.frozen)
		}
	}
}

// An hour of a cell in one piece: G4 of fec.md where four rounds fit (no key frame, 1e-5 of the frames, 1.10 · p/(1−p) + 0.5
// points), and G7, what a viewer sees. Without -cells the twelve cells that G4 is about.
//
//	go test ./transport/session -run Hour -v -timeout 0 -minutes 60
//	go test ./transport/session -run Hour -v -timeout 0 -minutes 60 -cells 'p 5% burst 8 60/300'
func TestHour(t *testing.T) {
	if *hourMinutes == 0 {
		t.Log("only with -minutes")
		return
	}
	*gridAll = true // all plans that are wanted
	t.Logf("%-26s %2s %8s %8s %8s %7s %7s %7s %5s %9s %8s %7s %s", "cell", "R", "overhead", "allowed", "feedback", "p", "frames", "lost", "keys", "ratio", "stutters", "frozen", "goal")
	for _, c := range gridOf() {
		given := *gridCells != ""
		if given && !slices.ContainsFunc(strings.Split(*gridCells, ","), func(s string) bool { return strings.Contains(c.String(), s) }) {
			continue
		}
		if n := c.rounds(); !given && (n < 4 || c.p > 0.10) {
			continue
		}
		seed := *gridFirst + 500
		cfg, up, down := grid(c.rtt, c.latency, c.p, c.burst, seed)
		down.loss = newGilbert(c.p, 0, seed+1000)
		w := newWorld(t, seed, cfg, up, down, video4M())
		w.run(warmUp, true)
		base0, sent0, back0, frames0 := int(w.tx.stats.SourceBytes)+ipUDP*int(w.tx.nextMedia), w.wire, w.back, w.frames
		next := frames0
		var lost []int64
		note := func() {
			have := map[time.Duration]bool{}
			for _, g := range w.got {
				have[g.capture] = true
			}
			for ; next < w.frames && w.frameTime(next) < w.now-c.latency-c.rtt-time.Second; next++ {
				if !have[w.frameTime(next).Truncate(time.Microsecond)] {
					lost = append(lost, next)
				}
			}
			w.got = slices.DeleteFunc(w.got, func(g gotFrame) bool { return g.capture < w.frameTime(next).Truncate(time.Microsecond) })
		}
		for range *hourMinutes {
			w.run(time.Minute, true)
			note()
		}
		w.run(c.latency+c.rtt+2*time.Second, false)
		note()
		s := w.sum()
		base := int(s.SourceBytes) + ipUDP*int(s.Sent) - base0
		keys := 0
		for _, n := range lost {
			if n%60 == 0 {
				keys++
			}
		}
		if len(lost) > 0 {
			t.Logf("%v: lost %v", c, lost[:min(len(lost), 40)])
		}
		events, frozen := stutters(lost, 60)
		p := float64(up.loss.gone) / float64(up.loss.sent)
		frames := int(w.frames - frames0)
		r := result{overhead: float64(w.wire-sent0)/float64(base) - 1, feedback: float64(w.back-back0) / float64(base), lost: len(lost), frames: frames}
		most, goal := 1.10*p/(1-p)+0.005, "none"
		if c.rounds() >= 4 && c.p <= 0.10 {
			goal = "met"
			if keys > 0 || r.ratio() > 1e-5 || r.overhead > most {
				goal = "MISS"
				t.Errorf("%v: %d key frames, %.1e of the frames, %.2f %% where %.2f are allowed", c, keys, r.ratio(), 100*r.overhead, 100*most)
			}
		}
		t.Logf("%-26s %2d %7.2f%% %7.2f%% %7.2f%% %6.2f%% %7d %7d %5d %9.1e %8d %6.3f%% %s", c, c.rounds(), 100*r.overhead, 100*most, 100*r.feedback, 100*p,
			frames, r.lost, keys, r.ratio(), events, 100*float64(frozen)/float64(frames), goal)
	}
}
