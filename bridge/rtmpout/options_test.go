package rtmpout

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/auth"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
	"github.com/fairlead-live/fairlead/bridge/rtmpserver"
)

func TestParseOptions(t *testing.T) {
	t.Setenv("FAIRLEAD_TEST_SIGN_KEY", "k3y")
	for _, good := range []string{"", "#codecs=h264,aac", "#codecs=HEVC&hevc=12", "#hevc=enhanced&audio=none", "#audio=silence",
		"#sign=tencent:k3y", "#sign=aliyun:env:FAIRLEAD_TEST_SIGN_KEY&sign-for=1h"} {
		plain, _, err := ParseOptions("rtmp://h/a/secret" + good)
		if err != nil || plain != "rtmp://h/a/secret" {
			t.Errorf("%s: %q, %v", good, plain, err)
		}
	}
	for _, bad := range []string{"#codecs=vp9", "#codecs=", "#codecs=h264&codecs=aac", "#hevc=13", "#audio=aac", "#colour=red", "#%zz",
		"#sign=nobody:k3y", "#sign=tencent", "#sign=nginx:k3y", "#sign=tencent:env:FAIRLEAD_TEST_NOT_SET", "#sign=tencent:k3y&sign-for=1s"} {
		_, _, err := ParseOptions("rtmp://h/a/secret" + bad)
		if !errors.Is(err, rtmp.ErrURL) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "k3y") {
			t.Errorf("%s: %v", bad, err)
		}
		if _, err := New(Config{Hub: hub.New(hub.Config{}), URL: Fixed("rtmp://h/a/secret" + bad)}); err == nil {
			t.Errorf("%s: it was taken", bad)
		}
	}
}

// shown publishes pictures, with or without sound, until done says that a destination has what it wants.
func shown(t *testing.T, h *hub.Hub, video *media.Config, sound bool, done func() bool) {
	t.Helper()
	p, err := h.Publish("live/a", hub.PublisherInfo{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(nil)
	limit := time.Now().Add(30 * time.Second)
	for n := 0; !done(); n++ {
		if time.Now().After(limit) {
			t.Fatal("it does not come")
		}
		for _, f := range picture(n, 500) {
			f.Arrival = time.Now()
			if f.Codec.IsVideo() {
				f.Codec, f.Config = video.Codec, video
				if video.Codec == media.H265 {
					f.Payload[4], f.Payload[5] = map[bool]byte{true: 0x26, false: 0x02}[f.Flags.Has(media.Key)], 1
				}
			} else if !sound {
				continue
			}
			if err := p.WriteFrame(f); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// A tier that demands sound gets silence beside a picture that has none: every sample of it, in order, no further than the picture.
func TestSilenceForAStreamWithoutSound(t *testing.T) {
	dst := newCDN(t, "127.0.0.1:0", rtmpserver.Config{}, nil)
	got, err := dst.hub.Subscribe("live/a", hub.SubscriberInfo{Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	h := hub.New(hub.Config{})
	defer h.Close()
	o, _ := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + dst.addr + "/live/a#audio=silence")})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	var sounds []time.Duration
	var picture time.Duration
	go func() {
		for {
			f, err := got.Read(ctx)
			if err != nil {
				return
			}
			mu.Lock()
			if f.Codec.IsVideo() {
				picture = f.DTS
			} else if f.Config.SampleRate == 48000 && f.Config.Channels == 1 && bytes.Equal(f.Payload, []byte{0x01, 0x18, 0x20, 0x07}) {
				sounds = append(sounds, f.DTS)
			}
			mu.Unlock()
		}
	}()
	shown(t, h, videoConfig, false, func() bool { mu.Lock(); defer mu.Unlock(); return len(sounds) > 100 })
	mu.Lock()
	defer mu.Unlock()
	for i, at := range sounds {
		want := sounds[0] + time.Duration(i)*1024*time.Second/48000
		if d := (at - want).Abs(); d > time.Millisecond {
			t.Fatalf("unit %d at %v, want %v", i, at, want)
		}
	}
	if last := sounds[len(sounds)-1]; last > picture+time.Second/20 {
		t.Errorf("sound at %v, the picture at %v", last, picture)
	}
	if st := o.Stats(); st.Publishes != 1 {
		t.Errorf("published %d times: %s", st.Publishes, st.LastError)
	}
}

// A destination that does not take the picture's codec is not called at all, and the output says why; sound it does not take is left out.
func TestCodecsOfADestination(t *testing.T) {
	dst := newCDN(t, "127.0.0.1:0", rtmpserver.Config{}, nil)
	h := hub.New(hub.Config{})
	defer h.Close()
	hevc, _ := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + dst.addr + "/live/never#codecs=h265,aac")})
	mute, _ := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + dst.addr + "/live/mute#codecs=h264,opus&audio=silence")})
	shown(t, h, videoConfig, true, func() bool {
		st := hevc.Stats()
		return st.State == Failed && st.EndedBy(CauseUnfit) > 0 && mute.Stats().Frames > 50
	})
	if st := hevc.Stats(); st.Publishes != 0 || !strings.Contains(st.LastError, "it takes H265, AAC, the stream is H264") {
		t.Errorf("%+v", st)
	}
	if st := mute.Stats(); st.LeftOut == 0 || st.Publishes != 1 {
		t.Errorf("%+v", st)
	}
	for _, s := range dst.hub.Streams() {
		if s.Name != "live/mute" || len(s.Tracks) != 2 || s.Tracks[1].Channels != 1 {
			t.Errorf("the destination has %s with %d tracks", s.Name, len(s.Tracks))
		}
	}
}

// Each connect brings a signature of its time, which our own server verifies as the CDN would.
func TestAddressesAreSignedAtEachConnect(t *testing.T) {
	for _, template := range []string{"tencent", "aliyun", "huawei-d", "volcengine", "akamai"} {
		key := "0011aabb"
		guard, err := auth.New(auth.Config{Signed: []string{template + "=" + key}})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var queries []string
		dst := newCDN(t, "127.0.0.1:0", rtmpserver.Config{Authorize: func(ctx context.Context, r rtmpserver.Request) (string, error) {
			mu.Lock()
			queries = append(queries, r.Query)
			mu.Unlock()
			return "", guard.Check(ctx, time.Now(), auth.Request{Name: r.Name, Query: r.Query})
		}}, nil)
		h := hub.New(hub.Config{})
		o, stop := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + dst.addr + "/live/a?x=1#sign=" + template + ":" + key)})
		shown(t, h, videoConfig, true, func() bool { return o.Stats().State == Publishing })
		stop()
		h.Close()
		if !strings.HasPrefix(queries[0], "x=1&") || strings.Contains(queries[0], "#") {
			t.Errorf("%s: %s", template, queries[0])
		}
	}
}

// H.265 as codec 12: the tier reads it as H.265, and what our server takes is the old header, not the new one.
func TestHEVCAsCodec12(t *testing.T) {
	dst := newCDN(t, "127.0.0.1:0", rtmpserver.Config{}, nil)
	h := hub.New(hub.Config{})
	defer h.Close()
	_, _ = push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + dst.addr + "/live/a#hevc=12")})
	shown(t, h, hevc, true, func() bool {
		st := dst.hub.Streams()
		return len(st) == 1 && len(st[0].Tracks) == 2 && st[0].Counts.Frames > 20 && st[0].Tracks[0].Equal(hevc)
	})
}
