package clip

import (
	"testing"
	"time"
)

func TestLoopHasNoSeam(t *testing.T) {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if len(file) > 600_000 {
		t.Errorf("the clip is %d bytes, want under 600,000", len(file))
	}
	last := [2]time.Duration{-1, -1}
	step := [2]time.Duration{time.Second / FrameRate, 1024 * time.Second / SampleRate}
	keys := 0
	for range 3 * (Pictures + AudioFrames) {
		f := s.Next()
		if f.IsKeyVideo() {
			keys++
		}
		if l := last[f.Track]; l >= 0 && (f.DTS-l-step[f.Track]).Abs() > time.Microsecond {
			t.Fatalf("track %d went from %v to %v", f.Track, l, f.DTS)
		}
		last[f.Track] = f.DTS
	}
	if keys != 12 {
		t.Errorf("%d key frames in 24 s, want 12", keys)
	}
	if v, a := s.Configs(); v.Width != 640 || a.SampleRate != SampleRate {
		t.Errorf("configurations %+v %+v", v, a)
	}
}
