package session

import (
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// The controller of package congestion in place of the fixed one: it finds the rate of a lossy path that carries the
// stream with room, and keeps it.
func TestWithController(t *testing.T) {
	cfg, up, down := grid(60*time.Millisecond, 300*time.Millisecond, 0.05, 0, 1)
	cfg.Controller = congestion.New(congestion.Config{})
	w := newWorld(t, 1, cfg, up, down, video4M())
	w.run(5*time.Second, true)
	before, written := len(w.got), w.frames
	w.run(15*time.Second, true)
	w.run(time.Second, false)
	w.sum()
	got, want := len(w.got)-before, int(w.frames-written)
	t.Logf("%d of %d frames, target %d kbit/s, pacing %d kbit/s", got, want, w.tx.Target()/1000, cfg.Controller.PacingRate()/1000)
	if got*100 < want*99 {
		t.Errorf("%d of %d frames after the first 5 s", got, want)
	}
}
