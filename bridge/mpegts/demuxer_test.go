package mpegts

import (
	"bytes"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

func TestSmallStream(t *testing.T) {
	d := NewDemuxer(Config{})
	frames := demux(t, d, small(10), 1316)
	if v, a := pick(frames, 0), pick(frames, 1); len(v) != 10 || len(a) != 10 {
		t.Fatalf("%d pictures and %d audio frames, want 10 of each: %s", len(v), len(a), dropped(d.Stats()))
	}
	for i, f := range pick(frames, 0) {
		if want := int64(90000 + 3000*i); media.Ticks(f.DTS) != want || media.Ticks(f.PTS) != want+3000 || f.Flags.Has(media.Key) != (i%5 == 0) {
			t.Errorf("picture %d: DTS %v PTS %v flags %v", i, f.DTS, f.PTS, f.Flags)
		}
	}
}

// blocks keeps what nobody holds any more.
type blocks struct {
	free [media.BlockClasses][]*media.Block
}

func (b *blocks) get(class int) *media.Block {
	free := b.free[class]
	if n := len(free); n > 0 {
		b.free[class] = free[:n-1]
		return free[n-1]
	}
	return media.NewBlock(class, func(k *media.Block) { b.free[class] = append(b.free[class], k) })
}

// TestAllocationsLeaveWithTheFrames: the frame and its payload, and no other; with memory that is used again not even those.
func TestAllocationsLeaveWithTheFrames(t *testing.T) {
	if raceEnabled {
		return
	}
	const frames = 40
	ts := small(frames)
	now := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		memory *media.Arena
		most   float64
	}{{nil, 4 * frames}, {media.NewArena((&blocks{}).get), 0}} {
		d := NewDemuxer(Config{Memory: c.memory})
		n := testing.AllocsPerRun(20, func() {
			for rest := ts; len(rest) > 0; {
				k := min(len(rest), 1316)
				d.Write(now, rest[:k])
				rest = rest[k:]
				for f, ok := d.Next(); ok; f, ok = d.Next() {
					f.Release()
				}
			}
		})
		if n > c.most {
			t.Errorf("%v allocations for %d frames, want %v", n, 2*frames, c.most)
		}
	}
}

// TestMemoryChangesNoFrame: in memory that is used again are the same frames as without.
func TestMemoryChangesNoFrame(t *testing.T) {
	arena := media.NewArena((&blocks{}).get)
	plain, used := NewDemuxer(Config{}), NewDemuxer(Config{Memory: arena})
	n := 0
	for rest := small(300); len(rest) > 0; {
		k := min(len(rest), 1316)
		plain.Write(time.Time{}, rest[:k])
		used.Write(time.Time{}, rest[:k])
		rest = rest[k:]
		for f, ok := plain.Next(); ok; f, ok = plain.Next() {
			g, ok := used.Next()
			if !ok || !bytes.Equal(f.Payload, g.Payload) || f.DTS != g.DTS || f.PTS != g.PTS || f.Flags != g.Flags || f.Track != g.Track || !f.Config.Equal(g.Config) {
				t.Fatalf("frame %d is %v, %v", n, ok, g)
			}
			g.Release()
			n++
		}
	}
	if n < 590 {
		t.Errorf("%d frames", n)
	}
}

// TestBacklogIsBounded: a caller that never drains loses frames, not memory.
func TestBacklogIsBounded(t *testing.T) {
	d := NewDemuxer(Config{})
	ts := small(200)
	for range 30 {
		d.Write(time.Time{}, ts)
	}
	if s := d.Stats(); len(d.ready) != maxReady || s.Drops[DropBacklog] == 0 || s.Frames != maxReady {
		t.Errorf("%d frames wait, %d dropped", len(d.ready), s.Drops[DropBacklog])
	}
	checkSums(t, d)
}

// TestMemoryBound: streams of a hostile sender, each as large as it may be.
func TestMemoryBound(t *testing.T) {
	const limit = 256 << 10
	w := newBuild()
	w.pat(0, pidPMT)
	var list []es
	for i := range uint16(20) {
		list = append(list, es{typ: typeH264, pid: 0x200 + i}, es{typ: typeADTS, pid: 0x300 + i})
	}
	w.pmt(pidPMT, 0, list...)
	for i := range uint16(20) {
		w.pes(0x200+i, pesBytes(0xe0, 90000, -1, 0, plainAU(limit+70000)))
		w.pes(0x300+i, pesBytes(0xc0, 90000, -1, 0, make([]byte, limit+70000)))
	}
	d := NewDemuxer(Config{MaxAccessUnit: limit})
	most := 0
	for b := w.b; len(b) > 0; b = b[PacketSize:] {
		d.Write(time.Time{}, b[:PacketSize])
		most = max(most, d.held())
	}
	checkSums(t, d)
	if s := d.Stats(); most > maxStreams*2*limit || s.IgnoredStreams != 40-maxStreams || s.Drops[DropOversize] != maxStreams {
		t.Errorf("held %d bytes, %d ignored, %d oversize", most, s.IgnoredStreams, s.Drops[DropOversize])
	}
}
