package relay

import (
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
)

// Debian's ffmpeg and nginx-rtmp know nothing of H.265 in FLV, so our own reader judges, and a second relay stands for a CDN
// tier that takes Enhanced RTMP.
func TestHEVCReachesEveryExit(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	ffmpeg := need.Program(t, "ffmpeg")
	ref := encode(t, t.TempDir(), "libx265", 2, 8)
	cdn := startRelay(t, config.Relay{Key: []string{"cdn/cam"}, Hold: 300 * time.Millisecond})
	r := startRelay(t, config.Relay{Key: []string{"live/cam"}, Push: []string{"live/cam=" + cdn.rtmpURL("cdn/cam")}})
	var direct, pushed stream
	var wg sync.WaitGroup
	wg.Go(func() { direct = watchAll(t, r.FLVURL("live/cam")+"?wait=30s", 3*need.Patience) })
	wg.Go(func() { pushed = watchAll(t, cdn.FLVURL("cdn/cam")+"?wait=30s", 3*need.Patience) })
	start(t, ffmpeg, "-v", "error", "-re", "-i", ref, "-c", "copy", "-f", "mpegts", r.srtURL("live/cam", 120*time.Millisecond))
	wg.Wait()
	want := read(t, ref, "libx265")
	checkIntact(t, "http-flv", direct, want, 65, srtTail)
	checkIntact(t, "enhanced rtmp push", pushed, want, 65, srtTail)
}
