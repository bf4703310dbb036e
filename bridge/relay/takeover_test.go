package relay

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/auth"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/push"
)

// A second publisher of a key, over every protocol and under every policy. Nobody is silent for as long as a minute here.
func TestTakeoverOverEveryProtocol(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, policy, key, brings string
		who                       string // has the key
		taken                     bool
	}{
		{"newest, the same address", "newest:1m", "live/cam", "", "address 127.0.0.1", true},
		{"newest, another address", "newest:1m", "live/cam", "", "address 192.0.2.1", false},
		{"newest, the same secret", "newest:1m", "live/cam=s3cret", "s3cret", "", true},
		{"newest, another token", "newest:1m", "live/cam=s3cret", "s3cret", "token of somebody else", false},
		{"idle", "idle:1m", "live/cam", "", "address 127.0.0.1", false},
		{"reject", "reject", "live/cam", "", "address 127.0.0.1", false},
	} {
		for _, e := range entries {
			if e.play {
				continue
			}
			t.Run(c.name+", "+e.name, func(t *testing.T) {
				r := startQUIC(t, config.Relay{Key: []string{c.key}, Takeover: []string{"reject", "live/*=" + c.policy}})
				who := c.who
				if who == "" { // what the guard says of this secret
					var err error
					if who, err = r.admit(t.Context(), authOf("live/cam", c.brings)); err != nil || !strings.HasPrefix(who, "token ") {
						t.Fatal(who, err)
					}
				}
				first, err := r.hub.Publish("live/cam", hub.PublisherInfo{Protocol: "test", Peer: "first", Identity: who})
				if err != nil {
					t.Fatal(err)
				}
				if got := e.try(t, r, "live/cam", credential{token: c.brings}); got != c.taken {
					t.Fatalf("let in: %v, want %v", got, c.taken)
				}
				if c.taken {
					if <-first.Done(); !errors.Is(first.Err(), hub.ErrReplaced) {
						t.Errorf("the first reads %v", first.Err())
					}
				} else if first.Err() != nil {
					t.Errorf("the first reads %v", first.Err())
				}
			})
		}
	}
}

func authOf(name, token string) auth.Request {
	return auth.Request{Protocol: "test", Name: name, Token: token, Peer: netip.MustParseAddr("127.0.0.1")}
}

// Takeover is taken over by a reload.
func TestTakeoverReloads(t *testing.T) {
	t.Parallel()
	r := startRelay(t, config.Relay{Key: []string{"live/cam"}, Takeover: []string{"reject"}})
	if _, err := r.hub.Publish("live/cam", hub.PublisherInfo{Identity: "a"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.hub.Publish("live/cam", hub.PublisherInfo{Identity: "a"}); !errors.Is(err, hub.ErrInUse) {
		t.Fatalf("got %v, want %v", err, hub.ErrInUse)
	}
	next := r.cfg
	next.Takeover = []string{"newest"}
	c, err := r.Reload(next)
	if err != nil || len(c.Applied) != 1 || c.Applied[0] != "takeover" {
		t.Fatal(c, err)
	}
	if _, err := r.hub.Publish("live/cam", hub.PublisherInfo{Identity: "a"}); err != nil {
		t.Fatal(err)
	}
	next.Takeover = []string{"oldest"}
	if _, err := r.Reload(next); !errors.Is(err, config.ErrUsage) {
		t.Errorf("got %v", err)
	}
}

// Two encoders with one key, which come back each time they are replaced: after three takeovers the present one keeps the key, and viewers see one stream.
func TestTwoEncodersOfOneKeyComeToRest(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	r := startRelay(t, config.Relay{Key: []string{"live/cam"}, Takeover: []string{"newest"}, Hold: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range 2 {
		p, err := push.New(push.Config{Input: clipFile(t, 240), URLs: []string{r.rtmpURL("live/cam")}, Loop: true})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { _ = p.Run(ctx) })
		waitStream(t, r, "live/cam")
	}
	counts := func() hub.StreamCounts { return r.streamNamed(t, "live/cam").Counts }
	need.Until(t, "one refused for the war", func() bool { return counts().InUse > 0 })
	then := counts()
	need.Until(t, "more tries", func() bool { return counts().InUse > then.InUse+4 })
	if now := counts(); now.Takeovers != then.Takeovers || then.Takeovers < 3 {
		t.Errorf("%d takeovers before, %d after", then.Takeovers, now.Takeovers)
	}
}
