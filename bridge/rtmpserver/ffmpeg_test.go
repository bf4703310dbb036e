package rtmpserver

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
)

// run runs a program and shows what it said when it fails.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*need.Patience)
	defer cancel()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("%s %v: %v\n%s", filepath.Base(name), args, err, out)
	}
}

// framesOf reads an FLV file.
func framesOf(t *testing.T, path string) (out []*media.Frame) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err = flv.Frames(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ofCodec keeps the frames of one codec.
func ofCodec(in []*media.Frame, c media.Codec) (out []*media.Frame) {
	for _, f := range in {
		if f.Codec == c {
			out = append(out, f)
		}
	}
	return out
}

// compare checks that got is want from its first frame on, in order, none missing to the end, and returns the time offset.
func compare(t *testing.T, what string, got, want []*media.Frame) time.Duration {
	t.Helper()
	if len(got) == 0 {
		t.Fatalf("%s: nothing came", what)
	}
	skip := 0
	for skip < len(want) && !bytes.Equal(want[skip].Payload, got[0].Payload) {
		skip++
	}
	if len(got) != len(want)-skip {
		t.Errorf("%s: %d frames from frame %d on, want %d", what, len(got), skip, len(want)-skip)
	}
	offset := got[0].DTS - want[skip].DTS
	for i := range min(len(got), len(want)-skip) {
		g, w := got[i], want[skip+i]
		if !bytes.Equal(g.Payload, w.Payload) || g.DTS-offset != w.DTS || g.PTS-g.DTS != w.PTS-w.DTS {
			t.Fatalf("%s: frame %d: %v %v %d bytes, want %v %v %d bytes", what, i, g.DTS-offset, g.PTS-g.DTS, len(g.Payload), w.DTS, w.PTS-w.DTS, len(w.Payload))
		}
	}
	return offset
}

func TestFFmpegPublishesAndPlays(t *testing.T) {
	ffmpeg := need.Program(t, "ffmpeg")
	for _, bframes := range []string{"0", "2"} {
		t.Run("bframes="+bframes, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			clip, played := filepath.Join(dir, "clip.flv"), filepath.Join(dir, "played.flv")
			run(t, ffmpeg, "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=30", "-f", "lavfi", "-i", "sine=440:sample_rate=48000",
				"-t", "6", "-c:v", "libx264", "-preset", "ultrafast", "-bf", bframes, "-g", "30", "-c:a", "aac", "-flvflags", "no_duration_filesize", clip)
			b := start(t, Config{})
			url := "rtmp://" + b.addr + "/live/clip"
			h := b.hub
			sub, err := h.Subscribe("live/clip", hub.SubscriberInfo{Wait: true})
			if err != nil {
				t.Fatal(err)
			}
			defer sub.Close()
			done := make(chan struct{})
			go func() {
				defer close(done)
				run(t, ffmpeg, "-v", "error", "-re", "-i", clip, "-c", "copy", "-f", "flv", url)
			}()
			waitFor(t, func() bool { return h.Publishing("live/clip") && h.Streams()[0].Counts.Frames > 20 })
			playing := make(chan struct{})
			go func() {
				defer close(playing)
				run(t, ffmpeg, "-v", "error", "-i", url, "-c", "copy", "-f", "flv", "-flvflags", "no_duration_filesize", played)
			}()
			<-done
			waitFor(t, func() bool { return b.server.Stats().Publishers == 0 })
			want := framesOf(t, clip)
			var direct []*media.Frame // all but audio from before the first key frame
			for {
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				f, err := sub.Read(ctx)
				cancel()
				if err != nil {
					break
				}
				direct = append(direct, f)
			}
			h.Close() // players hear the end
			<-playing
			vo := compare(t, "hub video", ofCodec(direct, media.H264), ofCodec(want, media.H264))
			ao := compare(t, "hub audio", ofCodec(direct, media.AAC), ofCodec(want, media.AAC))
			if vo != ao {
				t.Errorf("ingest moved audio by %v against video", ao-vo)
			}
			got := framesOf(t, played)
			if !ofCodec(got, media.H264)[0].IsKeyVideo() {
				t.Errorf("a player starts with %+v, want a key frame", got[0])
			}
			vo = compare(t, "player video", ofCodec(got, media.H264), ofCodec(want, media.H264))
			ao = compare(t, "player audio", ofCodec(got, media.AAC), ofCodec(want, media.AAC))
			if d := (vo - ao).Abs(); d > 10*time.Millisecond {
				t.Errorf("player: audio moved by %v against video", d)
			}
			run(t, ffmpeg, "-v", "error", "-i", played, "-f", "null", "-")
		})
	}
}

// A tier that pulls from us.
func TestNginxPulls(t *testing.T) {
	nginx, module := need.NginxRTMP(t)
	b := start(t, Config{})
	p, err := b.hub.Publish("live/a", hub.PublisherInfo{})
	if err != nil {
		t.Fatal(err)
	}
	write := func(from, to int) {
		for i := from; i < to; i++ {
			for _, f := range picture(i) {
				if err := p.WriteFrame(f); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	write(0, 10)
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, `load_module %s;
daemon off; master_process off; user root; pid %s/pid; error_log %s/error.log warn;
events { worker_connections 64; }
rtmp { server { listen %s; application tier { live on; pull rtmp://%s/live/a name=a static; record all; record_path %s; } } }
`, module, dir, dir, addr, b.addr, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, nginx, "-p", dir, "-c", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	waitFor(t, func() bool { return b.server.Stats().Players == 1 })
	write(10, 60)
	var want []*media.Frame
	for i := range 60 {
		want = append(want, picture(i)...)
	}
	path := filepath.Join(dir, "a.flv")
	waitFor(t, func() bool {
		body, err := os.ReadFile(path)
		return err == nil && bytes.Contains(body, want[len(want)-2].Payload) && bytes.HasSuffix(body[:len(body)-4], want[len(want)-1].Payload)
	})
	got := framesOf(t, path)
	vo := compare(t, "video", ofCodec(got, media.H264), ofCodec(want, media.H264))
	ao := compare(t, "audio", ofCodec(got, media.AAC), ofCodec(want, media.AAC))
	if vo != ao {
		t.Errorf("audio moved by %v against video", ao-vo)
	}
}
