package httpflv

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
)

var (
	sps = []byte{0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x0f, 0x16, 0x2e, 0x48}
	pps = []byte{0x68, 0xcb, 0x83, 0xcb, 0x20}
)

// publish writes GOPs of ten pictures of size bytes, with audio, as fast as asked.
type publish struct {
	p            *hub.Publisher
	video, audio *media.Config
	n            int
}

func newPublish(t *testing.T, h *hub.Hub) *publish {
	t.Helper()
	v, err := media.NewH264Config([][]byte{sps}, [][]byte{pps})
	if err != nil {
		t.Fatal(err)
	}
	a, err := media.NewAACConfig([]byte{0x11, 0x90})
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.Publish("live/cam", hub.PublisherInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return &publish{p: p, video: v, audio: a}
}

func (p *publish) write(t *testing.T, pictures, size int) {
	t.Helper()
	for range pictures {
		dts := time.Duration(p.n) * 40 * time.Millisecond
		nal := make([]byte, size)
		nal[0] = 0x41
		flags := media.Flags(0)
		if p.n%10 == 0 {
			nal[0], flags = 0x65, media.Key
		}
		p.n++
		for _, f := range []*media.Frame{
			{Codec: media.H264, Flags: flags, DTS: dts, PTS: dts, Config: p.video, Payload: media.AppendNAL(nil, nal)},
			{Track: 1, Codec: media.AAC, Flags: media.Key, DTS: dts, PTS: dts, Config: p.audio, Payload: []byte{1, 2}},
		} {
			if err := p.p.WriteFrame(f); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestPlayerGetsHeadersThenKeyFrameThenEverything(t *testing.T) {
	h := hub.New(hub.Config{})
	src := newPublish(t, h)
	src.write(t, 25, 100)
	srv := httptest.NewServer(New(Config{Hub: h}))
	defer srv.Close()
	res, err := http.Get(srv.URL + "/live/cam.flv")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Header.Get("Content-Type") != "video/x-flv" || res.Header.Get("Access-Control-Allow-Origin") != "*" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", res.Header)
	}
	src.write(t, 10, 100)
	src.p.Close(nil)
	_ = h.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var d flv.Demuxer
	var p flv.Parser
	if err := d.Write(body); err != nil {
		t.Fatal(err)
	}
	var kinds []flv.TagType
	var frames []*media.Frame
	for tag, ok := d.Next(); ok; tag, ok = d.Next() {
		kinds = append(kinds, tag.Type)
		if f := p.Parse(tag.Type, tag.Time, tag.Body); f != nil {
			frames = append(frames, f)
		}
	}
	if kinds[0] != flv.TagScript || p.Stats().Configs != 2 {
		t.Errorf("opened with %v, %d sequence headers", kinds[:3], p.Stats().Configs)
	}
	// the newest GOP began with picture 20: 5 + 10 pictures and their audio
	if len(frames) != 30 || !frames[0].IsKeyVideo() || !p.Video().Equal(src.video) || !p.Audio().Equal(src.audio) {
		t.Errorf("%d frames, first %+v", len(frames), frames[0])
	}
}

func TestAnswersThatAreNotAStream(t *testing.T) {
	h := hub.New(hub.Config{})
	refuse := errors.New("no")
	handler := New(Config{Hub: h, Authorize: func(_ context.Context, r Request) error {
		if r.Query == "token=bad" {
			return refuse
		}
		return nil
	}})
	for _, c := range []struct {
		method, target string
		want           int
	}{
		{"GET", "/live/cam.flv", 404},
		{"GET", "/live/cam.flv?token=bad", 403},
		{"GET", "/cam.flv", 404},
		{"GET", "/../../etc/passwd", 404},
		{"POST", "/live/cam.flv", 405},
		{"OPTIONS", "/live/cam.flv", 204},
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(c.method, c.target, nil))
		if w.Code != c.want {
			t.Errorf("%s %s = %d, want %d", c.method, c.target, w.Code, c.want)
		}
	}
}

func TestPlayerThatReadsNothingIsCutAndDelaysNobody(t *testing.T) {
	h := hub.New(hub.Config{})
	defer h.Close()
	src := newPublish(t, h)
	src.write(t, 1, 100)
	srv := httptest.NewServer(New(Config{Hub: h, WriteTimeout: time.Second}))
	defer srv.Close()
	dead, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	_ = dead.(*net.TCPConn).SetReadBuffer(4096)
	if _, err := dead.Write([]byte("GET /live/cam.flv HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	alive, err := http.Get(srv.URL + "/live/cam.flv")
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Body.Close()
	go func() {
		_, _ = io.Copy(io.Discard, bufio.NewReader(alive.Body))
	}()
	cut := false
	for end := time.Now().Add(need.Patience); !cut && time.Now().Before(end); {
		src.write(t, 10, 50_000)
		for wait := true; wait && time.Now().Before(end); { // the pace is the other one's, however slow the machine
			time.Sleep(20 * time.Millisecond)
			wait = false
			for _, s := range h.Streams()[0].Subscribers {
				wait = wait || s.Peer != dead.LocalAddr().String() && s.Queued > 0
			}
		}
		cut = len(h.Streams()[0].Subscribers) == 1
	}
	if !cut {
		t.Fatal("the player that reads nothing is still there")
	}
	if c := h.Streams()[0].Subscribers[0].Counts; c.Dropped != 0 {
		t.Errorf("the other one lost %d frames", c.Dropped)
	}
}
