package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/browser"
	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/page"
)

// start runs a demo until the test ends.
func start(t *testing.T, cfg Config) *Demo {
	t.Helper()
	cfg.HTTP = "127.0.0.1:0"
	d, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return d
}

// until waits for what the page gets to be so.
func until(t *testing.T, d *Demo, what string, so func(Score) bool) Score {
	t.Helper()
	var s Score
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		res, err := http.Get(d.PageURL() + "demo.json")
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(res.Body).Decode(&s)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if so(s) {
			return s
		}
	}
	t.Fatalf("%s: never; %+v", what, s)
	return s
}

// Both ways play; the links lose the same share and the score says so.
func TestBothWaysPlay(t *testing.T) {
	if testing.Short() {
		t.Skip("real time: make test runs it")
	}
	t.Parallel()
	d := start(t, Config{Link: "delay 5ms loss 5%", Latency: 500 * time.Millisecond, Seed: 1})
	s := until(t, d, "both play and lose packets", func(s Score) bool {
		for _, one := range s.Sides {
			if !one.Live || one.LinkLost == 0 || one.Repaired == 0 || len(one.History) < 2 {
				return false
			}
		}
		return len(s.Sides) == int(ways)
	})
	if s.LatencyMs != 500 || s.Link != "delay 5ms loss 5%" || s.Line() == "" {
		t.Errorf("%+v", s)
	}
}

func TestWrongLinkIsExplained(t *testing.T) {
	if _, err := Open(Config{HTTP: "127.0.0.1:0", Link: "los 5%"}); err == nil || !bytes.Contains([]byte(err.Error()), []byte("loss")) {
		t.Errorf("got %v, want ErrUsage %v with the nearest word", err, config.ErrUsage)
	}
}

// In a real browser both pictures move and the console says nothing.
func TestSideBySideInChromium(t *testing.T) {
	if testing.Short() {
		t.Skip("real time: make test runs it")
	}
	if !page.Built() {
		need.Missing(t, "the page is not built: make build builds it where Node is present")
	}
	t.Parallel()
	// A link that loses little: this is about the page.
	d := start(t, Config{Link: "delay 10ms loss 1%", Latency: time.Second, Seed: 1})
	tab := browser.Open(t, d.PageURL())
	tab.Wait(t, `[...document.querySelectorAll('video')].filter((v) => v.currentTime > 1).length === 2`)
	for _, name := range streams {
		tab.Moves(t, `article[data-stream="`+name+`"] video`)
	}
	text := tab.Text(t, "#streams")
	for _, want := range append(labels[:], "stood still", "packets") {
		if !bytes.Contains([]byte(text), []byte(want)) {
			t.Errorf("the page does not say %q: %q", want, text)
		}
	}
	for name, width := range map[string]int64{"demo": 1280, "demo-phone": 390} {
		tab.View(t, width, 900, width < 500)
		var wide int64
		if tab.Evaluate(t, `document.documentElement.scrollWidth`, &wide); wide > width {
			t.Errorf("%s: the page is %d pixels wide", name, wide)
		}
		if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name+".png"), tab.Picture(t), 0o600); err != nil {
			t.Error(err)
		}
	}
	if said := tab.Said(); len(said) > 0 {
		t.Errorf("the console says %q", said)
	}
}
