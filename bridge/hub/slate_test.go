package hub

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

const frameSamples = int(48000 * frameTime / time.Second)

// clipOf makes a clip of 25 pictures a second with a key frame each second, and sound when audio is not nil.
func clipOf(codec media.Codec, video, audio *media.Config, pictures int) (out []*media.Frame) {
	for n := range pictures {
		dts := time.Hour + time.Duration(n)*frameTime
		f := &media.Frame{Codec: codec, DTS: dts, PTS: dts + frameTime, Config: video, Payload: []byte{0xee, byte(n)}}
		if n%25 == 1 {
			f.Flags = media.Key
		}
		out = append(out, f)
	}
	for n := 0; audio != nil && n*1024 < pictures*frameSamples; n++ {
		dts := time.Hour + time.Duration(n)*1024*time.Second/48000
		out = append(out, &media.Frame{Track: 1, Codec: audio.Codec, Flags: media.Key, DTS: dts, PTS: dts, Config: audio, Payload: []byte{0xee}})
	}
	return out
}

// What a viewer sees while a publisher is gone: the slate over and over where it fits, its last key frame where it does not.
func TestSlateIsShownWhereItFits(t *testing.T) {
	aac, err := media.NewAACConfig([]byte{0x11, 0x90})
	if err != nil {
		t.Fatal(err)
	}
	mono, err := media.NewAACConfig([]byte{0x11, 0x88})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		why             string
		clip            []*media.Frame
		pictures, sound bool
	}{
		{"same codecs", clipOf(media.H264, &media.Config{Codec: media.H264}, aac, 52), true, true},
		{"pictures alone", clipOf(media.H264, &media.Config{Codec: media.H264}, nil, 52), true, false},
		{"other sound", clipOf(media.H264, &media.Config{Codec: media.H264}, mono, 52), true, false},
		{"other codec", clipOf(media.H265, &media.Config{Codec: media.H265}, aac, 52), false, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			slate, err := NewSlate(c.clip)
			if err != nil {
				t.Fatal(err)
			}
			if slate.length != 51*frameTime {
				t.Errorf("%s: %v long, want 51 pictures", c.why, slate.length)
			}
			h := New(Config{Slate: slate})
			defer h.Close()
			write := func(p *Publisher, src *source, pictures int) {
				for range pictures {
					for _, f := range src.frames() {
						if f.Codec.IsAudio() {
							f.Config = aac
						}
						if err := p.WriteFrame(f); err != nil {
							t.Fatal(err)
						}
					}
					time.Sleep(frameTime)
				}
			}
			p, _ := h.Publish("live/a", PublisherInfo{})
			write(p, &source{}, 60)
			sub, _ := h.Subscribe("live/a", SubscriberInfo{})
			got := readAll(t, sub)
			before := len(got)
			p.Close(nil)
			for range 100 {
				time.Sleep(100 * time.Millisecond)
				got = append(got, readAll(t, sub)...)
			}
			p, _ = h.Publish("live/a", PublisherInfo{})
			write(p, &source{start: time.Minute}, 30)
			got = append(got, readAll(t, sub)...)
			var last [2]time.Duration
			count := map[string]int{}
			first := ""
			for i, f := range got {
				if i > 0 && last[f.Track] > 0 && (f.DTS < last[f.Track] || f.DTS-last[f.Track] > fillAfter+300*time.Millisecond) {
					t.Errorf("%s: frame %d: track %d went from %v to %v", c.why, i, f.Track, last[f.Track], f.DTS)
				}
				if f.Codec.IsAudio() && f.Flags.Has(media.Held) && got[i-1].Flags.Has(media.Held) && i > before+1 { // unit after unit, also where rounds meet
					if d := f.DTS - last[1] - 1024*time.Second/48000; d.Abs() > 2 {
						t.Errorf("%s: frame %d: sound goes from %v to %v", c.why, i, last[1], f.DTS)
					}
				}
				last[f.Track] = f.DTS
				if i < before || !f.Flags.Has(media.Held) {
					continue
				}
				what := "made"
				if f.Payload[0] == 0xee {
					what = "slate"
				}
				if f.Codec.IsVideo() {
					what += " picture"
					if first == "" {
						if first = what; !f.IsKeyVideo() {
							t.Errorf("%s: begins with %+v", c.why, f)
						}
					}
				} else {
					what += " sound"
				}
				count[what]++
			}
			// 2 s of silence and 8 s of holding: 200 pictures, 375 units of sound.
			if n := count["slate picture"]; c.pictures && (n < 190 || n > 205 || count["made picture"] != 0) || !c.pictures && (n != 0 || count["made picture"] < 7) {
				t.Errorf("%s: %v", c.why, count)
			}
			if n := count["slate sound"]; c.sound && (n < 360 || n > 385 || count["made sound"] > 110) || !c.sound && (n != 0 || count["made sound"] < 350) {
				t.Errorf("%s: %v", c.why, count)
			}
			if d := last[0] - last[1]; d != 0 {
				t.Errorf("%s: sound and picture are %v apart", c.why, d)
			}
		})
	}
}

func TestWhatIsNoSlate(t *testing.T) {
	for why, clip := range map[string][]*media.Frame{
		"nothing":     nil,
		"sound alone": {{Codec: media.AAC, Flags: media.Key, Config: audioConfig, Payload: []byte{1}}},
		"one picture": clipOf(media.H264, videoConfig, nil, 2),
		"too short":   clipOf(media.H264, videoConfig, nil, 3)[1:],
		"too big":     {{Codec: media.H264, Flags: media.Key, Config: videoConfig, Payload: make([]byte, slateBytes+1)}},
	} {
		if _, err := NewSlate(clip); !errors.Is(err, ErrSlate) {
			t.Errorf("%s: %v", why, err)
		}
	}
}
