package relay

import (
	"runtime"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bench/tier"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/transport/srtlink"
)

// In steady state a frame that comes over SRT costs no memory on its whole way: received, held for its time, taken out of the transport stream,
// cached, and written to a destination. What others of the relay's goroutines allocate meanwhile is less than one for each.
func TestAFramesWayFromSRTCostsNoAllocation(t *testing.T) {
	need.RealTime(t)
	addr, got := tier.Counting(t)
	r := startRelay(t, config.Relay{Key: []string{"live/cam"}, Push: []string{"live/cam=rtmp://" + addr + "/live/cam"}, SRTLatency: 20 * time.Millisecond})
	src, err := clip.New()
	if err != nil {
		t.Fatal(err)
	}
	mux, err := src.Muxer()
	if err != nil {
		t.Fatal(err)
	}
	srt, _, _ := r.Addrs()
	conn, err := srtlink.Dial(srt.String(), srtlink.DialConfig{StreamID: "publish:live/cam", Latency: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var ts [][]byte
	for range 2 * (clip.Pictures + clip.AudioFrames) {
		ts = append(ts, mux.AppendFrame(nil, src.Next()))
	}
	i := 0
	send := func() { // and wait until something comes
		before := got.Load()
		for range 10 {
			for b := ts[i%len(ts)]; len(b) > 0; b = b[min(len(b), 1316):] {
				if _, err := conn.Write(b[:min(len(b), 1316)]); err != nil {
					t.Fatal(err)
				}
			}
			i++
		}
		for end := time.Now().Add(need.Patience); got.Load() == before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nothing comes")
			}
		}
	}
	for i < len(ts)/2 {
		send()
	}
	var before, after runtime.MemStats
	from := i
	runtime.ReadMemStats(&before)
	for i < len(ts) {
		send()
	}
	runtime.ReadMemStats(&after)
	n := after.Mallocs - before.Mallocs
	t.Logf("%d allocations for %d frames", n, i-from)
	if n >= uint64(i-from) && !raceEnabled {
		t.Errorf("%d allocations for %d frames", n, i-from)
	}
}
