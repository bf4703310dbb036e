package mpegts

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/media"
)

func mux(t testing.TB, frames []*media.Frame) []byte {
	t.Helper()
	m, err := NewMuxer(TracksOf(frames...))
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for _, f := range frames {
		b = m.AppendFrame(b, f)
	}
	if s := m.Stats(); s.Frames != uint64(len(frames)) || s.Dropped != 0 || s.Packets*PacketSize != uint64(len(b)) {
		t.Fatalf("%d frames in, %d bytes out, %+v", len(frames), len(b), s)
	}
	return b
}

// sameFrames holds what was read against what was written; times may differ by the rounding to ticks.
func sameFrames(t testing.TB, got, want []*media.Frame) {
	t.Helper()
	for track := range uint8(maxTracks) {
		g, w := pick(got, track), pick(want, track)
		if len(g) != len(w) {
			t.Fatalf("track %d: %d frames, want %d", track, len(g), len(w))
		}
		for i := range w {
			switch {
			case !bytes.Equal(g[i].Payload, w[i].Payload):
				t.Fatalf("track %d frame %d: other bytes", track, i)
			case media.Ticks(g[i].DTS) != media.Ticks(w[i].DTS) || media.Ticks(g[i].PTS) != media.Ticks(w[i].PTS):
				t.Fatalf("track %d frame %d: %v %v, want %v %v", track, i, g[i].DTS, g[i].PTS, w[i].DTS, w[i].PTS)
			case g[i].Flags != w[i].Flags || !g[i].Config.Equal(w[i].Config):
				t.Fatalf("track %d frame %d: flags %v, want %v, or another configuration", track, i, g[i].Flags, w[i].Flags)
			}
		}
	}
}

// TestMuxRealStreams: what the muxer writes of real frames is read back the same, and ffmpeg decodes it in silence.
func TestMuxRealStreams(t *testing.T) {
	for _, c := range []struct {
		name  string
		codec []string
		long  bool
	}{
		{"H264 with B-frames, AAC", []string{"-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "30", "-pix_fmt", "yuv420p", "-c:a", "aac"}, false},
		{"H265, Opus", []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=30", "-pix_fmt", "yuv420p", "-c:a", "libopus"}, true},
		{"MP3 alone", []string{"-vn", "-c:a", "libmp3lame", "-ar", "44100"}, true},
		{"MPEG-2 MP3 alone", []string{"-vn", "-c:a", "libmp3lame", "-ar", "22050"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.long && testing.Short() {
				t.Skip("long")
			}
			frames := demux(t, NewDemuxer(Config{}), remux(t, encode(t, 2, c.codec...), "-f", "mpegts"), 1316)
			out := mux(t, frames)
			d := NewDemuxer(Config{EarlyAfter: 1})
			sameFrames(t, demux(t, d, out, 1316), frames)
			if s := d.Stats(); s.ByNext > 1 || s.Glued+s.EarlyOff > 0 || dropped(s) != "" {
				t.Errorf("all but the first picture should end at their stuffing: %+v", s)
			}
			checkIntervals(t, out, 60) // 40 and what audio that runs ahead in ffmpeg's order adds
			file := filepath.Join(t.TempDir(), "out.ts")
			if err := os.WriteFile(file, out, 0o600); err != nil {
				t.Fatal(err)
			}
			said, err := exec.Command(need.Program(t, "ffmpeg"), "-hide_banner", "-nostdin", "-v", "warning", "-xerror", "-i", file, "-f", "null", "-").CombinedOutput()
			if err != nil || len(said) > 0 {
				t.Errorf("ffmpeg: %v\n%s", err, said)
			}
			if n := len(probe(t, out)); n != len(frames) {
				t.Errorf("ffprobe sees %d packets, want %d", n, len(frames))
			}
		})
	}
}

// checkIntervals checks the distances of PAT (500 ms) and PCR (limit in ms) in media time, and the continuity counters.
func checkIntervals(t *testing.T, ts []byte, limit int64) {
	t.Helper()
	last := int64(-1)
	var patAt, now int64
	cc := map[uint16]uint8{}
	for ; len(ts) > 0; ts = ts[PacketSize:] {
		var p packet
		if r := p.parse(ts[:PacketSize]); r != dropNone {
			t.Fatalf("wrote a packet that is %v", r)
		}
		if was, ok := cc[p.pid]; ok && len(p.payload) > 0 && p.cc != (was+1)&15 {
			t.Fatalf("PID %#x: continuity counter %d after %d", p.pid, p.cc, was)
		}
		if len(p.payload) > 0 {
			cc[p.pid] = p.cc
		} else if was, ok := cc[p.pid]; ok && was != p.cc {
			t.Fatalf("PID %#x: a packet without payload moves the continuity counter", p.pid)
		}
		if ts[3]&0x20 != 0 && ts[4] > 0 && ts[5]&0x10 != 0 {
			b := ts[6:]
			pcr := int64(b[0])<<25 | int64(b[1])<<17 | int64(b[2])<<9 | int64(b[3])<<1 | int64(b[4])>>7
			if last >= 0 && (pcr <= last || pcr-last > 90*limit) {
				t.Fatalf("PCR %d after %d", pcr, last)
			}
			if last < 0 {
				patAt = pcr
			}
			last, now = pcr, pcr
		}
		if p.pid == 0 {
			if last >= 0 && now-patAt > 90*500 {
				t.Fatalf("%d ms between two PATs", (now-patAt)/90)
			}
			patAt = now
		}
	}
}

func TestMuxerRefuses(t *testing.T) {
	for _, tracks := range [][]Track{
		nil,
		{{Codec: media.AV1}},
		{{Codec: media.H264}, {Codec: media.AAC}},
		{{Codec: media.H264, PID: 5}},
		{{Codec: media.H264, PID: 0x200}, {Index: 1, Codec: media.AAC, PID: 0x200}},
		make([]Track, maxStreams+1),
	} {
		if _, err := NewMuxer(tracks); !errors.Is(err, ErrTrack) {
			t.Errorf("NewMuxer(%v): %v, want ErrTrack", tracks, err)
		}
	}
	m, err := NewMuxer([]Track{{Codec: media.H264}, {Index: 1, Codec: media.AAC}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*media.Frame{
		{Codec: media.H264, Payload: []byte{0, 0, 0, 9, 1}},
		{Codec: media.H265, Payload: []byte{0, 0, 0, 1, 1}},
		{Track: 1, Codec: media.AAC, Payload: []byte{1}},
		{Track: 1, Codec: media.AAC, Config: &media.Config{ASC: []byte{0x11, 0x90}}},
		{Track: 2, Codec: media.AAC, Payload: []byte{1}},
	} {
		if b := m.AppendFrame(nil, f); len(b) > 0 {
			t.Errorf("wrote %+v", f)
		}
	}
	if s := m.Stats(); s.Dropped != 5 || s.Frames != 0 {
		t.Errorf("got %+v, want 5 dropped", s)
	}
}

// testFrames makes pictures and audio frames of the given sizes, four audio frames to three pictures.
func testFrames(t testing.TB, codec media.Codec, start time.Duration, sizes []int) []*media.Frame {
	t.Helper()
	vcfg, err := media.NewH264Config([][]byte{testSPS}, [][]byte{testPPS})
	key, other := byte(0x65), byte(0x41)
	if codec == media.H265 {
		vcfg, err = media.NewH265Config([][]byte{testVPS265}, [][]byte{testSPS265}, [][]byte{testPPS265})
		key, other = 0x26, 0x02
	}
	if err != nil {
		t.Fatal(err)
	}
	acfg, err := media.NewAACConfig([]byte{0x11, 0x90})
	if err != nil {
		t.Fatal(err)
	}
	var out []*media.Frame
	for i, n := range sizes {
		at := start + time.Duration(i)*33*time.Millisecond
		f := &media.Frame{Codec: codec, Config: vcfg, DTS: at, PTS: at + time.Duration(i%3)*33*time.Millisecond}
		if i%10 == 0 {
			f.Flags, f.Payload = media.Key, media.AppendNAL(nil, slice(key, max(n, 2)))
		} else {
			f.Payload = media.AppendNAL(media.AppendNAL(nil, slice(other, max(n, 2))), slice(other, 20))
		}
		out = append(out, f, &media.Frame{
			Track: 1, Codec: media.AAC, Flags: media.Key, Config: acfg, DTS: at, PTS: at, Payload: slice(0x21, max(n%300, 1)),
		})
	}
	return out
}

// TestEveryPictureEndsStuffed: whatever the size, the last packet has stuffing and no other does.
func TestEveryPictureEndsStuffed(t *testing.T) {
	sizes := make([]int, 800)
	for i := range sizes {
		sizes[i] = 1 + i
	}
	for _, codec := range []media.Codec{media.H264, media.H265} {
		frames := testFrames(t, codec, time.Second, sizes)
		d := NewDemuxer(Config{EarlyAfter: 1})
		ts := mux(t, frames)
		checkIntervals(t, ts, 40)
		sameFrames(t, demux(t, d, ts, 1316), frames)
		if s := d.Stats(); s.Early != 799 || s.ByNext != 1 || s.Glued != 0 {
			t.Errorf("%v: %d early, %d by the next, %d glued; want 799, 1, 0", codec, s.Early, s.ByNext, s.Glued)
		}
	}
}

// TestWraps: times go on across the wrap of 33 bits, several times, with audio beside video to the tick.
func TestWraps(t *testing.T) {
	const wraps = 3
	frames := testFrames(t, media.H264, 0, make([]int, 3000))
	step := media.FromTicks(wrap33) * wraps / 3000 // about 95 s a frame
	for i, f := range frames {
		f.DTS = step * time.Duration(i/2)
		f.PTS = f.DTS
		f.Flags &^= media.Discontinuity
	}
	d := NewDemuxer(Config{})
	got := demux(t, d, mux(t, frames), 1316)
	for _, f := range got {
		f.Flags &^= media.Discontinuity // 95 s are one
	}
	sameFrames(t, got, frames)
	if last := got[len(got)-1].DTS; last < 79*time.Hour {
		t.Errorf("the last frame is at %v", last)
	}
}

func TestMuxerAllocatesNothing(t *testing.T) {
	if raceEnabled {
		return
	}
	frames := testFrames(t, media.H264, time.Second, []int{9000, 3000, 2000, 4000, 3000, 2000, 1000, 500, 5000, 300})
	m, err := NewMuxer(TracksOf(frames...))
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]byte, 0, 1<<20)
	if n := testing.AllocsPerRun(10, func() {
		for _, f := range frames {
			dst = m.AppendFrame(dst[:0], f)
		}
	}); n != 0 {
		t.Errorf("%v allocations for %d frames", n, len(frames))
	}
}

// FuzzRoundTrip: what the muxer writes, the demuxer reads, whatever the sizes and times.
func FuzzRoundTrip(f *testing.F) {
	f.Add(uint64(1), uint8(10), int64(0), false)
	f.Add(uint64(2), uint8(40), int64(wrap33-90000), true)
	f.Add(uint64(3), uint8(3), int64(-5), false)
	f.Fuzz(func(t *testing.T, seed uint64, n uint8, start int64, hevc bool) {
		rng := rand.New(rand.NewPCG(seed, 7))
		sizes := make([]int, n)
		for i := range sizes {
			sizes[i] = 1 + rng.IntN(1<<rng.IntN(14))
		}
		codec := media.H264
		if hevc {
			codec = media.H265
		}
		start &= wrap33 - 1
		frames := testFrames(t, codec, media.FromTicks(start), sizes)
		if len(frames) == 0 {
			return
		}
		sameFrames(t, demux(t, NewDemuxer(Config{EarlyAfter: 1 + int(seed%4)}), mux(t, frames), 1+rng.IntN(3000)), frames)
	})
}
