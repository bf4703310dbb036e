package hub

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// What a destination's viewers waited for is read from the stream's judgement, which goes on meanwhile: the race detector watches.
func TestPlayerReportsWhileItsStreamIsJudged(t *testing.T) {
	var now atomic.Int64
	h := New(Config{Now: func() time.Time { return time.Unix(0, now.Load()) }})
	p, err := h.Publish("live/cam", PublisherInfo{})
	if err != nil {
		t.Fatal(err)
	}
	player := NewPlayer()
	sub, err := h.Subscribe("live/cam", SubscriberInfo{Player: player})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			player.Report()
		}
	})
	for n := range 400 {
		at := time.Duration(n) * frameTime
		now.Store(int64(at))
		if n%50 < 10 { // nothing for 1.6 s of each 2
			f := &media.Frame{Codec: media.H264, DTS: at, PTS: at, Config: videoConfig, Payload: []byte{1}}
			if n%50 == 0 {
				f.Flags = media.Key
			}
			_ = p.WriteFrame(f)
			_, _, _ = sub.TryRead(time.Unix(0, int64(at)))
		}
		h.Judge(func(string) stutter.Facts { return stutter.Facts{} })
	}
	cancel()
	wg.Wait()
	if r := player.Report(); r.Stalls == 0 {
		t.Error("no stall was seen: nothing was raced for")
	}
	sub.Close()
	p.Close(nil)
}
