package push_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
	"github.com/fairlead-live/fairlead/bridge/push"
	"github.com/fairlead-live/fairlead/bridge/relay"
)

// strange is a transport stream of the clip with a stream of data in its PMT that nobody knows, and packets of it: PID 300, descriptor-less, type 0x06.
func strange(t testing.TB) []byte {
	t.Helper()
	in := asTS(t)
	var out []byte
	pmt := -1
	for n := 0; n < len(in)/mpegts.PacketSize; n++ {
		p := bytes.Clone(in[n*mpegts.PacketSize:][:mpegts.PacketSize])
		pid := int(p[1]&0x1f)<<8 | int(p[2])
		switch {
		case pid == 0:
			s := p[5+int(p[4]):] // PAT: table id, length, id, version, numbers, program, PID
			pmt = int(s[10]&0x1f)<<8 | int(s[11])
		case pid == pmt:
			s := p[5+int(p[4]):]
			end := 3 + (int(s[1]&0x0f)<<8 | int(s[2])) - 4
			copy(s[end:], []byte{0x86, 0xe0 | 300>>8, 300 & 0xff, 0xf0, 0}) // SCTE-35
			s[2] += 5
			crc := crc32MPEG(s[:end+5])
			s[end+5], s[end+6], s[end+7], s[end+8] = byte(crc>>24), byte(crc>>16), byte(crc>>8), byte(crc)
		}
		if out = append(out, p...); n%5 == 0 {
			data := bytes.Repeat([]byte{byte(n)}, mpegts.PacketSize)
			copy(data, []byte{0x47, 300 >> 8, 300 & 0xff, 0x10 | byte(n/5&15)})
			out = append(out, data...)
		}
	}
	return out
}

// crc32MPEG is ISO 13818-1 annex A.
func crc32MPEG(b []byte) uint32 {
	c := ^uint32(0)
	for _, x := range b {
		c ^= uint32(x) << 24
		for range 8 {
			c = c<<1 ^ 0x04c11db7&-(c>>31)
		}
	}
	return c
}

// play reads KEY.ts of the relay from the first byte on until the stream is over.
func play(t testing.TB, r *relay.Relay) <-chan []byte {
	t.Helper()
	_, _, at := r.Addrs()
	out := make(chan []byte, 1)
	go func() {
		defer close(out)
		ctx, cancel := context.WithTimeout(t.Context(), 2*need.Patience)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/live/cam.ts?wait=30s", at), nil)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Error(res.Status, err)
		}
		out <- b
	}()
	need.Until(t, "a player waits", func() bool { return len(r.Streams()) > 0 })
	return out
}

// What has a stream that is no track comes out of the relay bit for bit, and the pictures in it as frames, too.
func TestWhatIsNoTrackPassesThrough(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	in := strange(t)
	for _, from := range []string{"file", "stdin", "udp"} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			r := startRelay(t)
			v := watch(t, r)
			got := play(t, r)
			cfg := push.Config{URLs: []string{destinations(r)["fairlead"]}, Logger: logger(t)}
			switch from {
			case "file":
				cfg.Input = write(t, "in.ts", in)
			case "stdin":
				cfg.Input, cfg.Stdin = "-", bytes.NewReader(in)
			case "udp":
				cfg.Input = "udp://127.0.0.1:0"
			}
			p, err := push.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if from == "udp" {
				conn, err := net.Dial("udp", p.Listening().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				go func() {
					for b := in; len(b) > 0; time.Sleep(3 * time.Millisecond) { // a real socket: faster than that overflows it, and nothing says so
						n := min(len(b), 7*mpegts.PacketSize)
						_, _ = conn.Write(b[:n])
						b = b[n:]
					}
					time.Sleep(100 * time.Millisecond) // UDP has no end; what is still on its way then is not judged
					cancel()
				}()
			}
			if err := p.Run(ctx); err != nil {
				t.Errorf("Run = %v", err)
			}
			v.saw(t, pictures-1)
			b, want := <-got, in
			if from == "udp" { // an interrupt cuts off what is on its way
				want = want[:min(len(b), len(want))]
			}
			if !bytes.Equal(b, want) || len(b) < len(in)*9/10 {
				t.Errorf("%d bytes went in, %d came out; the same: %v", len(in), len(b), bytes.Equal(b[:min(len(b), len(in))], in[:min(len(b), len(in))]))
			}
		})
	}
}

// The word decides where the stream does not.
func TestPassthroughWord(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	for word, c := range map[string]struct {
		in   []byte
		pass bool
	}{"1": {asTS(t), true}, "0": {strange(t), false}, "auto": {asTS(t), false}} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			r := startRelay(t)
			v := watch(t, r)
			got := play(t, r)
			p, err := push.New(push.Config{Input: write(t, "in.ts", c.in), URLs: []string{destinations(r)["fairlead"] + "&passthrough=" + word}, Logger: logger(t)})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Run(t.Context()); err != nil {
				t.Error(err)
			}
			v.saw(t, pictures)
			if b := <-got; bytes.Equal(b, c.in) != c.pass {
				t.Errorf("%d bytes in, %d out, the same %v", len(c.in), len(b), !c.pass)
			}
		})
	}
	if _, err := push.New(push.Config{Input: "-", URLs: []string{"fairlead://127.0.0.1:1/a/b?passthrough=yes"}}); err == nil || !strings.Contains(err.Error(), "passthrough") {
		t.Errorf("%v", err)
	}
}

// MPEG-2 video, AC-3 and MP2, as contribution encoders make them: no frame of it is one of ours, and all of it arrives.
func TestContributionStreamPassesThrough(t *testing.T) {
	need.RealTime(t)
	ffmpeg, ffprobe := need.Program(t, "ffmpeg"), need.Program(t, "ffprobe")
	t.Parallel()
	dir := t.TempDir()
	file, copied := filepath.Join(dir, "in.ts"), filepath.Join(dir, "out.ts")
	if out, err := exec.CommandContext(t.Context(), ffmpeg, "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-map", "0:v", "-map", "1:a", "-map", "1:a", "-c:v", "mpeg2video", "-g", "12", "-b:v", "1M", "-c:a:0", "ac3", "-c:a:1", "mp2", "-t", "2", "-f", "mpegts", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	in, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := startRelay(t)
	got := play(t, r)
	p, err := push.New(push.Config{Input: file, URLs: []string{destinations(r)["fairlead"]}, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := <-got
	if !bytes.Equal(b, in) {
		t.Errorf("%d bytes in, %d out", len(in), len(b))
	}
	if err := os.WriteFile(copied, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), ffprobe, "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", copied).CombinedOutput()
	for _, codec := range []string{"mpeg2video", "ac3", "mp2"} {
		if err != nil || !strings.Contains(string(out), codec) {
			t.Errorf("no %s: %v\n%s", codec, err, out)
		}
	}
}
