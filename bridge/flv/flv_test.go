package flv

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"os"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/amf"
	"github.com/fairlead-live/fairlead/bridge/media"
)

// A 640x360 baseline SPS and its PPS as x264 writes them.
var (
	testSPS = []byte{0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x0f, 0x16, 0x2e, 0x48}
	testPPS = []byte{0x68, 0xcb, 0x83, 0xcb, 0x20}
)

func h264Config(t testing.TB) *media.Config {
	t.Helper()
	c, err := media.NewH264Config([][]byte{testSPS}, [][]byte{testPPS})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestH264RoundTrip(t *testing.T) {
	c := h264Config(t)
	head, err := AppendConfig(nil, c)
	if err != nil {
		t.Fatal(err)
	}
	var p Parser
	if f := p.Parse(TagVideo, 0, head); f != nil || !p.Video().Equal(c) {
		t.Fatalf("sequence header: frame %v, config %+v", f, p.Video())
	}
	in := &media.Frame{Codec: media.H264, DTS: 40 * time.Millisecond, PTS: 120 * time.Millisecond, Flags: media.Key,
		Payload: media.AppendNAL(nil, []byte{0x65, 1, 2, 3})}
	body, err := AppendFrame(nil, in)
	if err != nil {
		t.Fatal(err)
	}
	out := p.Parse(TagVideo, in.DTS, body)
	if out == nil || out.PTS != in.PTS || out.DTS != in.DTS || out.Flags != in.Flags || !bytes.Equal(out.Payload, in.Payload) {
		t.Errorf("got %+v", out)
	}
}

func TestAudioRoundTrip(t *testing.T) {
	aac, err := media.NewAACConfig([]byte{0x11, 0x90})
	if err != nil {
		t.Fatal(err)
	}
	opus, _ := media.NewOpusConfig(2)
	for _, c := range []*media.Config{aac, opus} {
		var p Parser
		head, err := AppendConfig(nil, c)
		if err != nil {
			t.Fatal(err)
		}
		if p.Parse(TagAudio, 0, head); !p.Audio().Equal(c) {
			t.Errorf("%v: config came back as %+v", c.Codec, p.Audio())
		}
		in := &media.Frame{Track: 1, Codec: c.Codec, Flags: media.Key, Payload: []byte{1, 2, 3}}
		body, _ := AppendFrame(nil, in)
		if out := p.Parse(TagAudio, 0, body); out == nil || !bytes.Equal(out.Payload, in.Payload) || out.Codec != c.Codec {
			t.Errorf("%v: got %+v", c.Codec, out)
		}
	}
}

func TestDropsAreCounted(t *testing.T) {
	var p Parser
	head, _ := AppendConfig(nil, h264Config(t))
	for _, c := range []struct {
		why  string
		typ  TagType
		body []byte
		want DropReason
	}{
		{"nothing", TagVideo, nil, DropEmpty},
		{"one byte", TagVideo, []byte{0x17}, DropTruncated},
		{"Sorenson", TagVideo, []byte{0x12, 0, 0, 0, 0, 1}, DropUnsupported},
		{"frame before header", TagVideo, []byte{0x27, 1, 0, 0, 0, 0, 0, 0, 1, 0x41}, DropNoConfig},
		{"broken header", TagVideo, []byte{0x17, 0, 0, 0, 0, 1, 2, 3}, DropBadConfig},
		{"good header", TagVideo, head, DropNone},
		{"length beyond the end", TagVideo, []byte{0x27, 1, 0, 0, 0, 0, 0, 0, 9, 0x41}, DropBadNAL},
		{"speex", TagAudio, []byte{0xb2, 1}, DropUnsupported},
		{"script", TagScript, []byte{2, 0, 0}, DropUnsupported},
	} {
		before := p.Stats()
		p.Parse(c.typ, 0, c.body)
		after := p.Stats()
		if c.want != DropNone && after.Dropped(c.want) != before.Dropped(c.want)+1 {
			t.Errorf("%s: drops %v, want one more %v", c.why, after.Drops, c.want)
		}
		checkSum(t, after)
	}
}

func checkSum(t testing.TB, s Stats) {
	t.Helper()
	sum := s.Frames + s.Configs
	for _, n := range s.Drops {
		sum += n
	}
	if sum != s.Bodies {
		t.Fatalf("bodies %d != frames + configs + drops %d", s.Bodies, sum)
	}
}

func TestReadsWhatFFmpegWritesAndBack(t *testing.T) {
	ffmpeg := need.Program(t, "ffmpeg")
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.flv"), filepath.Join(dir, "out.flv")
	run(t, ffmpeg, "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=30:d=2", "-f", "lavfi", "-i", "sine=d=2",
		"-c:v", "libx264", "-bf", "2", "-g", "30", "-c:a", "aac", "-y", in)
	b, err := os.ReadFile(in)
	if err != nil {
		t.Fatal(err)
	}
	var d Demuxer
	var p Parser
	w := AppendFileHeader(nil, true, true)
	wrote := map[*media.Config]bool{}
	frames := 0
	for len(b) > 0 {
		n := min(len(b), 1000)
		if err := d.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
		for tag, ok := d.Next(); ok; tag, ok = d.Next() {
			if tag.Type == TagScript {
				if v, err := amf.Decode(tag.Body); err != nil || v[0] != "onMetaData" {
					t.Errorf("metadata %v %v", v, err)
				}
				continue
			}
			f := p.Parse(tag.Type, tag.Time, tag.Body)
			if f == nil {
				continue
			}
			frames++
			if !wrote[f.Config] {
				wrote[f.Config] = true
				head, err := AppendConfig(nil, f.Config)
				if err != nil {
					t.Fatal(err)
				}
				w = AppendTag(w, tag.Type, uint32(Milliseconds(f.DTS)), head)
			}
			body, err := AppendFrame(nil, f)
			if err != nil {
				t.Fatal(err)
			}
			w = AppendTag(w, tag.Type, uint32(Milliseconds(f.DTS)), body)
		}
	}
	checkSum(t, p.Stats())
	if p.Video() == nil || p.Video().Width != 320 || p.Video().Height != 180 || frames < 60+80 {
		t.Errorf("%d frames, video %+v, stats %+v", frames, p.Video(), p.Stats())
	}
	if err := os.WriteFile(out, w, 0o600); err != nil {
		t.Fatal(err)
	}
	if msg := run(t, ffmpeg, "-v", "warning", "-i", out, "-f", "null", "-"); msg != "" {
		t.Errorf("ffmpeg says of what we wrote: %s", msg)
	}
	hash := func(f string) string {
		return run(t, ffmpeg, "-v", "error", "-i", f, "-c:v", "copy", "-an", "-f", "md5", "-")
	}
	if a, b := hash(in), hash(out); a != b {
		t.Errorf("video changed: %s, %s", a, b)
	}
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

func FuzzParser(f *testing.F) {
	head, _ := AppendConfig(nil, h264Config(f))
	f.Add([]byte(nil), byte(TagVideo), head)
	f.Add(head, byte(TagVideo), []byte{0x27, 1, 0, 0, 0, 0, 0, 0, 2, 0x41, 1})
	f.Add([]byte{0xaf, 0, 0x11, 0x90}, byte(TagAudio), []byte{0xaf, 1, 1})
	f.Add(append([]byte{0x90}, "hvc1"...), byte(TagVideo), append([]byte{0x97, 0, 0, 0x13}, "hvc1"...))
	f.Add([]byte{0x2f, 0xff, 0xfb, 0x90, 0}, byte(TagAudio), append([]byte{0x90}, "OpusOpusHead\x01\x02"...))
	f.Add(join(0x96, 0x10, "avc1", track(0, head[5:]), track(1, head[5:])), byte(TagVideo), join(0x96, 0x11, "avc1", track(1, []byte{0, 0, 0, 0, 0, 0, 1, 0x65}), track(0, []byte{0, 0, 0})))
	f.Add(join(0x95, 0x20, "Opus", track(0, []byte("OpusHead\x01\x02")), ".mp3", track(1, []byte{0xff})), byte(TagAudio), join(0x95, 0x01, "Opus", 0, 0xfc))
	f.Fuzz(func(t *testing.T, first []byte, typ byte, second []byte) {
		var p Parser
		for _, b := range [][]byte{first, second} {
			if fr := p.Parse(TagType(typ), 0, b); fr != nil {
				if fr.Config == nil || len(fr.Payload) == 0 {
					t.Fatalf("frame without configuration or payload: %+v", fr)
				}
				if _, err := AppendFrame(nil, fr); err != nil {
					t.Fatal(err)
				}
				if HasConfig(fr.Codec) {
					if _, err := AppendConfig(nil, fr.Config); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		checkSum(t, p.Stats())
	})
}

func FuzzDemuxer(f *testing.F) {
	s := AppendTag(AppendFileHeader(nil, true, true), TagVideo, 5, []byte{0x17, 0, 0, 0, 0})
	f.Add(s, 3)
	f.Add(AppendTag(s, TagScript, 1<<31, nil), 100)
	f.Fuzz(func(t *testing.T, b []byte, step int) {
		var d Demuxer
		step = max(1, step&0xff)
		for len(b) > 0 {
			n := min(step, len(b))
			if d.Write(b[:n]) != nil {
				return
			}
			b = b[n:]
			for _, ok := d.Next(); ok; _, ok = d.Next() {
			}
		}
	})
}
