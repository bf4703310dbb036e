package relay

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bench/emu"
	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/push"
)

// startQUIC is startRelay with its QUIC port open.
func startQUIC(t testing.TB, cfg config.Relay) *Relay {
	t.Helper()
	cfg.QUIC = "127.0.0.1:0"
	return startRelay(t, cfg)
}

// clipFile writes so many pictures of the clip, and the sound beside them, as MPEG-TS.
func clipFile(t testing.TB, pictures int) string {
	t.Helper()
	out, err := clip.TS(pictures)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "clip.ts")
	if err := os.WriteFile(name, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// lossy puts a link between publishers and a relay's QUIC port, and returns the URL that goes through it.
func lossy(t testing.TB, r *Relay, words string) (*emu.UDPProxy, string) {
	t.Helper()
	addr, _ := r.QUIC()
	link, err := netem.ParseWords(words)
	if err != nil {
		t.Fatal(err)
	}
	p, err := emu.NewUDPProxy(netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort(addr.String()), emu.Config{Up: link, Down: link, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p, strings.NewReplacer(addr.String(), p.Addr().String(), "latency=300ms", quicLatency()).Replace(r.QUICURL("live/cam"))
}

func quicLatency() string {
	if gapGiven() {
		return "latency=600ms"
	}
	return "latency=3s" // a loaded machine stands still for less
}

// pushClip pushes a file and follows what a player gets.
func pushClip(t *testing.T, r *Relay, file, url string) (*push.Push, *follower) {
	t.Helper()
	p, err := push.New(push.Config{Input: file, URLs: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	f := newFollower(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*need.Patience)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := watch(ctx, r.FLVURL("live/cam")+"?wait=30s", f.add); err != nil {
			t.Errorf("player: %v", err)
		}
	})
	wg.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Errorf("push: %v", err)
		}
	})
	wg.Wait()
	return p, f
}

// What a player gets over HTTP-FLV is what was pushed over QUIC, picture by picture, though one packet in twenty was lost
// each way.
func TestPushedFramesArriveIdentical(t *testing.T) {
	need.RealTime(t)
	const pictures = 150
	for _, c := range []struct{ name, link, more string }{
		{"clean link", "delay 1ms", ""},
		{"5 % loss, 60 ms", "delay 30ms loss 5%", ""},
		{"1 % loss, 60 ms, DATAGRAM", "delay 30ms loss 1%", "&transport=datagram"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := startQUIC(t, config.Relay{Key: []string{"live/cam"}})
			link, url := lossy(t, r, c.link)
			p, f := pushClip(t, r, clipFile(t, pictures), url+c.more)
			up, down := link.Counters()
			t.Logf("up: %v", up)
			t.Logf("down: %v", down)
			f.check(t, "player", pictures)
			if st := p.Status()[0]; st.FramesLost > 0 || st.FramesDelivered != st.FramesSent || st.Unsent > 0 {
				t.Errorf("frames: %d sent, %d delivered, %d lost, %d dropped by the publisher", st.FramesSent, st.FramesDelivered, st.FramesLost, st.Unsent)
			} else {
				t.Logf("of %d packets %d were repaired by FEC, %d by resends", st.Packets, st.RecoveredFEC, st.RecoveredResend)
			}
		})
	}
}

// Whoever has no token, or another one, is told so before any media, and does not try again.
func TestQUICToken(t *testing.T) {
	r := startQUIC(t, config.Relay{Key: []string{"live/cam=a-secret-of-16-characters"}})
	file, plain := clipFile(t, 30), r.QUICURL("live/cam")
	for _, bad := range []string{"", "&token=another"} {
		p, err := push.New(push.Config{Input: file, URLs: []string{plain + bad}})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(t.Context()); !errors.Is(err, push.ErrRefused) || !strings.Contains(err.Error(), "token") {
			t.Errorf("with %q: %v, want a refusal that says why", bad, err)
		}
	}
	p, err := push.New(push.Config{Input: file, URLs: []string{plain + "&token=a-secret-of-16-characters"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err != nil {
		t.Errorf("with the token: %v", err)
	}
}
