package httpflv

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
)

// A player over MPEG-TS gets the newest group of pictures and all that follows, with the times of the hub.
func TestTransportStream(t *testing.T) {
	h := hub.New(hub.Config{})
	src := newPublish(t, h)
	src.write(t, 25, 300)
	srv := httptest.NewServer(New(Config{Hub: h}))
	defer srv.Close()
	res, err := http.Get(srv.URL + "/live/cam.ts")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Header.Get("Content-Type") != "video/mp2t" {
		t.Errorf("headers %v", res.Header)
	}
	src.write(t, 10, 300)
	src.p.Close(nil)
	_ = h.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || len(body)%mpegts.PacketSize != 0 {
		t.Fatalf("%d bytes, %v", len(body), err)
	}
	d := mpegts.NewDemuxer(mpegts.Config{})
	var video, audio int
	take := func() {
		for f, ok := d.Next(); ok; f, ok = d.Next() {
			if !f.Codec.IsVideo() {
				audio++
				continue
			}
			if key := video%10 == 0; f.Flags.Has(media.Key) != key {
				t.Errorf("picture %d: key %v", video, !key)
			}
			video++
		}
	}
	d.Write(time.Now(), body)
	take()
	d.Flush()
	take()
	if video != 15 || audio != 15 { // pictures 20 to 34
		t.Errorf("%d pictures and %d units of sound", video, audio)
	}
}

// Over WebSocket each message is a tag; together they are the bytes of HTTP-FLV.
func TestWebSocketIsFLV(t *testing.T) {
	h := hub.New(hub.Config{})
	src := newPublish(t, h)
	src.write(t, 15, 100)
	srv := httptest.NewServer(New(Config{Hub: h}))
	defer srv.Close()
	plain, err := http.Get(srv.URL + "/live/cam.flv")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), need.Patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, strings.Replace(srv.URL, "http", "ws", 1)+"/live/cam.flv", nil) //nolint:bodyclose // none
	if err != nil {
		t.Fatal(err)
	}
	src.write(t, 10, 100)
	src.p.Close(nil)
	_ = h.Close()
	want, err := io.ReadAll(plain.Body)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	messages := 0
	for {
		_, b, err := conn.Read(ctx)
		if err != nil {
			if websocket.CloseStatus(err) != websocket.StatusNormalClosure {
				t.Errorf("%v", err)
			}
			break
		}
		got = append(got, b...)
		messages++
	}
	if !bytes.Equal(got, want) || messages != 30 { // pictures 10 to 24 and their sound
		t.Errorf("%d bytes in %d messages, HTTP has %d", len(got), messages, len(want))
	}
}

func TestWaitAndStart(t *testing.T) {
	h := hub.New(hub.Config{})
	srv := httptest.NewServer(New(Config{Hub: h}))
	defer srv.Close()
	for query, want := range map[string]int{"": 404, "?wait=20ms": 404, "?wait=5": 400, "?wait=1h": 400, "?wait=-1s": 400, "?start=first": 400} {
		res, err := http.Get(srv.URL + "/live/cam.flv" + query)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%q: %d, want %d", query, res.StatusCode, want)
		}
	}
	answer := make(chan string, 1)
	go func() {
		res, err := http.Get(srv.URL + "/live/cam.ts?wait=10s")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		n, err := io.ReadFull(res.Body, make([]byte, mpegts.PacketSize))
		answer <- fmt.Sprint(res.StatusCode, n, err)
	}()
	for len(h.Streams()) == 0 || len(h.Streams()[0].Subscribers) == 0 {
		time.Sleep(time.Millisecond)
	}
	src := newPublish(t, h)
	src.write(t, 5, 100)
	if got := <-answer; got != "200 188 <nil>" {
		t.Errorf("the player that waited got %s", got)
	}
	res, err := http.Get(srv.URL + "/live/cam.ts?start=next")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	src.write(t, 10, 100) // pictures 5 to 14: the next key frame is 10
	src.p.Close(nil)
	_ = h.Close()
	body, _ := io.ReadAll(res.Body)
	d := mpegts.NewDemuxer(mpegts.Config{})
	d.Write(time.Now(), body)
	d.Flush()
	var pictures []bool
	for f, ok := d.Next(); ok; f, ok = d.Next() {
		if f.Codec.IsVideo() {
			pictures = append(pictures, f.Flags.Has(media.Key))
		}
	}
	if !slices.Equal(pictures, []bool{true, false, false, false, false}) {
		t.Errorf("start=next gives %v", pictures)
	}
}
