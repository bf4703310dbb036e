package watch

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
)

// A baseline SPS (320×240) and its PPS, and slices of pictures nobody decodes.
var (
	sps = []byte{0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xec, 0x04, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x0c, 0x83, 0xc5, 0x0a, 0xa8}
	pps = []byte{0x68, 0xce, 0x0f, 0xc8}
)

const interval = 20 * time.Millisecond

func config(t testing.TB) *media.Config {
	t.Helper()
	c, err := media.NewH264Config([][]byte{sps}, [][]byte{pps})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// picture i: a key frame every 25.
func picture(c *media.Config, i int) *media.Frame {
	f := &media.Frame{Codec: media.H264, Config: c, DTS: time.Duration(i) * interval, PTS: time.Duration(i) * interval}
	nal := []byte{0x41, 0x9a, byte(i), byte(i >> 8), 1, 2, 3, 4}
	if i%25 == 0 {
		f.Flags, nal[0] = media.Key, 0x65
	}
	f.Payload = media.AppendNAL(nil, nal)
	return f
}

func tags(t testing.TB, c *media.Config, from, to int) []byte {
	t.Helper()
	var out []byte
	if from == 0 {
		body, err := flv.AppendConfig(nil, c)
		if err != nil {
			t.Fatal(err)
		}
		out = flv.AppendTag(flv.AppendFileHeader(nil, true, false), flv.TagVideo, 0, body)
	}
	for i := from; i < to; i++ {
		f := picture(c, i)
		body, err := flv.AppendFrame(nil, f)
		if err != nil {
			t.Fatal(err)
		}
		out = flv.AppendTag(out, flv.TagVideo, uint32(flv.Milliseconds(f.DTS)), body)
	}
	return out
}

// A live stream over HTTP that is held back for 600 ms once: that is what the monitor reports, and nothing else.
func TestHTTPFLVHeldBackOnce(t *testing.T) {
	c := config(t)
	synctest.Test(t, func(t *testing.T) {
		serve := func(conn net.Conn) {
			defer conn.Close()
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
				t.Error(err)
			}
			start := time.Now()
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
			for i := range 100 {
				due := time.Duration(i) * interval
				if i >= 50 && i < 80 {
					due = 80 * interval
				}
				time.Sleep(time.Until(start.Add(due)))
				_, _ = conn.Write(tags(t, c, i, i+1))
			}
		}
		network := Network{Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go serve(theirs)
			return ours, nil
		}}
		m := NewMonitor(time.Now(), []time.Duration{200 * time.Millisecond})
		err := Read(t.Context(), "http://server/live/x.flv", network, m.Observe)
		if !errors.Is(err, ErrEnded) {
			t.Fatalf("Read = %v, want ErrEnded", err)
		}
		r := m.Report(time.Now())
		p := r.Score.Players[0]
		if r.Score.Frames != 100 || r.Score.Missing != 0 || p.Stalls != 1 || math.Abs(p.StallSeconds-0.42) > 0.001 {
			t.Errorf("got %+v, want 100 frames and one stall of 0.42 s", r.Score)
		}
		if !strings.Contains(r.Line(), "stalls 1,") || !strings.Contains(r.Line(), "H264 320x240") {
			t.Errorf("line %q", r.Line())
		}
	})
}

func TestHTTPErrors(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/missing":
			http.NotFound(w, r)
		case "/html":
			_, _ = w.Write(bytes.Repeat([]byte("<html>"), 100))
		case "/short":
		}
	}))
	defer srv.Close()
	for path, want := range map[string]string{"/missing": "404", "/html": ErrFormat.Error(), "/short": ErrEnded.Error()} {
		err := Read(t.Context(), srv.URL+path, Network{}, func(*media.Frame) { t.Error("a frame") })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if err := Read(t.Context(), "gopher://x", Network{}, nil); !errors.Is(err, ErrScheme) {
		t.Errorf("got %v, want ErrScheme", err)
	}
	if err := Read(t.Context(), filepath.Join(t.TempDir(), "no.ts"), Network{}, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want not exist", err)
	}
}

// A server in memory plays ten pictures.
func TestRTMPPlay(t *testing.T) {
	c := config(t)
	network := Network{Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go serve(t, c, theirs)
		return ours, nil
	}}
	var got []*media.Frame
	err := Read(t.Context(), "rtmp://server/live/x", network, func(f *media.Frame) { got = append(got, f) })
	if !errors.Is(err, ErrEnded) {
		t.Fatalf("Read = %v, want ErrEnded", err)
	}
	if len(got) != 10 || !got[0].Flags.Has(media.Key) || got[9].DTS != 9*interval || got[0].Arrival.IsZero() {
		t.Errorf("got %d frames: %+v", len(got), got)
	}
}

func serve(t *testing.T, c *media.Config, conn net.Conn) {
	defer conn.Close()
	s := rtmp.NewServer(rtmp.ServerConfig{Random: make([]byte, rtmp.RandomSize)})
	b := make([]byte, 64<<10)
	for {
		n, err := conn.Read(b)
		if err != nil {
			return
		}
		for in := b[:n]; ; {
			ev, used, err := s.Feed(in)
			if err != nil {
				t.Errorf("server: %v", err)
				return
			}
			in = in[used:]
			if ev.Kind == rtmp.EventPlay {
				s.Accept()
			}
			if _, err := conn.Write(s.Output()); err != nil {
				return
			}
			if ev.Kind == rtmp.EventPlay {
				body, _ := flv.AppendConfig(nil, c)
				out := s.Media().Append(nil, rtmp.TypeVideo, 0, body)
				for i := range 10 {
					body, _ := flv.AppendFrame(nil, picture(c, i))
					out = s.Media().Append(out, rtmp.TypeVideo, uint32(20*i), body)
				}
				_, _ = conn.Write(out)
				return
			}
			if ev.Kind == rtmp.EventNone {
				break
			}
		}
	}
}

// ffmpeg's transport stream arrives whole from a file and by UDP, with and without RTP.
func TestTransportStream(t *testing.T) {
	ffmpeg := need.Program(t, "ffmpeg")
	path := filepath.Join(t.TempDir(), "clip.ts")
	cmd := exec.CommandContext(t.Context(), ffmpeg, "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25", "-f", "lavfi", "-i", "sine",
		"-t", "2", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "25", "-c:a", "aac", "-f", "mpegts", path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	video := func(into *int) func(*media.Frame) {
		return func(f *media.Frame) {
			if f.Codec.IsVideo() {
				*into++
			}
		}
	}
	n := 0
	if err := Read(t.Context(), path, Network{}, video(&n)); !errors.Is(err, ErrEnded) || n != 50 {
		t.Errorf("file: %d pictures, %v; want 50, ErrEnded", n, err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range [][]byte{nil, {0x80, 33, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7}} {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), need.Patience)
		n := 0
		done := make(chan error)
		network := Network{ListenPacket: func(context.Context, string, string) (net.PacketConn, error) { return c, nil }}
		go func() {
			done <- Read(ctx, "udp://"+c.LocalAddr().String(), network, func(f *media.Frame) {
				if video(&n)(f); n == 49 { // the last picture's end is not known before the next
					cancel()
				}
			})
		}()
		out, err := net.Dial("udp", c.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		for rest := b; len(rest) > 0; {
			k := min(len(rest), 7*188)
			_, _ = out.Write(append(bytes.Clone(header), rest[:k]...))
			rest = rest[k:]
			time.Sleep(100 * time.Microsecond) // or a loaded machine drops datagrams on loopback
		}
		if err := <-done; !errors.Is(err, context.Canceled) || n < 49 {
			t.Errorf("udp, header of %d bytes: %d pictures, %v; want 49, canceled", len(header), n, err)
		}
		cancel()
		out.Close()
	}
}

func TestRepeatedPictureIsHeld(t *testing.T) {
	c := config(t)
	zero := time.Now()
	m := NewMonitor(zero, nil)
	for i := range 200 {
		f := picture(c, i)
		if i > 100 && i < 150 {
			f.Payload = picture(c, 100).Payload
		}
		f.Arrival = zero.Add(f.DTS)
		m.Observe(f)
	}
	r := m.Report(zero.Add(4 * time.Second))
	if r.Score.Held != 49 || r.Score.Players[0].Stalls != 1 {
		t.Errorf("held %d, stalls %d; want 49 and 1", r.Score.Held, r.Score.Players[0].Stalls)
	}
}

func FuzzParser(f *testing.F) {
	c := config(f)
	f.Add(tags(f, c, 0, 5), 7)
	f.Add(bytes.Repeat(append([]byte{0x47, 0x40, 0, 0x10}, make([]byte, 184)...), 4), 188)
	f.Add([]byte("FLVx"), 1)
	f.Add(bytes.Repeat([]byte{0x47}, 1000), 100)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		cut = max(1, min(cut, 4096))
		var p parser
		whole := func(f *media.Frame) {
			if f == nil || f.Codec == media.CodecNone {
				t.Error("a frame of nothing")
			}
		}
		for r := bytes.NewReader(b); ; {
			piece := make([]byte, cut)
			n, err := r.Read(piece)
			if p.write(time.Time{}, piece[:n], whole) != nil || err == io.EOF {
				break
			}
		}
		p.flush(whole)
	})
}
