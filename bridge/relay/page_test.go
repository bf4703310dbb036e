package relay

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fairlead-live/fairlead/bench/browser"
	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/page"
	"github.com/fairlead-live/fairlead/bridge/push"
)

// In a real browser: the picture moves, charts are drawn, the console says nothing; and on a phone nothing is wider than the screen.
func TestPageInChromium(t *testing.T) {
	need.Program(t, "chromium")
	if !page.Built() {
		need.Missing(t, "the page is not built: make build builds it where Node is present")
	}
	r := startQUIC(t, config.Relay{Key: []string{"live/cam"}, API: "127.0.0.1:0", Push: []string{"live/cam=rtmp://127.0.0.1:9/live/secret"}})
	p, err := push.New(push.Config{Input: clipFile(t, 240), URLs: []string{r.QUICURL("live/cam")}, Loop: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*need.Patience)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { _ = p.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	waitStream(t, r, "live/cam")

	tab := browser.Open(t, "http://"+r.api.Addr().String()+"/")
	tab.Wait(t, `document.querySelector('video')?.currentTime > 1`)
	tab.Drawn(t, ".chart canvas", 100)
	tab.Moves(t, "video")
	facts, state, out := tab.Text(t, ".facts"), tab.Text(t, "h2 .state"), tab.Text(t, ".outputs")
	if state != "live" || !strings.Contains(facts, "QUIC") || !strings.Contains(facts, "H264") {
		t.Errorf("state %q, facts %q", state, facts)
	}
	if strings.Contains(out, "secret") || !strings.Contains(out, "127.0.0.1:9") {
		t.Errorf("outputs %q", out)
	}
	for _, v := range []struct {
		name  string
		width int64
		dark  bool
	}{{"phone", 390, false}, {"phone-dark", 390, true}, {"desk", 1440, false}, {"desk-dark", 1440, true}} {
		tab.View(t, v.width, 900, v.dark)
		tab.Wait(t, `document.querySelector('video')?.currentTime > 1`)
		var wide int64
		if tab.Evaluate(t, `document.documentElement.scrollWidth`, &wide); wide > v.width {
			t.Errorf("%s: the page is %d pixels wide", v.name, wide)
		}
		if err := os.WriteFile(filepath.Join(t.ArtifactDir(), v.name+".png"), tab.Picture(t), 0o600); err != nil { // -artifacts keeps them
			t.Error(err)
		}
	}
	if said := tab.Said(); len(said) > 0 {
		t.Errorf("the console says %q", said)
	}
}
