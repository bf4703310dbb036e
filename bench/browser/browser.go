// Package browser opens pages in a headless Chromium, for tests that must see what a person would: pixels that move, what the
// page says, and what the console complains of.
//
// What it leaves to others: where Chromium comes from (bench/need), what the page should show.
package browser

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/fairlead-live/fairlead/bench/need"
)

// Patience is how long anything may take: a busy machine is no fault of the page.
const Patience = time.Minute

// Tab is one page; it ends with its test.
type Tab struct {
	ctx context.Context

	mu   sync.Mutex // guards said
	said []string
}

// Open loads a page in a window of 1280 × 900.
func Open(t testing.TB, url string) *Tab {
	t.Helper()
	chromium := need.Program(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"), chromedp.UserDataDir(need.Dir(t)), chromedp.WSURLReadTimeout(Patience))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, stop := chromedp.NewContext(allocator)
	t.Cleanup(stop)
	tab := &Tab{ctx: ctx}
	chromedp.ListenTarget(ctx, tab.hear)
	tab.run(t, chromedp.Navigate(url))
	return tab
}

func (tab *Tab) hear(ev any) {
	text := ""
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		text = ev.ExceptionDetails.Error()
	case *log.EventEntryAdded:
		text = ev.Entry.Text
	case *runtime.EventConsoleAPICalled:
		if ev.Type != runtime.APITypeError {
			return
		}
		for _, a := range ev.Args {
			text += fmt.Sprintf("%s %s ", a.Value, a.Description)
		}
		if strings.Contains(text, "[MSEController]") {
			return // a busy machine gave the decoder too little, and it gave up: the page plays anew
		}
	default:
		return
	}
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.said = append(tab.said, text)
}

// Said returns what the console has complained of.
func (tab *Tab) Said() []string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return append([]string{}, tab.said...)
}

func (tab *Tab) run(t testing.TB, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(tab.ctx, actions...); err != nil {
		t.Fatalf("%v; the browser said %q", err, tab.Said())
	}
}

// Wait waits until a JavaScript expression is true.
func (tab *Tab) Wait(t testing.TB, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, Patience+10*time.Second) // the page keeps no time when it draws nothing
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.Poll(expression, nil, chromedp.WithPollingTimeout(Patience))); err != nil {
		t.Fatalf("%v: %s; the browser said %q", err, expression, tab.Said())
	}
}

// Text returns what an element says.
func (tab *Tab) Text(t testing.TB, selector string) (text string) {
	t.Helper()
	tab.run(t, chromedp.Text(selector, &text))
	return text
}

// Evaluate puts the value of a JavaScript expression into value.
func (tab *Tab) Evaluate(t testing.TB, expression string, value any) {
	t.Helper()
	tab.run(t, chromedp.Evaluate(expression, value))
}

// View makes the window another one, of CSS pixels, and light or dark as its user prefers.
func (tab *Tab) View(t testing.TB, width, height int64, dark bool) {
	t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	tab.run(t, chromedp.EmulateViewport(width, height), emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
}

// Drawn waits until a canvas has this many pixels that carry colour: a chart's axes are grey.
func (tab *Tab) Drawn(t testing.TB, selector string, pixels int) {
	t.Helper()
	tab.Wait(t, fmt.Sprintf(`(() => {
	const c = document.querySelector(%q);
	if (!c || !c.width || !c.height) return false;
	const copy = Object.assign(document.createElement('canvas'), {width: c.width, height: c.height}).getContext('2d', {willReadFrequently: true});
	copy.drawImage(c, 0, 0);
	const d = copy.getImageData(0, 0, c.width, c.height).data;
	let n = 0;
	for (let i = 0; i < d.length; i += 4) if (d[i + 3] > 100 && Math.max(d[i], d[i + 1], d[i + 2]) - Math.min(d[i], d[i + 1], d[i + 2]) > 60) n++;
	return n >= %d;
})()`, selector, pixels))
}

// Picture returns the whole page as a PNG.
func (tab *Tab) Picture(t testing.TB) (b []byte) {
	t.Helper()
	tab.run(t, chromedp.FullScreenshot(&b, 100))
	return b
}

// Moves waits until an element looks different from how it looked at first, by more than 1000 pixels.
func (tab *Tab) Moves(t testing.TB, selector string) {
	t.Helper()
	var first, again []byte
	tab.run(t, chromedp.Screenshot(selector, &first))
	moved := 0
	for end := time.Now().Add(Patience); moved < 1000 && time.Now().Before(end); {
		tab.run(t, chromedp.Sleep(200*time.Millisecond), chromedp.Screenshot(selector, &again))
		moved = differ(t, first, again)
	}
	if moved < 1000 {
		t.Errorf("%s stands still: %d pixels changed", selector, moved)
	}
}

// differ counts the pixels that are not the same in two PNGs, by more than noise.
func differ(t testing.TB, a, b []byte) (n int) {
	t.Helper()
	var m [2]image.Image
	for i, file := range [][]byte{a, b} {
		var err error
		if m[i], err = png.Decode(bytes.NewReader(file)); err != nil {
			t.Fatal(err)
		}
	}
	r := m[0].Bounds().Intersect(m[1].Bounds())
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			r1, g1, b1, _ := m[0].At(x, y).RGBA()
			r2, g2, b2, _ := m[1].At(x, y).RGBA()
			if max(r1, r2)-min(r1, r2)+max(g1, g2)-min(g1, g2)+max(b1, b2)-min(b1, b2) > 0x3000 {
				n++
			}
		}
	}
	return n
}
