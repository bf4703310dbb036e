package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

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
	chromium := need.Program(t, "chromium")
	if !page.Built() {
		need.Missing(t, "the page is not built: make build builds it where Node is present")
	}
	t.Parallel()
	// A link that loses little: this is about the page.
	d := start(t, Config{Link: "delay 10ms loss 1%", Latency: time.Second, Seed: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.WindowSize(1280, 800),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"), chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute))
	browser, stop := chromedp.NewExecAllocator(ctx, options...)
	defer stop()
	tab, stop := chromedp.NewContext(browser)
	defer stop()
	var mu sync.Mutex
	var said []string
	chromedp.ListenTarget(tab, func(ev any) {
		mu.Lock()
		defer mu.Unlock()
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			said = append(said, ev.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			said = append(said, ev.Entry.Text)
		case *runtime.EventConsoleAPICalled:
			if ev.Type == runtime.APITypeError {
				said = append(said, fmt.Sprint(ev.Args))
			}
		}
	})
	playing := chromedp.Poll(`[...document.querySelectorAll('video')].filter((v) => v.currentTime > 1).length === 2`, nil, chromedp.WithPollingTimeout(time.Minute))
	if err := chromedp.Run(tab, chromedp.Navigate(d.PageURL()), playing); err != nil {
		mu.Lock()
		t.Fatalf("%v; the browser said %q", err, said)
	}
	for _, name := range streams {
		video := `article[data-stream="` + name + `"] video`
		var first, again []byte
		if err := chromedp.Run(tab, chromedp.Screenshot(video, &first)); err != nil {
			t.Fatal(err)
		}
		moved := 0
		for end := time.Now().Add(30 * time.Second); moved < 1000 && time.Now().Before(end); {
			if err := chromedp.Run(tab, chromedp.Sleep(200*time.Millisecond), chromedp.Screenshot(video, &again)); err != nil {
				t.Fatal(err)
			}
			moved = differ(t, first, again)
		}
		if moved < 1000 {
			t.Errorf("%s stands still: %d pixels changed", name, moved)
		}
	}
	var whole []byte
	var text string
	if err := chromedp.Run(tab, chromedp.Text("#streams", &text), chromedp.FullScreenshot(&whole, 100)); err != nil {
		t.Fatal(err)
	}
	for _, want := range append(labels[:], "stood still", "packets") {
		if !bytes.Contains([]byte(text), []byte(want)) {
			t.Errorf("the page does not say %q: %q", want, text)
		}
	}
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), "demo.png"), whole, 0o600); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(said) > 0 {
		t.Errorf("the console says %q", said)
	}
}

// differ counts the pixels that are not the same in two PNGs.
func differ(t *testing.T, a, b []byte) (n int) {
	t.Helper()
	var m [2]image.Image
	for i, file := range [][]byte{a, b} {
		var err error
		if m[i], err = png.Decode(bytes.NewReader(file)); err != nil {
			t.Fatal(err)
		}
	}
	for y := m[0].Bounds().Min.Y; y < m[0].Bounds().Max.Y; y++ {
		for x := m[0].Bounds().Min.X; x < m[0].Bounds().Max.X; x++ {
			r1, g1, b1, _ := m[0].At(x, y).RGBA()
			r2, g2, b2, _ := m[1].At(x, y).RGBA()
			if max(r1, r2)-min(r1, r2)+max(g1, g2)-min(g1, g2)+max(b1, b2)-min(b1, b2) > 0x3000 {
				n++
			}
		}
	}
	return n
}
