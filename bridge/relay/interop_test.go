package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
)

// These tests run real programs in real time: ffmpeg as the encoder, nginx-rtmp as the CDN tier, ffmpeg as the player.

// startRelay runs a relay on free loopback ports until the test ends.
func startRelay(t testing.TB, cfg config.Relay) *Relay {
	t.Helper()
	cfg.SRT, cfg.RTMP, cfg.HTTP, cfg.Log = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "info"
	if cfg.Hold == 0 {
		cfg.Hold = time.Second
	}
	r, err := Open(cfg, slog.New(slog.NewTextHandler(testWriter{t}, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("relay: %v", err)
			}
		case <-time.After(need.Patience):
			t.Error("the relay does not end")
		}
	})
	return r
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	if testing.Verbose() {
		w.t.Logf("%s", bytes.TrimSpace(b))
	}
	return len(b), nil
}

func (r *Relay) srtURL(name string, latency time.Duration) string {
	srt, _, _ := r.Addrs()
	return fmt.Sprintf("srt://%s?streamid=publish:%s&latency=%d", srt, name, latency.Microseconds())
}

func (r *Relay) rtmpURL(name string) string {
	_, rtmp, _ := r.Addrs()
	return fmt.Sprintf("rtmp://%s/%s", rtmp, name)
}

// nginx runs nginx-rtmp with one recording application and returns its address.
func nginx(t *testing.T, dir string) (addr string) {
	t.Helper()
	bin, module := need.NginxRTMP(t)
	port := freePort(t)
	conf := fmt.Sprintf(`load_module %s;
daemon off; master_process off; error_log %s/error.log info; pid %s/pid;
events { worker_connections 256; }
rtmp { server { listen 127.0.0.1:%d; chunk_size 4096;
  application live { live on; record all; record_path %s; record_unique off; }
  application webrtc { live on; }
} }
`, module, dir, dir, port, dir)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, bin, "-p", dir, "-c", file)
	waitPort(t, port)
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// start runs a program until the test ends.
func start(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() && out.Len() > 0 {
			t.Logf("%s said: %s", filepath.Base(name), out.String())
		}
	})
	return cmd
}

func run(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return out
}

// encode makes a reference: what the encoder made, in a container that keeps it as it is.
func encode(t *testing.T, dir, codec string, bframes, seconds int) (ref string) {
	t.Helper()
	ffmpeg := need.Program(t, "ffmpeg")
	ref = filepath.Join(dir, "ref.mkv")
	d := strconv.Itoa(seconds)
	args := []string{"-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=30:d=" + d, "-f", "lavfi", "-i", "sine=f=440:r=48000:d=" + d,
		"-c:v", codec, "-preset", "ultrafast", "-bf", strconv.Itoa(bframes), "-g", "60", "-pix_fmt", "yuv420p"}
	if codec == "libx265" {
		args = append(args, "-x265-params", "log-level=error:keyint=60:bframes="+strconv.Itoa(bframes))
	} else {
		args = append(args, "-sc_threshold", "0")
	}
	run(t, ffmpeg, append(args, "-c:a", "aac", "-b:a", "64k", "-y", ref)...)
	return ref
}

// packet is one packet as ffprobe sees it.
type packet struct {
	Codec string `json:"codec_type"`
	PTS   string `json:"pts_time"`
	DTS   string `json:"dts_time"`
}

func seconds(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatalf("timestamp %q: %v", s, err)
	}
	return v
}

// stream is what a file holds: the NAL units of each access unit and the audio frames, and their times.
type stream struct {
	video, audio       [][]byte
	videoPTS, videoDTS []float64
	audioPTS           []float64
}

// read takes a file apart with ffmpeg: elementary streams for the bytes, ffprobe for the times.
func read(t *testing.T, file, codec string) stream {
	t.Helper()
	dir := t.TempDir()
	es, aac := filepath.Join(dir, "v"), filepath.Join(dir, "a")
	format, filter := "h264", "h264_mp4toannexb"
	if codec == "libx265" {
		format, filter = "hevc", "hevc_mp4toannexb"
	}
	run(t, need.Program(t, "ffmpeg"), "-v", "error", "-i", file, "-map", "0:v", "-c", "copy", "-bsf:v", filter, "-f", format, "-y", es,
		"-map", "0:a", "-c", "copy", "-f", "adts", "-y", aac)
	s := stream{}
	b, err := os.ReadFile(es)
	if err != nil {
		t.Fatal(err)
	}
	s.video = pictures(b, codec)
	if b, err = os.ReadFile(aac); err != nil {
		t.Fatal(err)
	}
	s.audio = adtsFrames(b)
	var probe struct{ Packets []packet }
	if err := json.Unmarshal(run(t, need.Program(t, "ffprobe"), "-v", "error", "-show_packets", "-of", "json", file), &probe); err != nil {
		t.Fatal(err)
	}
	for _, p := range probe.Packets {
		if p.Codec == "audio" {
			s.audioPTS = append(s.audioPTS, seconds(t, p.PTS))
			continue
		}
		s.videoPTS = append(s.videoPTS, seconds(t, p.PTS))
		if p.DTS != "" {
			s.videoDTS = append(s.videoDTS, seconds(t, p.DTS))
		}
	}
	return s
}

// pictures cuts Annex B into slices: one entry a VCL NAL unit (the test encoders write one slice a picture or several; order
// and bytes are what counts). Delimiters, parameter sets, filler and SEI that a muxer may repeat are left out.
func pictures(b []byte, codec string) [][]byte {
	var out [][]byte
	for n := range bytes.SplitSeq(b, []byte{0, 0, 1}) {
		n = bytes.TrimRight(n, "\x00")
		if len(n) == 0 {
			continue
		}
		vcl := n[0]&0x1f >= 1 && n[0]&0x1f <= 5
		if codec == "libx265" {
			vcl = n[0]>>1&0x3f < 32
		}
		if vcl {
			out = append(out, n)
		}
	}
	return out
}

func adtsFrames(b []byte) [][]byte {
	var out [][]byte
	for len(b) > 7 {
		n := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5
		if n < 7 || n > len(b) {
			break
		}
		out = append(out, b[7:n])
		b = b[n:]
	}
	return out
}

// within finds got as an unbroken run inside want and returns where it begins.
func within(got, want [][]byte) (at int, err error) {
	if len(got) == 0 {
		return 0, fmt.Errorf("nothing arrived")
	}
	for at = range want {
		if bytes.Equal(want[at], got[0]) {
			break
		}
	}
	for i, g := range got {
		if at+i >= len(want) || !bytes.Equal(want[at+i], g) {
			return at, fmt.Errorf("unit %d is not unit %d of the reference (%d of %d)", i, at+i, len(got), len(want))
		}
	}
	return at, nil
}

// srtTail is how many units may be missing at the very end of an SRT session: ffmpeg hangs up before its last few packets have left
// libsrt's send buffer, which are the last PES packets of sound (8 frames each) and at times of the picture. What was sent arrives; gosrt's
// listener loses 120 ms more.
var srtTail = tail{video: 2, audio: 20}

type tail struct{ video, audio int }

// checkIntact holds what came out against the reference: an unbroken run that begins within the first skip units of the reference and
// ends within its last tail, DTS that never go back, and the reference's offset between sound and picture.
func checkIntact(t *testing.T, what string, got, ref stream, skip int, tail tail) {
	t.Helper()
	v, err := within(got.video, ref.video)
	if err != nil {
		t.Errorf("%s: video: %v", what, err)
		return
	}
	a, err := within(got.audio, ref.audio)
	if err != nil {
		t.Errorf("%s: audio: %v", what, err)
		return
	}
	if v+len(got.video) < len(ref.video)-tail.video || v > skip {
		t.Errorf("%s: video units %d to %d of %d", what, v, v+len(got.video), len(ref.video))
	}
	if a+len(got.audio) < len(ref.audio)-tail.audio || a > skip*2 {
		t.Errorf("%s: audio units %d to %d of %d", what, a, a+len(got.audio), len(ref.audio))
	}
	for i := 1; i < len(got.videoDTS); i++ {
		if got.videoDTS[i] <= got.videoDTS[i-1] {
			t.Errorf("%s: video DTS %f after %f", what, got.videoDTS[i], got.videoDTS[i-1])
			break
		}
	}
	perAU := len(ref.video) / len(ref.videoPTS)
	moved := shift(got.audioPTS, ref.audioPTS[a:]) - shift(got.videoPTS, ref.videoPTS[v/perAU:])
	if moved > 0.010 || moved < -0.010 {
		t.Errorf("%s: sound moved %.1f ms against the picture", what, moved*1000)
	}
	t.Logf("%s: %d video and %d audio units, from %d and %d on, A/V moved %.1f ms", what, len(got.video), len(got.audio), v, a, moved*1000)
}

// shift is the median distance of times to their reference, in seconds. (nginx-rtmp's recorder gives what comes before the first picture that
// picture's time, so the first ones alone say nothing.)
func shift(got, ref []float64) float64 {
	var d []float64
	for i := range min(len(got), len(ref)) {
		d = append(d, got[i]-ref[i])
	}
	slices.Sort(d)
	return d[len(d)/2]
}

func TestEveryFrameReachesEveryExit(t *testing.T) {
	need.RealTime(t)
	ffmpeg := need.Program(t, "ffmpeg")
	for _, c := range []struct {
		name, in, codec string
		bframes         int
	}{
		{"srt", "srt", "libx264", 0},
		{"srt with B-frames", "srt", "libx264", 2},
		{"rtmp", "rtmp", "libx264", 0},
		{"rtmp with B-frames", "rtmp", "libx264", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			ref := encode(t, dir, c.codec, c.bframes, 9)
			cdn := nginx(t, dir)
			r := startRelay(t, config.Relay{Key: []string{"live/cam"}, Push: []string{"live/cam=rtmp://" + cdn + "/live/cam"}, SRTLatency: 120 * time.Millisecond})
			args := []string{"-v", "error", "-re", "-i", ref, "-c", "copy"}
			var tail tail
			if c.in == "srt" {
				tail = srtTail
				args = append(args, "-f", "mpegts", r.srtURL("live/cam", 120*time.Millisecond))
			} else {
				args = append(args, "-f", "flv", r.rtmpURL("live/cam"))
			}
			start(t, ffmpeg, args...)
			waitStream(t, r, "live/cam")
			var wg sync.WaitGroup
			outs := map[string]string{"http-flv": r.FLVURL("live/cam"), "rtmp play": r.rtmpURL("live/cam")}
			const late = 185 // units before the last key frame that a player may join at: on a busy machine it takes seconds to start
			for what, url := range outs {
				file := filepath.Join(dir, strings.ReplaceAll(what, " ", "-")+".flv")
				outs[what] = file
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 2*need.Patience)
					defer cancel()
					if out, err := exec.CommandContext(ctx, ffmpeg, "-v", "error", "-i", url, "-c", "copy", "-f", "flv", "-y", file).CombinedOutput(); err != nil {
						t.Errorf("%s: %v %s", what, err, out)
					}
				})
			}
			wg.Wait()
			want := read(t, ref, c.codec)
			for what, file := range outs {
				checkIntact(t, what, read(t, file, c.codec), want, late, tail)
			}
			waitRecording(t, filepath.Join(dir, "cam.flv"))
			checkIntact(t, "nginx-rtmp by push", read(t, filepath.Join(dir, "cam.flv"), c.codec), want, late, tail)
		})
	}
}
