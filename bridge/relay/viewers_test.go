package relay

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/browser"
	"github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/page"
)

// watching is ffmpeg as a player that decodes all it gets.
type watching struct {
	cmd  *exec.Cmd
	done chan struct{}
	said bytes.Buffer

	mu       sync.Mutex // guards what follows
	pictures int
	at       time.Duration // where it is in the stream
}

// watchWith starts it, and waits until it shows pictures.
func watchWith(t *testing.T, ffmpeg, url string) *watching {
	t.Helper()
	w := &watching{cmd: exec.Command(ffmpeg, "-v", "warning", "-nostdin", "-i", url, "-fps_mode", "passthrough", "-progress", "pipe:1", "-stats_period", "0.2", "-f", "null", "-"),
		done: make(chan struct{})}
	w.cmd.Stderr = &w.said
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(w.done)
		for in := bufio.NewScanner(out); in.Scan(); {
			name, value, _ := strings.Cut(in.Text(), "=")
			n, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil {
				continue
			}
			w.mu.Lock()
			switch name {
			case "frame":
				w.pictures = n
			case "out_time_us":
				w.at = time.Duration(n) * time.Microsecond
			}
			w.mu.Unlock()
		}
		_ = w.cmd.Wait()
	}()
	t.Cleanup(func() { _ = w.cmd.Process.Kill(); <-w.done })
	need.Until(t, url+" is shown", func() bool { n, _ := w.shown(); return n > 30 })
	return w
}

func (w *watching) shown() (pictures int, at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pictures, w.at
}

// Viewers of a publisher that is gone for a while keep playing, and see it when it is back, on the same connection: ffmpeg over HTTP-FLV, HTTP-TS and RTMP, and
// the relay's own page in Chromium. With -gap the gap of the figures.
func TestViewersPlayThroughAGap(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	ffmpeg := need.Program(t, "ffmpeg")
	need.Program(t, "chromium")
	if !page.Built() {
		need.Missing(t, "the page is not built: make build builds it where Node is present")
	}
	r := startRelay(t, config.Relay{Key: []string{"live/cam"}, API: "127.0.0.1:0", Hold: time.Minute})
	srt, _, _ := r.Addrs()
	var wg sync.WaitGroup
	publish := func() (end func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		wg.Go(func() { defer close(done); _ = publishClip(ctx, srt.String(), "live/cam") })
		return func() { cancel(); <-done }
	}
	end := publish()
	waitStream(t, r, "live/cam")
	tab := browser.Open(t, "http://"+r.api.Addr().String()+"/")
	tab.Wait(t, `document.querySelector('video')?.currentTime > 1`)
	// On a busy machine the decoder may give up, and the page plays anew, from 0: what counts is how much is played.
	tab.Evaluate(t, `(() => { const v = document.querySelector('video'); window.again = window.waited = window.played = 0; let last = v.currentTime;
v.addEventListener('emptied', () => window.again++); v.addEventListener('waiting', () => window.waited++);
setInterval(() => { const d = v.currentTime - last; if (d > 0) window.played += d; last = v.currentTime; }, 100); return 0; })()`, new(int))
	ways := map[string]*watching{
		"HTTP-FLV": watchWith(t, ffmpeg, r.FLVURL("live/cam")),
		"HTTP-TS":  watchWith(t, ffmpeg, strings.TrimSuffix(r.FLVURL("live/cam"), "flv")+"ts"),
		"RTMP":     watchWith(t, ffmpeg, r.rtmpURL("live/cam")),
	}
	played := func() (s float64) { tab.Evaluate(t, `window.played`, &s); return s }

	end()
	need.Until(t, "the publisher gone", func() bool { return !r.hub.Publishing("live/cam") })
	length := *gapFor + 3*time.Second // it takes 2 s until something is shown in its place
	gone := time.Now()
	type was struct {
		pictures int
		at       time.Duration
	}
	before := map[string]was{}
	for name, w := range ways {
		n, at := w.shown()
		before[name] = was{n, at}
	}
	tabBefore := played()
	time.Sleep(length)
	for name, w := range ways {
		n, at := w.shown()
		t.Logf("%s: %d pictures, %v on in a gap of %v", name, n-before[name].pictures, (at - before[name].at).Round(10*time.Millisecond), length)
	}
	tabThen := played()
	t.Logf("Chromium: %.1f s on in a gap of %v; the console says %q", tabThen-tabBefore, length, tab.Said())
	need.Until(t, "the gap shown by all", func() bool { // what is held is behind, and a busy machine more so
		for name, w := range ways {
			if n, at := w.shown(); at-before[name].at < length-2*time.Second || n <= before[name].pictures {
				return false
			}
		}
		return true
	})
	tab.Wait(t, fmt.Sprintf(`window.played > %f`, tabBefore+length.Seconds()-4))

	end = publish()
	defer wg.Wait()
	defer end()
	back := time.Now()
	for name, w := range ways {
		n, at := w.shown()
		before[name] = was{n, at}
	}
	for name, w := range ways {
		need.Until(t, name+" shows who is back", func() bool { n, _ := w.shown(); return n > before[name].pictures+2*clip.FrameRate })
		t.Logf("%s: two seconds of pictures %v after it is back, SRT's 2 s among them", name, time.Since(back).Round(10*time.Millisecond))
	}
	tab.Wait(t, fmt.Sprintf(`window.played > %f`, tabBefore+time.Since(gone).Seconds()))
	tab.Moves(t, "video")
	var state struct{ Again, Waited, Behind float64 }
	tab.Evaluate(t, `(() => { const b = document.querySelector('video').buffered; return {Again: window.again, Waited: window.waited,
Behind: b.length ? b.end(b.length - 1) - document.querySelector('video').currentTime : -1}; })()`, &state)
	t.Logf("Chromium: %+v, %v after it is back", state, time.Since(back).Round(10*time.Millisecond))
	if state.Again != 0 && gapGiven() {
		t.Errorf("the page's player was made anew: %+v", state)
	}
	for name, w := range ways {
		select {
		case <-w.done:
			t.Errorf("%s: the player has ended", name)
		default:
		}
		_ = w.cmd.Process.Kill()
		<-w.done
		for line := range strings.Lines(w.said.String()) {
			t.Errorf("%s: ffmpeg says %s", name, line)
		}
	}
	if got := r.streamNamed(t, "live/cam"); len(got.Subscribers) == 0 {
		t.Error("nobody watches")
	}
	if said := tab.Said(); len(said) > 0 {
		t.Errorf("the console says %q", said)
	}
}
