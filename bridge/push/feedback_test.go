package push_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/feedback"
	"github.com/fairlead-live/fairlead/bridge/push"
	"github.com/fairlead-live/fairlead/bridge/relay"
)

// Whoever publishes can read what its path carries: at fairlead push for its own uplink, at the relay for SRT and RTMP.
func TestFeedback(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	r, err := relay.Open(config.Relay{SRT: "127.0.0.1:0", QUIC: "127.0.0.1:0", RTMP: "127.0.0.1:0", HTTP: "127.0.0.1:0",
		Key: []string{"live/quic", "live/srt", "live/rtmp"}, Hold: time.Second, Log: "info"}, logger(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*need.Patience)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { _ = r.Run(ctx) })
	name := write(t, "clip.ts", asTS(t))
	srt, rtmp, at := r.Addrs()
	start := func(url, http string) *push.Push {
		p, err := push.New(push.Config{Input: name, URLs: []string{url}, Loop: true, HTTP: http, Logger: logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if err := p.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		return p
	}
	var heard sync.WaitGroup
	p := start(r.QUICURL("live/quic"), "127.0.0.1:0")
	start(fmt.Sprintf("srt://%s?streamid=publish:live/srt", srt), "")
	start(fmt.Sprintf("rtmp://%s/live/rtmp", rtmp), "")
	for _, c := range []struct{ what, host, name string }{
		{"push, by its own name", p.HTTP().String(), p.Name()}, {"push, by the relay's name", p.HTTP().String(), "live/quic"},
		{"relay, srt", at.String(), "live/srt"}, {"relay, rtmp", at.String(), "live/rtmp"},
	} {
		heard.Go(func() {
			enough, n := errors.New("enough"), 0
			err := feedback.Listen(ctx, http.DefaultClient, fmt.Sprintf("http://%s/v1/streams/%s/feedback", c.host, c.name), func(news feedback.News) error {
				if news.Report == nil {
					return nil
				}
				if news.Report.Target <= 0 || news.Report.Reason == "" || news.Report.Queue > need.Patience || news.Report.Loss > 0.5 { // what a loaded machine's loopback carries is its own business
					t.Errorf("%s: %+v", c.what, *news.Report)
				}
				if n++; n == 8 {
					return enough
				}
				return nil
			})
			if !errors.Is(err, enough) {
				t.Errorf("%s: %v after %d reports", c.what, err, n)
			}
		})
	}
	heard.Wait()
}
