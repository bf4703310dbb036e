package rtmpserver

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
)

var (
	h265VPS = []byte{0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00, 0xb0, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x7b, 0x18, 0xb0, 0x24}
	h265SPS = []byte{
		0x42, 0x01, 0x01, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00, 0xb0, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x7b, 0xa0, 0x07, 0x82, 0x00, 0x88, 0x7d,
		0xb6, 0x71, 0x8b, 0x92, 0x44, 0x80, 0x53, 0x88, 0x88, 0x92, 0xcf, 0x24, 0xa6, 0x92, 0x72, 0xc9, 0x12, 0x49, 0x22, 0xdc, 0x91, 0xaa, 0x48, 0xfc,
		0xa2, 0x23, 0xff, 0x00, 0x01, 0x00, 0x01, 0x6a, 0x02, 0x02, 0x02, 0x01,
	}
	h265PPS = []byte{0x44, 0x01, 0xc0, 0x25, 0x2f, 0x05, 0x32, 0x40}
)

// oracle is one set of codecs, as gortmplib and we name them.
type oracle struct {
	name         string
	video, audio func() *gortmplib.Track
	codecs       [2]media.Codec
}

var oracles = []oracle{
	{
		"H264 AAC",
		func() *gortmplib.Track {
			return &gortmplib.Track{Codec: &codecs.H264{SPS: videoConfig.SPS[0], PPS: videoConfig.PPS[0]}}
		},
		func() *gortmplib.Track {
			return &gortmplib.Track{Codec: &codecs.MPEG4Audio{Config: &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 44100, ChannelConfig: 2}}}
		},
		[2]media.Codec{media.H264, media.AAC},
	},
	{
		"H265 Opus",
		func() *gortmplib.Track {
			return &gortmplib.Track{Codec: &codecs.H265{VPS: h265VPS, SPS: h265SPS, PPS: h265PPS}}
		},
		func() *gortmplib.Track {
			return &gortmplib.Track{Codec: &codecs.Opus{IDHeader: &opus.IDHeader{Version: 1, ChannelCount: 2, InputSampleRate: 48000}}}
		},
		[2]media.Codec{media.H265, media.Opus},
	},
}

// unit is what a frame is made of in both worlds.
type unit struct {
	video    bool
	pts, dts time.Duration
	nal      []byte
}

// units makes n pictures and their audio from a time on; key frames are larger than a chunk.
func (o oracle) units(from time.Duration, n int) (out []unit) {
	for i := range n {
		dts := from + time.Duration(i)*40*time.Millisecond
		nal := append([]byte{0x41, 0x9a, byte(i)}, bytes.Repeat([]byte{byte(i + 1)}, 3000)...)
		if o.codecs[0] == media.H265 {
			nal[0], nal[1] = 0x02, 0x01 // TRAIL_R
		}
		if i%25 == 0 {
			nal = append(nal, bytes.Repeat([]byte{7}, 150_000)...)
			if nal[0] = 0x65; o.codecs[0] == media.H265 {
				nal[0] = 0x26 // IDR_W_RADL
			}
		}
		out = append(out, unit{true, dts + 80*time.Millisecond, dts, nal}, unit{false, dts, dts, []byte{1, 2, byte(i), 4}})
	}
	return out
}

func (u unit) String() string {
	return fmt.Sprintf("video %v pts %v dts %v, %d bytes", u.video, u.pts, u.dts, len(u.nal))
}

func sameUnit(a, b unit) bool {
	return a.video == b.video && a.pts == b.pts && a.dts == b.dts && bytes.Equal(a.nal, b.nal)
}

func initialize(t *testing.T, c *gortmplib.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), need.Patience)
	defer cancel()
	if err := c.Initialize(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	_ = c.NetConn().SetDeadline(time.Now().Add(need.Patience))
}

// gortmplib publishes to us: also over the first extended timestamp, where it writes zeros into type 3 chunks.
func TestGortmplibPublishes(t *testing.T) {
	for _, o := range oracles {
		for _, from := range []time.Duration{0, 0xffffff*time.Millisecond - 400*time.Millisecond, 0xffffff*time.Millisecond + time.Hour} {
			t.Run(fmt.Sprint(o.name, " from ", from), func(t *testing.T) {
				b := start(t, Config{})
				sub, err := b.hub.Subscribe("live/a", hub.SubscriberInfo{Wait: true})
				if err != nil {
					t.Fatal(err)
				}
				defer sub.Close()
				u, _ := url.Parse("rtmp://" + b.addr + "/live/a") // it takes all of it for the app
				c := &gortmplib.Client{URL: u, Publish: true}
				initialize(t, c)
				v, a := o.video(), o.audio()
				w := &gortmplib.Writer{Conn: c, Tracks: []*gortmplib.Track{v, a}}
				if err := w.Initialize(); err != nil {
					t.Fatal(err)
				}
				want := o.units(from, 40)
				for _, u := range want {
					var err error
					switch {
					case o.codecs[0] == media.H264 && u.video:
						err = w.WriteH264(v, u.pts, u.dts, [][]byte{u.nal})
					case u.video:
						err = w.WriteH265(v, u.pts, u.dts, [][]byte{u.nal})
					case o.codecs[1] == media.AAC:
						err = w.WriteMPEG4Audio(a, u.pts, u.nal)
					default:
						err = w.WriteOpus(a, u.pts, u.nal)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				var offset time.Duration
				for i, w := range want {
					ctx, cancel := context.WithTimeout(t.Context(), need.Patience)
					f, err := sub.Read(ctx)
					cancel()
					if err != nil {
						t.Fatalf("after %d of %d frames: %v", i, len(want), err)
					}
					if i == 0 {
						offset = f.DTS - w.dts
					}
					got := unit{f.Codec.IsVideo(), f.PTS - offset, f.DTS - offset, f.Payload}
					if w.video {
						w.nal = media.AppendNAL(nil, w.nal)
					}
					if !sameUnit(got, w) {
						t.Fatalf("frame %d: %v, want %v", i, got, w)
					}
				}
			})
		}
	}
}

// gortmplib plays from us.
func TestGortmplibPlays(t *testing.T) {
	for _, o := range oracles {
		t.Run(o.name, func(t *testing.T) {
			b := start(t, Config{})
			video, audio := videoConfig, audioConfig
			if o.codecs[0] == media.H265 {
				var err error
				if video, err = media.NewH265Config([][]byte{h265VPS}, [][]byte{h265SPS}, [][]byte{h265PPS}); err != nil {
					t.Fatal(err)
				}
				if audio, err = media.NewOpusConfig(2); err != nil {
					t.Fatal(err)
				}
			}
			p, err := b.hub.Publish("live/a", hub.PublisherInfo{})
			if err != nil {
				t.Fatal(err)
			}
			want := o.units(0, 70) // gortmplib looks at the first 2 s before it says which tracks there are
			write := func(us []unit) {
				for i, u := range us {
					f := &media.Frame{Track: 1, Codec: o.codecs[1], Flags: media.Key, PTS: u.pts, DTS: u.dts, Config: audio, Payload: u.nal}
					if u.video {
						f.Track, f.Codec, f.Config, f.Payload = 0, o.codecs[0], video, media.AppendNAL(nil, u.nal)
						if f.Flags = 0; len(u.nal) > 100_000 {
							f.Flags = media.Key
						}
					}
					if err := p.WriteFrame(f); err != nil {
						t.Fatalf("frame %d: %v", i, err)
					}
				}
			}
			write(want[:20])
			u, _ := url.Parse("rtmp://" + b.addr + "/live#a")
			c := &gortmplib.Client{URL: u}
			initialize(t, c)
			waitFor(t, func() bool { return b.server.Stats().Players == 1 })
			write(want[20:])
			r := &gortmplib.Reader{Conn: c}
			if err := r.Initialize(); err != nil {
				t.Fatal(err)
			}
			var got []unit
			onVideo := func(pts, dts time.Duration, au [][]byte) {
				if last := au[len(au)-1]; len(last) > 1000 { // it hands out the parameter sets of a sequence header too
					got = append(got, unit{true, pts, dts, last})
				}
			}
			onAudio := func(pts time.Duration, b []byte) { got = append(got, unit{false, pts, pts, b}) }
			for _, tr := range r.Tracks() {
				switch tr.Codec.(type) {
				case *codecs.H264:
					r.OnDataH264(tr, onVideo)
				case *codecs.H265:
					r.OnDataH265(tr, onVideo)
				case *codecs.MPEG4Audio:
					r.OnDataMPEG4Audio(tr, onAudio)
				case *codecs.Opus:
					r.OnDataOpus(tr, onAudio)
				default:
					t.Errorf("track %T", tr.Codec)
				}
			}
			for len(got) < len(want) {
				if err := r.Read(); err != nil {
					t.Fatalf("after %d frames: %v", len(got), err)
				}
			}
			offset := got[0].dts - want[0].dts
			for i, w := range want {
				w.pts, w.dts = w.pts+offset, w.dts+offset
				if !sameUnit(got[i], w) {
					t.Fatalf("frame %d: %v, want %v", i, got[i], w)
				}
			}
		})
	}
}
