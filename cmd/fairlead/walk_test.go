//go:build unix

package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/browser"
	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/page"
	"github.com/fairlead-live/fairlead/bridge/rtmpserver"
)

var walking = flag.Bool("walk", false, "run TestWalk: a new operator's first minutes, each timed (make walk)")

// walk is a new operator with a watch.
type walk struct {
	t     *testing.T
	begun time.Time
	last  time.Time
	table strings.Builder
	api   string
}

// done writes down how long a step took.
func (w *walk) done(format string, args ...any) {
	now := time.Now()
	fmt.Fprintf(&w.table, "| %s | %.1f s | %.1f s |\n", fmt.Sprintf(format, args...), now.Sub(w.last).Seconds(), now.Sub(w.begun).Seconds())
	w.last = now
}

// until waits for a condition, much longer than it should take.
func (w *walk) until(what string, so func() bool) {
	w.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !so(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("never: %s\n%s", what, w.table.String())
		}
	}
}

// get reads an answer of a server as JSON; false: not yet.
func get(address string, into any) bool {
	res, err := http.Get(address)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK && json.NewDecoder(res.Body).Decode(into) == nil
}

// stream is what the walk looks at of an API's stream.
type stream struct {
	State     string
	Bitrate   float64 `json:"bitrate_bps"`
	Publisher *struct{ Protocol string }
	Advice    []struct{ Rule, Text, Evidence string }
}

func (w *walk) stream(name string) (s stream) {
	_ = get("http://"+w.api+"/v1/streams/"+name, &s)
	return s
}

// kill ends a shell and what it started, at once, as a pulled plug would.
func kill(p *process) { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }

// A new operator's first minutes, with the README's commands and what they print.
func TestWalk(t *testing.T) {
	if !*walking {
		t.Log("make walk runs it")
		return
	}
	ffmpeg, prometheus := need.Program(t, "ffmpeg"), need.Program(t, "prometheus")
	w := &walk{t: t, begun: time.Now(), last: time.Now()}
	defer func() {
		t.Logf("\n| step | took | at |\n| --- | --- | --- |\n%s", w.table.String())
	}()
	finish(t, shell(t, "make build", "GOFLAGS=-buildvcs=false"), 10*time.Minute)
	w.done("make build")

	input := filepath.Join(t.TempDir(), "input.mp4")
	if out, err := exec.Command(ffmpeg, "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=640x360:r=30:d=300", "-f", "lavfi", "-i", "sine=d=300",
		"-c:v", "libx264", "-preset", "ultrafast", "-b:v", "1M", "-g", "60", "-c:a", "aac", input).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w.last = time.Now() // a new user has a film

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cdn, ctx := hub.New(hub.Config{Hold: time.Second}), t.Context()
	serving, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = rtmpserver.New(rtmpserver.Config{Hub: cdn}).Serve(serving, l) })
	t.Cleanup(func() { stop(); wg.Wait(); _ = cdn.Close() })
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.api = at.Addr().String()
	_ = at.Close()
	w.last = time.Now()
	relay := shell(t, "./bin/fairlead relay --key live/cam --key live/phone --key live/wrong", "FAIRLEAD_SRT=127.0.0.1:0", "FAIRLEAD_RTMP=127.0.0.1:0", "FAIRLEAD_HTTP=127.0.0.1:0",
		"FAIRLEAD_QUIC=127.0.0.1:0", "FAIRLEAD_API="+w.api)
	relay.find(t, `fairlead: ready`)
	w.done("`fairlead relay` is ready and has printed every address")

	// The lines it printed, with a film where they say INPUT.
	line := func(label, name string) string {
		all := regexp.MustCompile(`(?m)^  ` + label + `\s+(.*` + name + `.*)$`).FindStringSubmatch(relay.text())
		if all == nil {
			t.Fatalf("no line for %s, %s in\n%s", label, name, relay.text())
		}
		printed, _, _ := strings.Cut(all[1], "   (")
		return strings.Replace(strings.Replace(printed, "INPUT", input, 1), "fairlead push", "./bin/fairlead push --loop", 1)
	}
	camera := shell(t, line("ffmpeg, SRT", "live/cam"))
	w.until("ffmpeg is live", func() bool {
		s := w.stream("live/cam")
		return s.State == "live" && s.Publisher.Protocol == "srt" && s.Bitrate > 0
	})
	w.done("ffmpeg publishes over SRT")
	shell(t, line("fairlead, QUIC", "live/phone"))
	w.until("fairlead push is live", func() bool {
		s := w.stream("live/phone")
		return s.State == "live" && s.Publisher.Protocol == "quic" && s.Bitrate > 0
	})
	w.done("`fairlead push` publishes over QUIC")

	if page.Built() {
		tab := browser.Open(t, "http://"+w.api+"/")
		for _, name := range []string{"live/cam", "live/phone"} {
			card := `article[data-stream="` + name + `"]`
			tab.Wait(t, `document.querySelector('`+card+` video')?.currentTime > 1`)
			tab.Moves(t, card+" video")
			tab.Moves(t, card+" .chart")
		}
		if err := os.WriteFile(filepath.Join(t.ArtifactDir(), "walk.png"), tab.Picture(t), 0o600); err != nil {
			t.Error(err)
		}
		if said := tab.Said(); len(said) > 0 {
			t.Errorf("the console says %q", said)
		}
		w.done("both pictures move and both charts are drawn in Chromium, the console says nothing")
	} else {
		need.Missing(t, "the page is not built: make build builds it where Node is present")
	}

	res, err := http.Post("http://"+w.api+"/v1/streams/live/cam/outputs", "application/json", strings.NewReader(`{"urls":["rtmp://`+l.Addr().String()+`/live/streamkey"]}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	arrived := func() (frames, publishes uint64) {
		for _, s := range cdn.Streams() {
			if s.Name == "live/streamkey" {
				return s.Counts.Frames, s.Counts.Publishes
			}
		}
		return 0, 0
	}
	w.until("pictures at the destination", func() bool { n, _ := arrived(); return n > 60 })
	w.done("a destination is added by POST and has pictures")

	kill(camera)
	cut := time.Now()
	w.until("the relay notices", func() bool { return w.stream("live/cam").State == "held" })
	time.Sleep(time.Until(cut.Add(19 * time.Second)))
	before, _ := arrived()
	shell(t, line("ffmpeg, SRT", "live/cam"))
	w.until("it is back", func() bool { return w.stream("live/cam").State == "live" })
	w.until("pictures at the destination again", func() bool { n, _ := arrived(); return n > before+60 })
	if n, publishes := arrived(); publishes != 1 || n == 0 {
		t.Errorf("the destination saw %d publishes, want 1", publishes)
	}
	w.done("the publisher was killed and came back after 19 s; the destination saw one publish")

	address := scrape(t, prometheus, w.api)
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	w.until("Prometheus has the bit rate of both", func() bool {
		return get("http://"+address+"/api/v1/query?query="+url.QueryEscape(`fairlead_stream_bitrate_bps > 100000`), &answer) && len(answer.Data.Result) == 2
	})
	var rules struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health string }
			}
		}
	}
	w.until("Prometheus has judged the example alerts", func() bool {
		if !get("http://"+address+"/api/v1/rules", &rules) || len(rules.Data.Groups) == 0 {
			return false
		}
		for _, g := range rules.Data.Groups {
			for _, r := range g.Rules {
				if r.Health != "ok" {
					return false
				}
			}
		}
		return true
	})
	w.done("Prometheus of Debian has scraped both streams and judged the example alerts")

	shell(t, strings.Replace(line("ffmpeg, SRT", "live/wrong"), "latency=300000", "latency=300", 1)) // who reads ms where µs are meant
	said := ""
	w.until("the wrong latency is explained", func() bool {
		for _, a := range w.stream("live/wrong").Advice {
			if strings.Contains(a.Text, "microseconds") {
				said = a.Text + " (" + a.Evidence + ")"
				return true
			}
		}
		return false
	})
	w.done("`latency=300` in ffmpeg is explained")
	t.Logf("the relay says: %s", said)
	if took := time.Since(w.begun); took > 10*time.Minute {
		t.Errorf("it took %v, want ten minutes at most", took)
	}
}

// scrape starts a Prometheus that asks a relay each second, with the example alerts, and returns its address.
func scrape(t *testing.T, program, api string) string {
	t.Helper()
	alerts, err := filepath.Abs("../../docs/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	text := "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: ['" + alerts + "']\nscrape_configs: [{job_name: fairlead, static_configs: [{targets: ['" + api + "']}]}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	shell(t, fmt.Sprintf("exec %s --config.file=%s --storage.tsdb.path=%s/data --web.listen-address=%s", program, file, dir, address))
	return address
}
