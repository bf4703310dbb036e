package ingest

import (
	"math"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/mpegts"
)

func TestMeterFollowsTheRate(t *testing.T) {
	var m meter
	now := time.Unix(1_700_000_000, 0)
	if m.bitsPerSec(now) != 0 {
		t.Error("a rate before the first byte")
	}
	for _, step := range []struct {
		why      string
		lasts    time.Duration
		perMilli int // bytes
		want     float64
	}{
		{"steady", 3 * time.Second, 500, 4e6},
		{"half as much, a window later", 2 * time.Second, 250, 2e6},
		{"silence", 2100 * time.Millisecond, 0, 0},
		{"back after a silence: the window holds half of it", time.Second, 1000, 4e6},
	} {
		for range step.lasts / time.Millisecond {
			if step.perMilli > 0 {
				m.add(now, step.perMilli)
			}
			now = now.Add(time.Millisecond)
		}
		if got := m.bitsPerSec(now); math.Abs(got-step.want) > 0.06*math.Max(step.want, 1e6) {
			t.Errorf("%s: got %.0f bit/s, want %.0f", step.why, got, step.want)
		}
	}
}

func TestTSCountsGarbage(t *testing.T) {
	ts := NewTS(mpegts.Config{})
	now := time.Unix(1_700_000_000, 0)
	ts.Write(now, make([]byte, 1316))
	null := make([]byte, 188)
	null[0], null[1], null[2], null[3] = 0x47, 0x1f, 0xff, 0x10
	for range 10 {
		ts.Write(now, null)
	}
	ts.Flush()
	if f, ok := ts.Next(); ok {
		t.Fatalf("a frame from garbage: %+v", f)
	}
	s := ts.Stats(now)
	if s.Bytes != 1316+1880 || len(s.Drops) != 1 || s.Drops[0].Reason != mpegts.DropNull || s.Drops[0].Count != 10 || s.TS.SkippedBytes != 1316 {
		t.Errorf("got %+v", s)
	}
}
