package mpegts

import (
	"testing"

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
