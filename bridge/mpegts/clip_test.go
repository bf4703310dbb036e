package mpegts

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/media"
)

// ffmpeg runs ffmpeg and fails the test on an error or, at its log level, a warning.
func ffmpeg(t testing.TB, args ...string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(need.Program(t, "ffmpeg"), append([]string{"-hide_banner", "-nostdin", "-y", "-loglevel", "error"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil || out.Len() > 0 {
		t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, &out)
	}
}

// encode makes a NUT file: it keeps timestamps as they are, and every other form is copied from it.
func encode(t testing.TB, seconds int, codec ...string) string {
	t.Helper()
	nut := filepath.Join(t.TempDir(), "clip.nut")
	args := []string{
		"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30,noise=alls=12:allf=t", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-t", strconv.Itoa(seconds), "-threads", "2",
	}
	ffmpeg(t, append(append(args, codec...), nut)...)
	return nut
}

// remux copies a clip into another form and returns its bytes.
func remux(t testing.TB, nut string, args ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	ffmpeg(t, append(append([]string{"-i", nut, "-c", "copy"}, args...), out)...)
	return readFile(t, out)
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// probed is a packet as ffprobe sees it.
type probed struct {
	Stream int   `json:"stream_index"`
	PTS    int64 `json:"pts"`
	DTS    int64 `json:"dts"`
}

func probe(t testing.TB, ts []byte) []probed {
	t.Helper()
	file := filepath.Join(t.TempDir(), "probe.ts")
	if err := os.WriteFile(file, ts, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(need.Program(t, "ffprobe"), "-v", "error", "-of", "json", "-show_entries", "packet=stream_index,pts,dts", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Packets []probed }
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	return all.Packets
}

// demux writes b in pieces of n bytes, 1 ms apart, and returns all frames.
func demux(t testing.TB, d *Demuxer, b []byte, n int) []*media.Frame {
	t.Helper()
	var out []*media.Frame
	now := time.Unix(1_700_000_000, 0)
	drain := func() {
		for f, ok := d.Next(); ok; f, ok = d.Next() {
			out = append(out, f)
		}
	}
	for len(b) > 0 {
		k := min(n, len(b))
		d.Write(now, b[:k])
		drain()
		b = b[k:]
		now = now.Add(time.Millisecond)
	}
	d.Flush()
	drain()
	checkSums(t, d)
	return out
}

// checkSums is the rule that nothing vanishes.
func checkSums(t testing.TB, d *Demuxer) {
	t.Helper()
	s := d.Stats()
	packets, units := s.Used, s.Frames
	for _, r := range DropReasons() {
		if r.IsPacket() {
			packets += s.Drops[r]
		}
		if r.IsUnit() {
			units += s.Drops[r]
		}
	}
	if s.Bytes != PacketSize*s.Packets+s.SkippedBytes+uint64(s.PendingBytes) || packets != s.Packets || units != s.Units {
		t.Fatalf("sums do not hold: packets %d, units %d in %+v", packets, units, s)
	}
}

// dropped lists what was dropped and should not have been.
func dropped(s Stats) string {
	var out []string
	for _, r := range DropReasons() {
		if n := s.Drops[r]; n > 0 && r != DropNull && r != DropUnknownPID {
			out = append(out, r.String()+"="+strconv.FormatUint(n, 10))
		}
	}
	return strings.Join(out, " ")
}

// pick returns the frames of one track.
func pick(frames []*media.Frame, track uint8) []*media.Frame {
	var out []*media.Frame
	for _, f := range frames {
		if f.Track == track {
			out = append(out, f)
		}
	}
	return out
}

// naiveNALs splits a byte stream the slow, obvious way, and leaves out what frames leave out.
func naiveNALs(codec media.Codec, b []byte) [][]byte {
	var out [][]byte
	start := -1
	end := func(to int) {
		if start < 0 {
			return
		}
		n := bytes.TrimRight(b[start:to], "\x00")
		if len(n) == 0 {
			return
		}
		skip := false
		if codec == media.H264 {
			t := media.H264NALType(n)
			skip = t == media.H264NALAUD || t == media.H264NALFiller || t == media.H264NALSPS || t == media.H264NALPPS
		} else {
			t := media.H265NALType(n)
			skip = t >= media.H265NALVPS && t <= media.H265NALAUD || t == media.H265NALFiller
		}
		if !skip {
			out = append(out, n)
		}
	}
	for i := 0; i+3 <= len(b); i++ {
		if b[i] == 0 && b[i+1] == 0 && b[i+2] == 1 {
			end(i)
			start = i + 3
			i += 2
		}
	}
	end(len(b))
	return out
}

func nalsOf(frames []*media.Frame) [][]byte {
	var out [][]byte
	for _, f := range frames {
		for n := range media.NALs(f.Payload) {
			out = append(out, n)
		}
	}
	return out
}
