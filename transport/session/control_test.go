package session

import (
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// The controller of package congestion in place of the fixed one: it finds the rate of a lossy path that carries the
// stream with room, and keeps it most of the time: it may try what the path carries at the cost of a frame.
func TestWithController(t *testing.T) {
	got, want, seeds := 0, 0, uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		cfg, up, down := grid(60*time.Millisecond, 300*time.Millisecond, 0.05, 0, seed)
		cfg.Controller = congestion.New(congestion.Config{})
		w := newWorld(t, seed, cfg, up, down, video4M())
		w.run(5*time.Second, true)
		before, written := len(w.got), w.frames
		w.run(15*time.Second, true)
		w.run(time.Second, false)
		w.sum()
		got += min(len(w.got)-before, int(w.frames-written))
		want += int(w.frames - written)
		t.Logf("%d of %d frames, target %d kbit/s, pacing %d kbit/s", got, want, w.tx.Target()/1000, cfg.Controller.PacingRate()/1000)
	}
	if got*100 < want*97 {
		t.Errorf("%d of %d frames after the first 5 s", got, want)
	}
}
