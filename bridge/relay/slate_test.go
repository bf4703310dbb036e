package relay

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/media"
)

func TestSlateIsAnFLVFile(t *testing.T) {
	src, err := clip.New()
	if err != nil {
		t.Fatal(err)
	}
	v, a := src.Configs()
	b := flv.AppendMetadata(nil, v, a)
	b = flv.AppendTag(flv.AppendFileHeader(nil, true, true), flv.TagScript, 0, b)
	for _, c := range [][]byte{must(flv.AppendConfig(nil, v))(t), must(flv.AppendConfig(nil, a))(t)} {
		typ := flv.TagVideo
		if c[0] == 0xaf {
			typ = flv.TagAudio
		}
		b = flv.AppendTag(b, typ, 0, c)
	}
	for range 200 {
		f := src.Next()
		b = flv.AppendTag(b, flv.TypeOf(f.Codec), uint32(flv.Milliseconds(f.DTS)), must(flv.AppendFrame(nil, f))(t))
	}
	file := filepath.Join(t.TempDir(), "slate.flv")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := loadSlate(file); err != nil || s == nil {
		t.Errorf("%v, %v", s, err)
	}
	if s, err := loadSlate(""); err != nil || s != nil {
		t.Errorf("no slate: %v, %v", s, err)
	}
	if _, err := Open(config.Relay{Log: "info", Slate: file + "x"}, nil); !errors.Is(err, config.ErrUsage) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(file, []byte("not FLV"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadSlate(file); err == nil {
		t.Error("not FLV is a slate")
	}
}

// must returns a function that gives b or ends the test.
func must(b []byte, err error) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

// The slate of the documentation's command is what a player gets while the publisher is gone, picture by picture, and the publisher's pictures when it is back.
func TestSlateIsShownWhileThePublisherIsGone(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	file := filepath.Join(t.TempDir(), "slate.flv")
	run(t, need.Program(t, "ffmpeg"), "-v", "error", "-f", "lavfi", "-i", "testsrc=s=320x180:r=30", "-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo", "-t", "2",
		"-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-g", "60", "-c:a", "aac", file)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	frames, err := flv.Frames(b)
	if err != nil {
		t.Fatal(err)
	}
	slate := map[string]bool{}
	for _, f := range frames {
		if f.Codec.IsVideo() {
			slate[string(f.Payload)] = true
		}
	}
	r := startRelay(t, config.Relay{Key: []string{"live/cam"}, Hold: time.Minute, Slate: file})
	srt, _, _ := r.Addrs()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	var mu sync.Mutex
	var shown, others, back int // pictures of the slate, the publisher's before it, and after it
	var last time.Duration
	wg.Go(func() {
		_ = watch(ctx, r.FLVURL("live/cam")+"?wait=30s", func(f *media.Frame) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case !f.Codec.IsVideo():
				return
			case slate[string(f.Payload)]:
				shown++
			case shown > 0:
				back++
			default:
				others++
			}
			if f.DTS < last {
				t.Errorf("time goes back from %v to %v", last, f.DTS)
			}
			last = f.DTS
		})
	})
	count := func(n *int, want int) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return *n >= want
		}
	}
	first, end := context.WithCancel(ctx)
	wg.Go(func() { _ = publishClip(first, srt.String(), "live/cam") })
	need.Until(t, "the publisher's pictures", count(&others, 30))
	end()
	need.Until(t, "two rounds of the slate", count(&shown, 2*len(slate)))
	wg.Go(func() { _ = publishClip(ctx, srt.String(), "live/cam") })
	need.Until(t, "the publisher's pictures again", count(&back, 60))
}
