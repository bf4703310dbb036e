package httpflv

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/fairlead-live/fairlead/bridge/hub"
)

// A transport stream that is passed through is served as it came, from the tables in front of its newest key picture on, or from the next tables on; its
// frames are at the other addresses.
func TestTransportStreamAsItCame(t *testing.T) {
	h := hub.New(hub.Config{})
	src := newPublish(t, h)
	put := func(n byte, tables, key bool) {
		if err := src.p.WriteTS(hub.TSPiece{Data: bytes.Repeat([]byte{n}, 188), Tables: tables, Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	put(1, true, true)
	put(2, true, false)
	put(3, false, true)
	put(4, true, false)
	src.write(t, 25, 100)
	srv := httptest.NewServer(New(Config{Hub: h}))
	defer srv.Close()
	var bodies []io.ReadCloser
	for _, url := range []string{"/live/cam.ts", "/live/cam.ts?start=next", "/live/cam.ts?wait=5s", "/live/cam.flv"} {
		res, err := http.Get(srv.URL + url)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, res.Body)
	}
	put(5, false, false)
	put(6, true, false)
	put(7, false, true)
	src.write(t, 1, 100)
	src.p.Close(nil)
	_ = h.Close()
	for i, want := range []string{"\x02\x03\x04\x05\x06\x07", "\x06\x07", "\x02\x03\x04\x05\x06\x07", "FLV"} {
		b, err := io.ReadAll(bodies[i])
		_ = bodies[i].Close()
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		if want == "FLV" {
			got = b[:3]
		} else {
			for at := 0; at < len(b); at += 188 {
				got = append(got, b[at])
			}
		}
		if string(got) != want {
			t.Errorf("player %d: % x, want % x", i, got, want)
		}
	}
}
