package ingest

import (
	"math"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
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

func TestTSCountsFrames(t *testing.T) {
	cfg, err := media.NewMP3Config(48000, 2)
	if err != nil {
		t.Fatal(err)
	}
	var frames []*media.Frame
	for i := range 5 {
		at := time.Duration(i) * 24 * time.Millisecond
		// A frame of layer III, 48 kHz, 32 kbit/s: 96 bytes.
		frames = append(frames, &media.Frame{
			Track: 1, Codec: media.MP3, Flags: media.Key, Config: cfg, DTS: at, PTS: at,
			Payload: append([]byte{0xff, 0xfb, 0x14, 0x00}, make([]byte, 92)...),
		})
	}
	m, err := mpegts.NewMuxer(mpegts.TracksOf(frames...))
	if err != nil {
		t.Fatal(err)
	}
	ts := NewTS(mpegts.Config{})
	now := time.Unix(1_700_000_000, 0)
	n := 0
	for _, f := range frames {
		ts.Write(now, m.AppendFrame(nil, f))
		for got, ok := ts.Next(); ok; got, ok = ts.Next() {
			if got.PTS != f.PTS || got.Arrival != now {
				t.Errorf("frame %d at %v, arrived %v", n, got.PTS, got.Arrival)
			}
			n++
		}
		now = now.Add(24 * time.Millisecond)
	}
	s := ts.Stats(now)
	if n != 5 || s.AudioFrames != 5 || s.AudioBytes != 5*96 || s.VideoFrames+s.KeyFrames != 0 || len(s.Drops) != 0 || s.BitsPerSec == 0 || len(ts.Tracks()) != 1 {
		t.Errorf("%d frames, %+v", n, s)
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
