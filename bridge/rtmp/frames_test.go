package rtmp

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/media"
)

func testConfigs(t testing.TB) (h264, h264b, aac *media.Config) {
	t.Helper()
	sps := []byte{0x67, 0x64, 0x00, 0x0c, 0xac, 0x3b, 0x50, 0xb0, 0x4b, 0x42, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x3d, 0x08}
	h264, err := media.NewH264Config([][]byte{sps}, [][]byte{{0x68, 0xee, 0x3c, 0x80}})
	if err != nil {
		t.Fatal(err)
	}
	if h264b, err = media.NewH264Config([][]byte{sps}, [][]byte{{0x68, 0xee, 0x3c, 0x81}}); err != nil {
		t.Fatal(err)
	}
	if aac, err = media.NewAACConfig([]byte{0x12, 0x10}); err != nil {
		t.Fatal(err)
	}
	return h264, h264b, aac
}

// Each step is one frame and what must be sent for it: m metadata, H and A sequence headers, v and a frames.
func TestFramesBecomeMessages(t *testing.T) {
	h264, h264b, aac := testConfigs(t)
	same := *h264
	w := NewFrameWriter(newMediaWriter(100, 1), 10*time.Second, true)
	r := NewReader(Limits{})
	r.chunkSize = 100
	at := func(ms int) time.Duration { return 10*time.Second + time.Duration(ms)*time.Millisecond }
	for _, step := range []struct {
		why   string
		f     media.Frame
		kinds string
		ms    uint32
	}{
		{"from before the start", media.Frame{Track: 1, Codec: media.AAC, DTS: at(-1), PTS: at(-1), Config: aac}, "", 0},
		{"the first frame: everything at its time but the metadata", media.Frame{Codec: media.H264, Flags: media.Key, DTS: at(5), PTS: at(85), Config: h264}, "mHAv", 5},
		{"audio", media.Frame{Track: 1, Codec: media.AAC, DTS: at(7), PTS: at(7), Config: aac}, "a", 7},
		{"a second audio track", media.Frame{Track: 2, Codec: media.AAC, DTS: at(7), PTS: at(7), Config: aac}, "", 0},
		{"an equal configuration in another place", media.Frame{Codec: media.H264, DTS: at(45), PTS: at(45), Config: &same}, "v", 45},
		{"another configuration: its header at the same time", media.Frame{Codec: media.H264, Flags: media.Key, DTS: at(85), PTS: at(85), Config: h264b}, "mHv", 85},
	} {
		f := step.f
		f.Payload = bytes.Repeat([]byte{0, 0, 0, 1, 0x65}, 60)
		b := bytes.Join(w.AppendFrame(nil, &f, []*media.Config{h264, aac}), nil)
		w.Flushed()
		msgs, err := readAll(t, r, b, len(b)+1)
		if err != nil {
			t.Fatal(err)
		}
		var kinds strings.Builder
		for _, m := range msgs {
			switch {
			case m.Type == TypeDataAMF0 && bytes.Contains(m.Payload, []byte("@setDataFrame")):
				kinds.WriteString("m")
				if Script(m)[3] != 'o' {
					t.Errorf("%s: script %q", step.why, Script(m))
				}
			case m.Type == TypeVideo && m.Payload[1] == 0:
				kinds.WriteString("H")
			case m.Type == TypeVideo:
				kinds.WriteString("v")
				want, _ := flv.AppendFrame(nil, &f)
				if !bytes.Equal(m.Payload, want) {
					t.Errorf("%s: body %x, want %x", step.why, m.Payload, want)
				}
			case m.Payload[1] == 0:
				kinds.WriteString("A")
			default:
				kinds.WriteString("a")
			}
			want := step.ms
			if m.Type == TypeDataAMF0 && step.kinds == "mHAv" { // the first metadata stands at 0
				want = 0
			}
			if m.Timestamp != want || m.Stream != 1 {
				t.Errorf("%s: at %d on stream %d, want %d on 1", step.why, m.Timestamp, m.Stream, want)
			}
		}
		if kinds.String() != step.kinds {
			t.Errorf("%s: %q, want %q", step.why, kinds.String(), step.kinds)
		}
	}
	if st := w.Stats(); st.Frames != 4 || st.Early != 1 || st.Extra != 1 || st.Configs != 3 {
		t.Errorf("stats = %+v", st)
	}
}

func TestFrameWriterAllocates(t *testing.T) {
	if raceEnabled {
		t.Log("allocation counts mean nothing under -race")
		return
	}
	h264, _, aac := testConfigs(t)
	w := NewFrameWriter(newMediaWriter(4096, 1), 0, false)
	v := media.Frame{Codec: media.H264, Config: h264, Payload: make([]byte, 20_000)}
	a := media.Frame{Track: 1, Codec: media.AAC, Config: aac, Payload: make([]byte, 300)}
	var list [][]byte
	tracks := []*media.Config{h264, aac}
	both := func() {
		list = w.AppendFrame(list[:0], &v, tracks)
		list = w.AppendFrame(list, &a, tracks)
		w.Flushed()
		v.DTS += 33 * time.Millisecond
		v.PTS, a.DTS, a.PTS = v.DTS, v.DTS, v.DTS
	}
	both()
	if n := testing.AllocsPerRun(100, both); n != 0 {
		t.Errorf("%v allocs for a picture and its audio, want 0", n)
	}
}

func TestUnwrap(t *testing.T) {
	const day = 24 * time.Hour
	var u Unwrapper
	in := []uint32{1<<32 - 40, 1<<32 - 20, 0, 20, 1<<32 - 10, 30, 1 << 30, 1 << 31, 3 << 30, 0}
	var got []time.Duration
	for _, ms := range in {
		got = append(got, u.Unwrap(ms)/time.Millisecond)
	}
	want := []time.Duration{1<<32 - 40, 1<<32 - 20, 1 << 32, 1<<32 + 20, 1<<32 - 10, 1<<32 + 30, 1<<32 + 1<<30, 1<<32 + 1<<31, 1<<32 + 3<<30, 2 << 32}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if end := u.Unwrap(1); end < 99*day {
		t.Errorf("two wraps are %v", end)
	}
}
