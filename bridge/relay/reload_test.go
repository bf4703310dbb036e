package relay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
)

// clipFrames are the first n frames of the clip.
func clipFrames(t *testing.T, n int) (frames []*media.Frame) {
	t.Helper()
	src, err := clip.New()
	if err != nil {
		t.Fatal(err)
	}
	for len(frames) < n {
		frames = append(frames, src.Next())
	}
	return frames
}

// Thirty streams run, each pushed to a second relay; keys and destinations change fifty times, and what does not change loses nothing.
func TestReloadTouchesNothingElse(t *testing.T) {
	need.RealTime(t)
	const streams, reloads = 30, 50
	all := config.Relay{Hold: time.Second}
	for i := range streams {
		all.Key = append(all.Key, fmt.Sprintf("live/s%d", i))
	}
	cdn := startRelay(t, all)
	cfg := all
	for _, k := range all.Key {
		cfg.Push = append(cfg.Push, k+"="+cdn.rtmpURL(k))
	}
	r := startRelay(t, cfg)
	frames := clipFrames(t, 240)
	var got [streams]atomic.Int64
	ctx, cancel := context.WithTimeout(t.Context(), 2*need.Patience)
	defer cancel()
	var readers, writers sync.WaitGroup
	var wrote [streams]int
	for i, k := range all.Key {
		sub, err := cdn.Hub().Subscribe(k, hub.SubscriberInfo{Protocol: "test", Wait: true})
		if err != nil {
			t.Fatal(err)
		}
		readers.Go(func() {
			for {
				if _, err := sub.Read(ctx); err != nil {
					return
				}
				got[i].Add(1)
			}
		})
		defer sub.Close()
		pub, err := r.Hub().Publish(k, hub.PublisherInfo{Protocol: "test"})
		if err != nil {
			t.Fatal(err)
		}
		defer pub.Close(nil)
		writers.Go(func() {
			begin := time.Now()
			for _, f := range frames {
				time.Sleep(time.Until(begin.Add(f.DTS - frames[0].DTS)))
				one := *f
				if pub.WriteFrame(&one) != nil {
					return
				}
				wrote[i]++
			}
		})
	}
	// Streams 20 and up lose and get their destination, keys come and go; the first twenty stay as they are.
	for n := range reloads {
		next := cfg
		next.Log = "info"
		next.SRT, next.RTMP, next.HTTP = r.cfg.SRT, r.cfg.RTMP, r.cfg.HTTP
		next.Push = nil
		for i, p := range cfg.Push {
			if i < 20 || (i+n)%2 == 0 {
				next.Push = append(next.Push, p)
			}
		}
		next.Key = append(append([]string{}, all.Key...), fmt.Sprintf("live/extra%d", n))
		c, err := r.Reload(next)
		if err != nil || len(c.Restart) > 0 {
			t.Fatalf("%+v, %v", c, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	writers.Wait()
	deadline := time.Now().Add(need.Patience)
	for i := range 20 {
		for int(got[i].Load()) < wrote[i] && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond)
		}
		if int(got[i].Load()) != wrote[i] || wrote[i] != len(frames) {
			t.Errorf("stream %d: %d of %d frames came through", i, got[i].Load(), wrote[i])
		}
	}
	for _, o := range r.outputs.stats() {
		if i := strings.TrimPrefix(o.Stream, "live/s"); len(i) == 1 && o.Publishes != 1 {
			t.Errorf("%s was published %d times", o.Stream, o.Publishes)
		}
	}
	cancel()
	readers.Wait()
}

func TestReloadRefusesAndEnds(t *testing.T) {
	r := startRelay(t, config.Relay{Key: []string{"live/a", "live/b"}, API: "127.0.0.1:0"})
	base := r.cfg
	bad := base
	bad.Push = []string{"live/a=ftp://x"}
	if _, err := r.Reload(bad); !errors.Is(err, config.ErrUsage) {
		t.Errorf("%v", err)
	}
	bad = base
	bad.AuthSecret = []string{"short"}
	if _, err := r.Reload(bad); err == nil || len(r.Names()) != 2 {
		t.Errorf("%v, %v", err, r.Names())
	}
	pub, err := r.Hub().Publish("live/b", hub.PublisherInfo{Protocol: "test"})
	if err != nil {
		t.Fatal(err)
	}
	next := base
	next.Key, next.SRTLatency, next.APIToken = []string{"live/a"}, time.Second, "a new token"
	c, err := r.Reload(next)
	if err != nil || strings.Join(c.Applied, " ") != "api-token key" || strings.Join(c.Restart, " ") != "srt-latency" {
		t.Errorf("%+v, %v", c, err)
	}
	select {
	case <-pub.Done():
	default:
		t.Error("the publisher whose key is gone goes on")
	}
	if got := r.ask(t, http.MethodGet, "/v1/streams", nil); got != http.StatusUnauthorized {
		t.Errorf("the new token is not asked for: %d", got)
	}
	if r.cfg.SRTLatency == time.Second {
		t.Error("a word that waits for the next start was taken over")
	}
}

// A token given as env:NAME is what it stands for after a reload, too, and an API that others can reach does not lose its token.
func TestReloadKeepsTheAPIClosed(t *testing.T) {
	t.Setenv("FAIRLEAD_TEST_TOKEN", "the real token")
	r := startRelay(t, config.Relay{Key: []string{"live/a"}, API: "127.0.0.1:0", APIToken: "the first token"})
	next := r.cfg
	next.APIToken = "env:FAIRLEAD_TEST_TOKEN"
	if _, err := r.Reload(next); err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]int{"the+real+token": http.StatusOK, "env:FAIRLEAD_TEST_TOKEN": http.StatusUnauthorized, "": http.StatusUnauthorized} {
		if got := r.ask(t, http.MethodGet, "/v1/streams?token="+token, nil); got != want {
			t.Errorf("%q: %d, want %d", token, got, want)
		}
	}
	r.cfg.API = "0.0.0.0:9997" // as if it listened there
	next = r.cfg
	next.API, next.APIToken = "127.0.0.1:9997", ""
	if _, err := r.Reload(next); !errors.Is(err, config.ErrUsage) {
		t.Errorf("the token was taken from an address that others can reach: %v", err)
	}
}

func TestOutputsOverTheAPI(t *testing.T) {
	r := startRelay(t, config.Relay{Key: []string{"live/a"}, API: "127.0.0.1:0"})
	o := operator{r}
	id, err := o.AddOutput("live/a", []string{"rtmp://127.0.0.1:9/app/key"})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := o.AddOutput("live/a", []string{"rtmp://127.0.0.1:9/app/key"}); err != nil || again != id || len(o.Outputs()) != 1 {
		t.Errorf("the same twice: %v, %v, %d", again, err, len(o.Outputs()))
	}
	for _, bad := range [][]string{nil, {"http://x/y"}, {"rtmp://"}} {
		if _, err := o.AddOutput("live/a", bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if err := o.PauseOutput(id); err != nil || !o.Outputs()[0].Paused {
		t.Errorf("pause: %v", err)
	}
	if err := o.RestartOutput(id); err != nil || o.Outputs()[0].Paused {
		t.Errorf("restart: %v", err)
	}
	if _, err := r.Reload(r.cfg); err != nil || len(o.Outputs()) != 1 {
		t.Errorf("a reload ended what the API added: %v", err)
	}
	if err := o.RemoveOutput(id); err != nil || len(o.Outputs()) != 0 {
		t.Errorf("remove: %v", err)
	}
	if o.RemoveOutput(id) == nil || o.PauseOutput(id) == nil || o.RestartOutput(id) == nil {
		t.Error("what is gone was found")
	}
}
