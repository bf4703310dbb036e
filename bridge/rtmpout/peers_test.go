package rtmpout

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
)

// clip makes a short FLV with a real encoder and returns its frames, one GOP a second.
func clip(t *testing.T) []*media.Frame {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clip.flv")
	out, err := exec.CommandContext(t.Context(), need.Program(t, "ffmpeg"), "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=30",
		"-f", "lavfi", "-i", "sine=440:sample_rate=48000", "-t", "2", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "30",
		"-c:a", "aac", "-flvflags", "no_duration_filesize", path).CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	return framesOf(t, path)
}

// framesOf reads an FLV file, which may be cut short.
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

func ofCodec(in []*media.Frame, c media.Codec) (out []*media.Frame) {
	for _, f := range in {
		if f.Codec == c {
			out = append(out, f)
		}
	}
	return out
}

// compare checks that got is want, in order and whole, but for what came before got's first frame, and returns by how
// much its times differ.
func compare(t *testing.T, what string, got, want []*media.Frame) time.Duration {
	t.Helper()
	if len(got) == 0 {
		t.Fatalf("%s: nothing came", what)
	}
	skip := 0
	for skip < len(want) && !bytes.Equal(want[skip].Payload, got[0].Payload) {
		skip++
	}
	if len(got) != len(want)-skip || skip > 2 {
		t.Errorf("%s: %d frames from frame %d on, want %d", what, len(got), skip, len(want)-skip)
	}
	offset := got[0].DTS - want[min(skip, len(want)-1)].DTS
	for i := range min(len(got), len(want)-skip) {
		g, w := got[i], want[skip+i]
		if !bytes.Equal(g.Payload, w.Payload) || g.DTS-offset != w.DTS || g.PTS-g.DTS != w.PTS-w.DTS {
			t.Fatalf("%s: frame %d: %v %v %d bytes, want %v %v %d bytes", what, i, g.DTS-offset, g.PTS-g.DTS, len(g.Payload), w.DTS, w.PTS-w.DTS, len(w.Payload))
		}
	}
	return offset
}

// starts are the times a publish may begin at: an ordinary one, and such that the clip's middle crosses the first
// extended timestamp, and 2^31 ms.
var starts = []struct {
	name string
	lead time.Duration
}{
	{"at 0.2 s", lead},
	{"over 0xffffff", 0xffffff*time.Millisecond - time.Second},
	{"over 2^31", (1<<31)*time.Millisecond - time.Second},
}

// pushClip publishes the clip into a hub and pushes it to url; done is called when all of it has been sent.
func pushClip(t *testing.T, frames []*media.Frame, url string, lead time.Duration, done func()) *Output {
	t.Helper()
	h := hub.New(hub.Config{QueueTime: time.Minute})
	defer h.Close()
	o, err := New(Config{Hub: h, Stream: "live/a", URL: Fixed(url), Backoff: Backoff{First: 20 * time.Millisecond, Max: 50 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	o.lead = lead
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	p, err := h.Publish("live/a", hub.PublisherInfo{})
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range frames {
		if i == len(frames)/4 { // in the first GOP, which the cache has
			waitFor(t, url+" live", func() bool { return o.Stats().State == Publishing })
		}
		g := *f
		if err := p.WriteFrame(&g); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "all sent", func() bool { return o.Stats().Frames >= uint64(len(frames))-1 })
	done()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	return o
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// checkClip compares what a peer kept with what was sent.
func checkClip(t *testing.T, got, want []*media.Frame) {
	t.Helper()
	v := compare(t, "video", ofCodec(got, media.H264), ofCodec(want, media.H264))
	a := compare(t, "audio", ofCodec(got, media.AAC), ofCodec(want, media.AAC))
	if d := (v - a).Abs(); d > 10*time.Millisecond {
		t.Errorf("audio moved by %v against video", d)
	}
}

// nginxRTMP returns a function that starts nginx with a recording application on addr and returns what kills it.
func nginxRTMP(t *testing.T, dir, addr string) (start func() (kill func())) {
	t.Helper()
	nginx, module := need.NginxRTMP(t)
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, `load_module %s;
daemon off; master_process off; user root; pid %s/pid; error_log %s/error.log warn;
events { worker_connections 64; }
rtmp { server { listen %s; chunk_size 4096; application live { live on; record all; record_path %s; } } }
`, module, dir, dir, addr, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() func() {
		cmd := exec.Command(nginx, "-p", dir, "-c", conf)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := sync.OnceFunc(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		t.Cleanup(kill)
		return kill
	}
}

func TestPushToNginx(t *testing.T) {
	frames := clip(t)
	dir, addr := t.TempDir(), freePort(t)
	nginxRTMP(t, dir, addr)()
	for i, start := range starts {
		t.Run(start.name, func(t *testing.T) {
			o := pushClip(t, frames, fmt.Sprintf("rtmp://%s/live/k%d", addr, i), start.lead, func() {})
			if st := o.Stats(); st.Publishes != 1 {
				t.Errorf("published %d times, want once: %+v", st.Publishes, st)
			}
			path := filepath.Join(dir, fmt.Sprintf("k%d.flv", i))
			want := ofCodec(frames, media.AAC)
			waitFor(t, "the recording", func() bool {
				b, err := os.ReadFile(path)
				return err == nil && bytes.Contains(b, want[len(want)-1].Payload)
			})
			checkClip(t, framesOf(t, path), frames)
		})
	}
}

func TestPushToFFmpeg(t *testing.T) {
	ffmpeg := need.Program(t, "ffmpeg")
	frames := clip(t)
	for _, start := range starts[:2] { // ffmpeg's FLV muxer, which writes the file, has 31 bits
		t.Run(start.name, func(t *testing.T) {
			addr, path := freePort(t), filepath.Join(t.TempDir(), "got.flv")
			ctx, cancel := context.WithTimeout(t.Context(), 2*need.Patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, ffmpeg, "-v", "error", "-listen", "1", "-i", "rtmp://"+addr+"/live/key", "-c", "copy", "-copyts",
				"-f", "flv", "-flvflags", "no_duration_filesize", path)
			var said bytes.Buffer
			cmd.Stderr = &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			pushClip(t, frames, "rtmp://"+addr+"/live/key", start.lead, func() {})
			// "Input/output error" is ffmpeg's word for the end of a connection in listen mode, and it exits with 0.
			if err := <-ended; err != nil || bytes.Count(said.Bytes(), []byte("\n")) > 1 {
				t.Errorf("ffmpeg: %v\n%s", err, said.String())
			}
			checkClip(t, framesOf(t, path), frames)
		})
	}
}

var restarts = flag.Int("restarts", 4, "how often TestNginxIsRestarted restarts its server; 20 for the figures in docs/relay.md")

// From the moment a killed and restarted server listens to the moment it lets us publish.
func TestNginxIsRestarted(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	addr := freePort(t)
	restarted(t, addr, nginxRTMP(t, t.TempDir(), addr))
}

// The same of other servers, where their programs are on PATH.
func TestOthersAreRestarted(t *testing.T) {
	need.RealTime(t)
	for _, s := range []struct{ name, conf string }{
		{"mediamtx", "rtsp: no\nhls: no\nwebrtc: no\nsrt: no\nmoq: no\nrtmpAddress: %[1]s\npaths:\n  all_others:\n"},
		{"srs", "listen %[2]s; max_connections 100; daemon off; srs_log_tank console; pid %[3]s/srs.pid; vhost __defaultVhost__ { }\n"},
	} {
		program, err := exec.LookPath(s.name)
		if err != nil {
			t.Logf("%s is not on PATH", s.name)
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			dir, addr := t.TempDir(), freePort(t)
			_, port, _ := net.SplitHostPort(addr)
			conf := filepath.Join(dir, "conf")
			if err := os.WriteFile(conf, fmt.Appendf(nil, s.conf+"%.0[1]s%.0[2]s%.0[3]s", addr, port, dir), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{conf}
			if s.name == "srs" {
				args = []string{"-c", conf}
			}
			restarted(t, addr, func() func() {
				cmd := exec.Command(program, args...)
				cmd.Dir = dir
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				kill := sync.OnceFunc(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
				t.Cleanup(kill)
				return kill
			})
		})
	}
}

// restarted kills a server that start starts on addr, again and again.
func restarted(t *testing.T, addr string, start func() (kill func())) {
	h := hub.New(hub.Config{})
	defer h.Close()
	cfg := Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + addr + "/live/a")}
	if testing.Verbose() {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if *restarts < 20 {
		cfg.Backoff.ResetAfter = 200 * time.Millisecond
	}
	o, _ := push(t, cfg)
	p, err := h.Publish("live/a", hub.PublisherInfo{})
	if err != nil {
		t.Fatal(err)
	}
	steady(t, p)
	kill := start()
	var took []time.Duration
	for i := range *restarts {
		waitFor(t, "live", func() bool { return o.Stats().State == Publishing })
		published := o.Stats().Publishes
		time.Sleep(max(300*time.Millisecond, 30*cfg.Backoff.ResetAfter/10, time.Duration(*restarts/20)*5500*time.Millisecond))
		kill()
		time.Sleep(time.Duration(100+i*370%1900) * time.Millisecond)
		kill = start()
		waitFor(t, "listening", func() bool {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				_ = c.Close()
			}
			return err == nil
		})
		listens := time.Now()
		waitFor(t, "publishing", func() bool { return o.Stats().Publishes > published })
		took = append(took, time.Since(listens))
	}
	slices.Sort(took)
	rank := func(p int) time.Duration { return took[(len(took)*p+99)/100-1].Round(time.Millisecond) }
	t.Logf("%d restarts: publishing after p50 %v, p95 %v, longest %v", len(took), rank(50), rank(95), rank(100))
	if *restarts >= 20 && rank(95) > 250*time.Millisecond { // asked for the figures: the promise
		t.Errorf("publishing after %v (p95), want 250 ms at most", rank(95))
	}
	if st := o.Stats(); st.EndedBy(CauseRefused) == 0 || st.Publishes < uint64(*restarts)+1 {
		t.Errorf("stats = %+v", st)
	}
}
