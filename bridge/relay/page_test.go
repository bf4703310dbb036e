package relay

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/log"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/page"
	"github.com/fairlead-live/fairlead/bridge/push"
)

// In a real browser: the picture moves, charts are drawn, the console says nothing.
func TestPageInChromium(t *testing.T) {
	chromium := need.Program(t, "chromium")
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

	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"), chromedp.UserDataDir(need.Dir(t)), chromedp.WSURLReadTimeout(2*need.Patience))
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
				for _, a := range ev.Args {
					said = append(said, fmt.Sprintf("%s %s", a.Value, a.Description))
				}
			}
		}
	})
	var first, second []byte
	var facts, state, out string
	var lines float64
	const tell = `addEventListener('error', e => e.target.error && console.error('media: ' + e.target.error.message), true)`
	if err := chromedp.Run(tab,
		chromedp.ActionFunc(func(ctx context.Context) error {
			_, err := cdppage.AddScriptToEvaluateOnNewDocument(tell).Do(ctx)
			return err
		}),
		chromedp.Navigate("http://"+r.api.Addr().String()+"/"),
		chromedp.Poll(`document.querySelector('video')?.currentTime > 1`, nil, chromedp.WithPollingTimeout(2*need.Patience)),
		chromedp.Poll(drawn+` >= 100`, nil, chromedp.WithPollingTimeout(2*need.Patience)), // samples of the charts
		chromedp.Screenshot("video", &first),
		chromedp.Text(".facts", &facts),
		chromedp.Text("h2 .state", &state),
		chromedp.Text(".outputs", &out),
		chromedp.Evaluate(drawn, &lines),
	); err != nil {
		mu.Lock()
		t.Fatalf("%v; the browser said %q", err, said)
	}
	need.Until(t, "the picture moves", func() bool {
		if err := chromedp.Run(tab, chromedp.Screenshot("video", &second)); err != nil {
			t.Fatal(err)
		}
		return differ(decode(t, first), decode(t, second)) >= 1000
	})
	if lines < 100 {
		t.Errorf("the charts are empty: %v inked pixels", lines)
	}
	if state != "live" || !bytes.Contains([]byte(facts), []byte("QUIC")) || !bytes.Contains([]byte(facts), []byte("H264")) {
		t.Errorf("state %q, facts %q", state, facts)
	}
	if bytes.Contains([]byte(out), []byte("secret")) || !bytes.Contains([]byte(out), []byte("127.0.0.1:9")) {
		t.Errorf("outputs %q", out)
	}
	mu.Lock()
	defer mu.Unlock()
	// A browser that gets too little of a busy machine may give its decoder up; the page then plays anew, as was seen above.
	said = slices.DeleteFunc(said, func(s string) bool {
		media := strings.Contains(s, "media: ") || strings.Contains(s, "[MSEController]")
		if media {
			t.Log(s)
		}
		return media
	})
	if len(said) > 0 {
		t.Errorf("the console says %q", said)
	}
}

// drawn counts the pixels of the first chart that carry colour: its axes are grey.
const drawn = `(() => {
	const c = document.querySelector('.chart canvas');
	if (!c || !c.width || !c.height) return 0;
	const copy = Object.assign(document.createElement('canvas'), {width: c.width, height: c.height}).getContext('2d', {willReadFrequently: true});
	copy.drawImage(c, 0, 0);
	const d = copy.getImageData(0, 0, c.width, c.height).data;
	let n = 0;
	for (let i = 0; i < d.length; i += 4) if (d[i + 3] > 100 && Math.max(d[i], d[i + 1], d[i + 2]) - Math.min(d[i], d[i + 1], d[i + 2]) > 60) n++;
	return n;
})()`

func decode(t *testing.T, b []byte) image.Image {
	t.Helper()
	m, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func differ(a, b image.Image) (n int) {
	for y := a.Bounds().Min.Y; y < a.Bounds().Max.Y; y++ {
		for x := a.Bounds().Min.X; x < a.Bounds().Max.X; x++ {
			r1, g1, b1, _ := a.At(x, y).RGBA()
			r2, g2, b2, _ := b.At(x, y).RGBA()
			if max(r1, r2)-min(r1, r2)+max(g1, g2)-min(g1, g2)+max(b1, b2)-min(b1, b2) > 0x3000 {
				n++
			}
		}
	}
	return n
}
