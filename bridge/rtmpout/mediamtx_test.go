package rtmpout

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	benchclip "github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/hub"
)

// MediaMTX as the destination, where its program is on PATH: it sees one publish while the publisher goes and comes back with another clock, and
// its reader gets the encoder's pictures as they were. It reads slices and needs a real encoder's, so that it has no column of the table.
func TestMediaMTX(t *testing.T) {
	if testing.Short() {
		t.Skip("real programs: make test runs it")
	}
	t.Parallel()
	program, err := exec.LookPath("mediamtx")
	if err != nil {
		t.Log("mediamtx is not on PATH")
		return
	}
	ffmpeg := need.Program(t, "ffmpeg")
	dir, addr := t.TempDir(), freePort(t)
	conf, file, logFile := filepath.Join(dir, "mediamtx.yml"), filepath.Join(dir, "got.flv"), filepath.Join(dir, "log")
	text := fmt.Sprintf("logLevel: info\nrtsp: no\nhls: no\nwebrtc: no\nsrt: no\nmoq: no\nrtmpAddress: %s\npaths:\n  all_others:\n", addr)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(logFile)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, conf)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); _ = out.Close() })
	said := func() string { b, _ := os.ReadFile(logFile); return string(b) }

	h := hub.New(hub.Config{})
	defer h.Close()
	o, stop := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + addr + "/live/a#codecs=h264,aac")})
	src, err := benchclip.New()
	if err != nil {
		t.Fatal(err)
	}
	var sent [][]byte
	var reader *exec.Cmd
	for part := range 2 {
		pub, err := h.Publish("live/a", hub.PublisherInfo{})
		if err != nil {
			t.Fatal(err)
		}
		zero := time.Duration(-1)
		began := time.Now()
		for n := 0; n < 8*benchclip.FrameRate; {
			f := src.Next()
			if zero < 0 {
				zero = f.DTS
			}
			time.Sleep(time.Until(began.Add(f.DTS - zero)))
			g := *f
			g.DTS, g.PTS = f.DTS+time.Duration(part)*time.Hour, f.PTS+time.Duration(part)*time.Hour
			if g.Codec.IsVideo() {
				sent = append(sent, g.Payload)
				n++
			}
			if err := pub.WriteFrame(&g); err != nil {
				t.Fatal(err)
			}
			if reader == nil && strings.Contains(said(), "is publishing to path") {
				reader = exec.Command(ffmpeg, "-v", "error", "-i", "rtmp://"+addr+"/live/a", "-c", "copy", "-f", "flv", "-flush_packets", "1", file)
				reader.Stderr = out
				if err := reader.Start(); err != nil {
					t.Fatal(err)
				}
			}
		}
		pub.Close(nil)
		if part == 0 {
			time.Sleep(4 * time.Second)
		}
	}
	if reader == nil {
		t.Fatalf("it publishes to nothing: %s; %s", o.Stats().LastError, said())
	}
	waitFor(t, "the reader's file", func() bool {
		b, _ := os.ReadFile(file)
		return bytes.Contains(b, sent[len(sent)-10])
	})
	log := said()
	stop()
	_ = reader.Process.Kill()
	_ = reader.Wait()
	if n := strings.Count(log, "is publishing to path"); n != 1 || o.Stats().Publishes != 1 {
		t.Errorf("it saw %d publishes, want 1: %s", n, log)
	}
	var got [][]byte
	var last time.Duration
	for _, f := range framesOf(t, file) {
		if f.Codec.IsVideo() {
			if f.DTS < last {
				t.Errorf("time goes back from %v to %v", last, f.DTS)
			}
			last = f.DTS
			got = append(got, f.Payload)
		}
	}
	made := map[string]bool{} // the clip repeats itself, and the hold its last key frame
	for _, p := range sent {
		made[string(p)] = true
	}
	for i, p := range got {
		if !made[string(p)] {
			t.Errorf("picture %d is none of the encoder's", i)
		}
	}
	t.Logf("%d of %d pictures after the reader came", len(got), len(sent))
	if len(got) < len(sent)/2 {
		t.Errorf("%d of %d pictures came: %s", len(got), len(sent), log)
	}
}
