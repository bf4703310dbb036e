package relay

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/media"
)

func TestPlayersStayWhenThePublisherIsKilledAndComesBack(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	ffmpeg := need.Program(t, "ffmpeg")
	ref := encode(t, t.TempDir(), "libx264", 2, 20)
	for _, in := range []string{"srt", "rtmp"} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			r := startRelay(t, config.Relay{Key: []string{"live/cam"}, Hold: 20 * time.Second})
			args := []string{"-v", "error", "-re", "-i", ref, "-c", "copy", "-f", "mpegts", r.srtURL("live/cam", 120*time.Millisecond)}
			if in == "rtmp" {
				args = []string{"-v", "error", "-re", "-i", ref, "-c", "copy", "-f", "flv", r.rtmpURL("live/cam")}
			}
			first := start(t, ffmpeg, args...)
			waitStream(t, r, "live/cam")
			ctx, cancel := context.WithCancel(t.Context())
			var mu sync.Mutex
			var got []*media.Frame
			count := func() int {
				mu.Lock()
				defer mu.Unlock()
				return len(got)
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := watch(ctx, r.FLVURL("live/cam"), func(f *media.Frame) {
					mu.Lock()
					defer mu.Unlock()
					got = append(got, f)
				}); err != nil {
					t.Error(err)
				}
			})
			need.Until(t, "200 frames", func() bool { return count() > 200 })
			_ = first.Process.Kill()
			need.Until(t, "the relay noticing", func() bool { return !r.hub.Publishing("live/cam") })
			before := count()
			start(t, ffmpeg, args...)
			need.Until(t, "200 frames more", func() bool { return count() > before+200 })
			cancel()
			wg.Wait()
			var last [2]time.Duration
			for i, f := range got {
				if f.DTS < last[f.Track] || i > 0 && f.DTS-last[f.Track] > need.Patience && last[f.Track] > 0 {
					t.Errorf("frame %d of %d (gap at %d): track %d went from %v to %v", i, len(got), before, f.Track, last[f.Track], f.DTS)
				}
				last[f.Track] = f.DTS
			}
			if d := last[0] - last[1]; d.Abs() > 500*time.Millisecond {
				t.Errorf("picture and sound are %v apart", d)
			}
		})
	}
}
