package hub_test

import (
	"context"
	"errors"
	"flag"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
)

var soakHours = flag.Int("hours", 0, "TestHoursOfFrames: hours of media in virtual time; 0: a quarter of one")

// Hours of media pass through the hub, FLV and MPEG-TS on a clock of the test's, with publishers that come and go and players that do:
// times never go back, and nothing that is kept grows.
func TestHoursOfFrames(t *testing.T) {
	length := time.Duration(*soakHours) * time.Hour
	switch {
	case testing.Short():
		length = time.Minute
	case length == 0:
		length = 15 * time.Minute
	}
	const frame = time.Second / clip.FrameRate // silence begins where sound ended, which is a little before the picture did
	zero := time.Unix(1_000_000_000, 0)
	now := zero
	var clock atomic.Int64 // now, for the hub's timers too
	h := hub.New(hub.Config{Now: func() time.Time { return time.Unix(0, clock.Load()) }, Hold: time.Minute})
	defer h.Close()
	ctx := context.Background()
	stay, err := h.Subscribe("live/cam", hub.SubscriberInfo{Protocol: "test", Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	defer stay.Close()
	var before, frames, publishers int64
	var last [2]time.Duration
	var tsOut, flvOut []byte
	var mux *mpegts.Muxer
	clock.Store(now.UnixNano())
	for round := 0; now.Sub(zero) < length; round++ {
		// A publisher of ten minutes, whose clock begins anew, and a player for as long.
		p, err := h.Publish("live/cam", hub.PublisherInfo{Protocol: "test"})
		if err != nil {
			t.Fatal(err)
		}
		publishers++
		src, err := clip.New()
		if err != nil {
			t.Fatal(err)
		}
		var player *hub.Subscriber
		begun := now
		for now.Sub(begun) < 10*time.Minute {
			f := src.Next()
			now = begun.Add(f.DTS)
			clock.Store(now.UnixNano())
			f.Arrival = now
			if err := p.WriteFrame(f); err != nil {
				t.Fatal(err)
			}
			if player == nil {
				if player, err = h.Subscribe("live/cam", hub.SubscriberInfo{Protocol: "test"}); err != nil {
					t.Fatal(err)
				}
			}
			for st := stay.Stats().Counts; st.Offered > st.Delivered+st.Dropped; st = stay.Stats().Counts {
				out, err := stay.Read(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if mux == nil {
					if mux, err = mpegts.NewMuxer(mpegts.TracksOfConfigs(stay.Tracks())); err != nil {
						t.Fatal(err)
					}
				}
				if frames++; out.DTS < last[out.Track] || out.DTS < last[1-out.Track]-frame {
					t.Fatalf("frame %d of track %d at %v: DTS %v after %v", frames, out.Track, now.Sub(zero), out.DTS, last)
				}
				last[out.Track] = out.DTS
				tsOut = mux.AppendFrame(tsOut[:0], out)
				if flvOut, err = flv.AppendFrame(flvOut[:0], out); err != nil {
					t.Fatal(err)
				}
			}
		}
		p.Close(nil)
		player.Close()
		now = now.Add(time.Duration(round%7) * time.Second)
		if round == 0 {
			before = heap()
		}
	}
	grown := heap() - before
	t.Logf("%v of media, %d publishers, %d frames: heap %+d bytes since the first publisher's end, the timeline is %v behind the clock",
		now.Sub(zero), publishers, frames, grown, now.Sub(zero)-last[0])
	if grown > 4<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if st := h.Streams(); len(st) != 1 || st[0].Counts.Publishes != uint64(publishers) {
		t.Errorf("%+v", st)
	}
	_ = h.Close()
	for {
		if _, err := stay.Read(ctx); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
