package push_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/push"
	"github.com/fairlead-live/fairlead/bridge/relay"
)

// startRelay runs a relay with every port until the test ends.
func startRelay(t testing.TB) *relay.Relay {
	t.Helper()
	r, err := relay.Open(config.Relay{SRT: "127.0.0.1:0", QUIC: "127.0.0.1:0", RTMP: "127.0.0.1:0", HTTP: "127.0.0.1:0",
		Key: []string{"live/cam"}, Hold: time.Second, Log: "info"}, logger(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("relay: %v", err)
		}
	})
	return r
}

func logger(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(logWriter{t}, nil)) }

type logWriter struct{ t testing.TB }

func (w logWriter) Write(b []byte) (int, error) {
	if testing.Verbose() {
		w.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

// pictures of the clip that the tests push: one second.
const pictures = 30

// frames are the clip's first second, and its configurations.
func frames(t testing.TB) (all []*media.Frame, video, audio *media.Config) {
	t.Helper()
	src, err := clip.New()
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < pictures; {
		f := src.Next()
		if all = append(all, f); f.Codec.IsVideo() {
			n++
		}
	}
	video, audio = src.Configs()
	return all, video, audio
}

func asTS(t testing.TB) []byte {
	t.Helper()
	out, err := clip.TS(pictures)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func asFLV(t testing.TB) []byte {
	t.Helper()
	all, v, a := frames(t)
	out := flv.AppendFileHeader(nil, true, true)
	tag := func(c media.Codec, ms int64, body []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		out = flv.AppendTag(out, flv.TypeOf(c), uint32(ms), body)
	}
	for _, c := range []*media.Config{v, a} {
		b, err := flv.AppendConfig(nil, c)
		tag(c.Codec, 0, b, err)
	}
	for _, f := range all {
		b, err := flv.AppendFrame(nil, f)
		tag(f.Codec, flv.Milliseconds(f.DTS), b, err)
	}
	return out
}

func write(t testing.TB, name string, b []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// viewer counts the pictures that come out of a relay, and how many of them are the clip's.
type viewer struct {
	mu    sync.Mutex
	known map[string]bool
	seen  map[string]int
	other int
}

func watch(t testing.TB, r *relay.Relay) *viewer {
	t.Helper()
	v := &viewer{known: map[string]bool{}, seen: map[string]int{}}
	all, _, _ := frames(t)
	for _, f := range all {
		if f.Codec.IsVideo() {
			v.known[string(f.Payload)] = true
		}
	}
	sub, err := r.Hub().Subscribe("live/cam", hub.SubscriberInfo{Protocol: "test", Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			f, err := sub.Read(ctx)
			if err != nil {
				return
			}
			if !f.Codec.IsVideo() {
				continue
			}
			v.mu.Lock()
			if v.known[string(f.Payload)] {
				v.seen[string(f.Payload)]++
			} else {
				v.other++
			}
			v.mu.Unlock()
		}
	}()
	t.Cleanup(func() { cancel(); <-done; sub.Close() })
	return v
}

// saw waits until n different pictures of the clip have come out.
func (v *viewer) saw(t testing.TB, n int) {
	t.Helper()
	var seen, other int
	for end := time.Now().Add(need.Patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		v.mu.Lock()
		seen, other = len(v.seen), v.other
		v.mu.Unlock()
		if seen >= n {
			break
		}
	}
	if seen < n || other > 0 {
		t.Errorf("%d of %d pictures came out, and %d others", seen, n, other)
	}
}

func destinations(r *relay.Relay) map[string]string {
	srt, rtmp, _ := r.Addrs()
	return map[string]string{
		// More than a loaded machine stands still now and then.
		"fairlead": strings.Replace(r.QUICURL("live/cam"), "latency=300ms", "latency=2s", 1),
		"srt":      fmt.Sprintf("srt://%s?streamid=publish:live/cam&latency=2s", srt),
		"rtmp":     fmt.Sprintf("rtmp://%s/live/cam", rtmp),
	}
}

func TestFilesReachEveryKindOfDestination(t *testing.T) {
	need.RealTime(t)
	for _, c := range []struct{ to, file string }{{"fairlead", "clip.flv"}, {"srt", "clip.ts"}, {"rtmp", "clip.ts"}} {
		t.Run(c.to, func(t *testing.T) {
			t.Parallel()
			r := startRelay(t)
			v := watch(t, r)
			b := asTS(t)
			if c.file == "clip.flv" {
				b = asFLV(t)
			}
			p, err := push.New(push.Config{Input: write(t, c.file, b), URLs: []string{destinations(r)[c.to]}, Logger: logger(t)})
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			if err := p.Run(t.Context()); err != nil {
				t.Errorf("Run = %v", err)
			}
			if d := time.Since(begin); d < 900*time.Millisecond {
				t.Errorf("one second of media took %v", d)
			}
			v.saw(t, pictures)
			if st := p.Status()[0]; st.FramesSent < pictures || st.Unsent > 0 {
				t.Errorf("status: %+v", st)
			}
		})
	}
}

func TestLoopGoesOnWithoutASeam(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	r := startRelay(t)
	v := watch(t, r)
	p, err := push.New(push.Config{Input: write(t, "clip.ts", asTS(t)), Loop: true, URLs: []string{destinations(r)["fairlead"]}, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	need.Until(t, "every picture twice", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, n := range v.seen {
			if n < 2 {
				return false
			}
		}
		return len(v.seen) == pictures
	})
	cancel()
	if err := <-done; err != nil {
		t.Errorf("an interrupted Run = %v", err)
	}
	v.saw(t, pictures)
	for _, s := range r.Streams() {
		if s.Jumps > 0 || s.Clamped > 0 {
			t.Errorf("the seam shows: %d jumps, %d times set back", s.Jumps, s.Clamped)
		}
	}
}

// slowly gives bytes as a live encoder would.
type slowly struct{ b []byte }

func (s *slowly) Read(b []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	time.Sleep(5 * time.Millisecond)
	n := copy(b, s.b[:min(len(s.b), 1316)])
	s.b = s.b[n:]
	return n, nil
}

func TestStandardInputAndDatagrams(t *testing.T) {
	need.RealTime(t)
	t.Run("stdin", func(t *testing.T) {
		t.Parallel()
		r := startRelay(t)
		v := watch(t, r)
		p, err := push.New(push.Config{Input: "-", Stdin: &slowly{asFLV(t)}, URLs: []string{destinations(r)["fairlead"]}, Logger: logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(t.Context()); err != nil {
			t.Errorf("Run = %v", err)
		}
		v.saw(t, pictures)
	})
	for _, input := range []string{"udp", "srt", "rtmp"} {
		t.Run(input, func(t *testing.T) {
			t.Parallel()
			r := startRelay(t)
			v := watch(t, r)
			in := input + "://127.0.0.1:0"
			if input == "rtmp" {
				in += "/live/obs"
			}
			p, err := push.New(push.Config{Input: in, URLs: []string{destinations(r)["fairlead"]}, Logger: logger(t)})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- p.Run(ctx) }()
			need.Until(t, "the destination is reached", func() bool { return input != "udp" || p.Status()[0].State == "connected" })
			encode(t, input, p.Listening())
			v.saw(t, pictures-2) // the last ones wait for what follows them in a transport stream
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run = %v", err)
			}
		})
	}
}

// encode sends the clip to a listening push.
func encode(t testing.TB, how string, at net.Addr) {
	t.Helper()
	if how == "udp" {
		c, err := net.Dial("udp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for r := (&slowly{asTS(t)}); ; {
			b := make([]byte, 1316)
			n, err := r.Read(b)
			if err != nil {
				return
			}
			_, _ = c.Write(b[:n])
		}
	}
	url := fmt.Sprintf("rtmp://%s/live/obs", at)
	if how == "srt" {
		url = fmt.Sprintf("srt://%s", at) // as ffmpeg calls a listener: with no stream id
	}
	p, err := push.New(push.Config{Input: write(t, "clip.ts", asTS(t)), URLs: []string{url}, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err != nil {
		t.Errorf("encoder: %v", err)
	}
}

// A transport stream may begin in the midst of a packet.
func TestATransportStreamMayBeginAnywhere(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	r := startRelay(t)
	v := watch(t, r)
	whole := asTS(t)
	p, err := push.New(push.Config{Input: write(t, "cut.ts", append(slices.Clone(whole[138:188]), whole...)), URLs: []string{destinations(r)["fairlead"]}, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err != nil {
		t.Errorf("Run = %v", err)
	}
	v.saw(t, pictures)
}

func TestMP4IsRead(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	ffmpeg := need.Program(t, "ffmpeg")
	in, out := write(t, "clip.ts", asTS(t)), filepath.Join(t.TempDir(), "clip.mp4")
	if b, err := exec.Command(ffmpeg, "-v", "error", "-i", in, "-c", "copy", out).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	r := startRelay(t)
	v := watch(t, r)
	p, err := push.New(push.Config{Input: out, URLs: []string{destinations(r)["fairlead"]}, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err != nil {
		t.Errorf("Run = %v", err)
	}
	v.saw(t, pictures)
}

func TestFailuresSayWhichSide(t *testing.T) {
	r := startRelay(t)
	urls := destinations(r)
	ts := write(t, "clip.ts", asTS(t))
	nobody := "fairlead://127.0.0.1:1/live/cam"
	for _, c := range []struct {
		why  string
		cfg  push.Config
		want error
	}{
		{"no destination", push.Config{Input: ts}, config.ErrUsage},
		{"a destination of no known kind", push.Config{Input: ts, URLs: []string{"ftp://x"}}, config.ErrUsage},
		{"a latency without unit", push.Config{Input: ts, URLs: []string{"srt://x:1?latency=300"}}, config.ErrUsage},
		{"a word nobody knows", push.Config{Input: ts, URLs: []string{"fairlead://x/a/b?latencie=1s"}}, config.ErrUsage},
		{"an input of no known kind", push.Config{Input: "http://x:1", URLs: []string{nobody}}, config.ErrUsage},
		{"a loop of what is no file", push.Config{Input: "-", Loop: true, URLs: []string{nobody}}, config.ErrUsage},
		{"no such file", push.Config{Input: "/nowhere.ts", URLs: []string{nobody}}, push.ErrInput},
		{"nothing in it", push.Config{Input: write(t, "x.ts", bytes.Repeat([]byte{0x47}, 1880)), URLs: []string{urls["fairlead"]}}, push.ErrInput},
		{"text", push.Config{Input: write(t, "x.ts", []byte("hello, world")), URLs: []string{urls["fairlead"]}}, push.ErrInput},
		{"a directory", push.Config{Input: t.TempDir(), URLs: []string{urls["fairlead"]}}, push.ErrInput},
		{"an empty file", push.Config{Input: write(t, "x.ts", nil), URLs: []string{urls["fairlead"]}}, push.ErrInput},
		{"another key", push.Config{Input: ts, URLs: []string{r.QUICURL("live/other")}}, push.ErrRefused},
		{"another key over SRT", push.Config{Input: ts, URLs: []string{strings.Replace(urls["srt"], "live/cam", "live/other", 1)}}, push.ErrRefused},
		{"another key over RTMP", push.Config{Input: ts, URLs: []string{strings.Replace(urls["rtmp"], "live/cam", "live/other", 1)}}, push.ErrRefused},
		{"a certificate that nobody vouches for, and no pin", push.Config{Input: ts, URLs: []string{urls["fairlead"][:strings.Index(urls["fairlead"], "?")]}}, push.ErrRefused},
		{"nobody there", push.Config{Input: ts, Connect: time.Millisecond, URLs: []string{nobody}}, push.ErrReach},
		{"nobody there over RTMP", push.Config{Input: ts, Connect: time.Millisecond, URLs: []string{"rtmp://127.0.0.1:1/live/cam"}}, push.ErrReach},
		{"one of two is not there", push.Config{Input: ts, Connect: time.Millisecond, URLs: []string{urls["fairlead"], nobody}}, push.ErrReach},
	} {
		p, err := push.New(c.cfg)
		if err == nil {
			ctx, cancel := context.WithTimeout(t.Context(), need.Patience)
			err = p.Run(ctx)
			cancel()
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.why, err, c.want)
		}
	}
}

// A name that somebody else has is a refusal, whichever way one comes.
func TestATakenNameIsARefusal(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	r := startRelay(t)
	urls := destinations(r)
	ts := write(t, "clip.ts", asTS(t))
	first, err := push.New(push.Config{Input: ts, Loop: true, URLs: []string{urls["fairlead"]}, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- first.Run(ctx) }()
	need.Until(t, "the first one publishes", func() bool { return first.Status()[0].FramesDelivered > 0 })
	for how, url := range urls {
		second, err := push.New(push.Config{Input: ts, Loop: true, Connect: 700 * time.Millisecond, URLs: []string{url}, Logger: logger(t)})
		if err == nil {
			err = second.Run(ctx)
		}
		if !errors.Is(err, push.ErrRefused) {
			t.Errorf("%s: %v, want %v", how, err, push.ErrRefused)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the first: %v", err)
	}
}

// What an input has and nobody carries is named.
func TestWhatIsNotCarriedIsNamed(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	ffmpeg := need.Program(t, "ffmpeg")
	r := startRelay(t)
	for _, c := range []struct {
		why      string
		args     []string
		fails    bool
		in, warn string
	}{
		{"nothing else is in it", []string{"-c:v", "mpeg2video", "-c:a", "ac3"}, true, "only MPEG-2 video (PID 256), AC-3 (PID 257), which is not carried", ""},
		{"sound that is not carried beside pictures that are", []string{"-c:v", "libx264", "-preset", "ultrafast", "-c:a", "ac3"}, false, "", "AC-3 (PID 257)"},
	} {
		file := filepath.Join(t.TempDir(), "odd.ts")
		args := append([]string{"-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=30:d=0.7", "-f", "lavfi", "-i", "sine=d=0.7"}, c.args...)
		if b, err := exec.Command(ffmpeg, append(args, file)...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		var said bytes.Buffer
		p, err := push.New(push.Config{Input: file, URLs: []string{destinations(r)["rtmp"]}, Logger: slog.New(slog.NewTextHandler(&said, nil))})
		if err != nil {
			t.Fatal(err)
		}
		err = p.Run(t.Context())
		if errors.Is(err, push.ErrInput) != c.fails || err != nil && !strings.Contains(err.Error(), c.in) || !strings.Contains(said.String(), c.warn) {
			t.Errorf("%s: %v; said %s", c.why, err, said.String())
		}
	}
}
