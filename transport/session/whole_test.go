package session

import (
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/fec"
)

// What the sender takes for whole, by the repairs that arrived, is whole at the other end at that moment: also where the decoder has given up
// the bytes of packets that a repair covers, or lacks sound that lies between the pictures of a block.
func TestWhatIsTakenForWholeIsWhole(t *testing.T) {
	for _, c := range []struct {
		name    string
		bitrate congestion.Bitrate
		stored  int
		loss    float64
		burst   float64
	}{
		{"all that a decoder may keep", 10 * congestion.Mbps, decoderStored, 0.1, 3},
		{"less", 10 * congestion.Mbps, 128, 0.05, 0},
		{"less, in bursts", 10 * congestion.Mbps, 160, 0.1, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole, wrong, gone := 0, 0, 0
			for seed := uint64(100); seed < 103; seed++ {
				cfg, up, down := grid(60*time.Millisecond, 250*time.Millisecond, c.loss, c.burst, seed)
				up.rate = 40 * congestion.Mbps
				src := video4M()
				src.bitrate, src.sound = c.bitrate, true
				w := newWorld(t, seed, cfg, up, down, src)
				w.noPlans = true
				d := cfg.withDefaults()
				limits := d.decoderConfig()
				limits.Stored = c.stored
				var err error
				if w.rx.decoder, err = fec.NewDecoder(limits); err != nil {
					t.Fatal(err)
				}
				seen := map[int64]bool{}
				w.onReport = func() {
					for i := range w.tx.blocks {
						b := &w.tx.blocks[i]
						if b.id == 0 || seen[b.id] || b.slides || b.repairs == 0 || b.need() > 0 {
							continue
						}
						seen[b.id] = true
						if n := lacks(w, b); n > 0 {
							if wrong++; wrong == 1 {
								t.Logf("seed %d, %v: %d packets of %+v", seed, w.now, n, *b)
							}
						}
					}
				}
				w.run(5*time.Second, true)
				w.run(time.Second, false)
				whole += len(seen)
				gone += int(w.rx.decoder.Stats().Dropped[fec.DropOld])
			}
			if wrong > 0 {
				t.Errorf("%d of %d blocks that repairs made whole are not", wrong, whole)
			}
			t.Logf("%d blocks, and %d repairs that came for packets whose bytes were gone", whole, gone)
			if c.stored < decoderStored && gone == 0 {
				t.Error("the decoder gave up nothing: this shows nothing")
			}
		})
	}
}

// lacks is how many packets of b the receiver waits for that are not known to have arrived.
func lacks(w *world, b *block) (n int) {
	for q := b.base; q < b.base+int64(b.count); q++ {
		if w.tx.valid(q) && w.tx.packet(q).block == b.id && !w.tx.packet(q).here && w.rx.buffer.Lacks(q, 1) {
			n++
		}
	}
	return n
}
