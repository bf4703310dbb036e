package session

import (
	"testing"
	"time"
)

// A session begins on a lossy path it knows nothing of: few frames of the first group of pictures are lost, for a key
// frame among them takes two seconds of picture with it.
func TestStartUnderLoss(t *testing.T) {
	seeds, all := uint64(6), 0
	if testing.Short() {
		seeds = 1
	}
	for _, c := range []cell{
		{0.05, 0, 60 * time.Millisecond, 200 * time.Millisecond}, {0.10, 0, 60 * time.Millisecond, 300 * time.Millisecond},
		{0.10, 3, 60 * time.Millisecond, 200 * time.Millisecond}, {0.10, 3, 60 * time.Millisecond, 300 * time.Millisecond}, {0.10, 8, 150 * time.Millisecond, 500 * time.Millisecond},
		{0.05, 3, 150 * time.Millisecond, 300 * time.Millisecond},
	} {
		lost, keys := 0, 0
		for seed := range seeds {
			cfg, up, down := grid(c.rtt, c.latency, c.p, c.burst, seed)
			down.loss = newGilbert(c.p, 0, seed+1000)
			w := newWorld(t, seed, cfg, up, down, video4M())
			w.run(2*time.Second-time.Millisecond, true)
			w.run(c.latency+c.rtt+100*time.Millisecond, false)
			w.sum()
			have := map[time.Duration]bool{}
			for _, g := range w.got {
				have[g.capture] = true
			}
			for n := range w.frames {
				if !have[w.frameTime(n).Truncate(time.Microsecond)] {
					lost++
					if n == 0 {
						keys++
					}
				}
			}
		}
		t.Logf("%v: %d of %d frames of the first two seconds lost, %d first ones", c, lost, 60*seeds, keys)
		all += lost
	}
	if most := int(seeds) * 6 * 60 / 200; all > most {
		t.Errorf("%d frames lost, want at most %d", all, most)
	}
}
