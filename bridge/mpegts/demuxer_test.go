package mpegts

import (
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

// TestAllocationsLeaveWithTheFrames: two a picture and two a PES packet of audio, the frame and its payload, and no other.
func TestAllocationsLeaveWithTheFrames(t *testing.T) {
	if raceEnabled {
		return
	}
	const frames = 40
	d := NewDemuxer(Config{})
	ts := small(frames)
	now := time.Unix(1_700_000_000, 0)
	n := testing.AllocsPerRun(20, func() {
		for rest := ts; len(rest) > 0; {
			k := min(len(rest), 1316)
			d.Write(now, rest[:k])
			rest = rest[k:]
			for _, ok := d.Next(); ok; _, ok = d.Next() {
			}
		}
	})
	if n > 4*frames {
		t.Errorf("%v allocations for %d frames", n, 2*frames)
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
