//go:build unix

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bench/emu"
	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bench/watch"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/push"
	"github.com/fairlead-live/fairlead/bridge/rtmpserver"
)

var soakFor = flag.Duration("soak", 0, "how long TestSoak runs; 0s: not at all (make soak)")

// health is a relay's at one time, after a garbage collection.
type health struct {
	at                                time.Duration
	goroutines, heap, descriptors, rs float64
}

// gauges are what must not grow, and what a median of the last quarter of a run may have on one of the second.
var gauges = []struct {
	name  string
	of    func(health) float64
	share float64
	more  float64
}{
	{"goroutines", func(h health) float64 { return h.goroutines }, 1.10, 8},
	{"heap bytes", func(h health) float64 { return h.heap }, 1.15, 4 << 20},
	{"descriptors", func(h health) float64 { return h.descriptors }, 1.10, 8},
	{"resident bytes", func(h health) float64 { return h.rs }, 1.20, 24 << 20},
}

// A relay with publishers over QUIC and SRT through loss and over RTMP, one of each that stays and one that comes and goes, players that
// come and go, destinations that are added and removed, a configuration that is read again: nothing grows, and when all are gone nothing is left.
func TestSoak(t *testing.T) {
	if *soakFor == 0 {
		t.Log("make soak runs it")
		return
	}
	s := startSoak(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	empty := s.health(t, 0)
	var wg sync.WaitGroup
	s.load(ctx, &wg)
	var all []health
	every := max(*soakFor/120, 500*time.Millisecond)
	for begun := time.Now(); time.Since(begun) < *soakFor; time.Sleep(every) {
		all = append(all, s.health(t, time.Since(begun)))
	}
	cancel()
	wg.Wait()
	quarter := len(all) / 4
	for _, g := range gauges {
		early, late := median(all[quarter:2*quarter], g.of), median(all[3*quarter:], g.of)
		hours := (*soakFor / 2).Hours()
		t.Logf("%-14s second quarter %12.0f, last %12.0f: %+.1f %% (%+.0f an hour)", g.name, early, late, 100*(late/early-1), (late-early)/hours)
		if late > early*g.share+g.more {
			t.Errorf("%s grew from %.0f to %.0f", g.name, early, late)
		}
	}
	var last health
	for end := time.Now().Add(time.Minute); ; time.Sleep(500 * time.Millisecond) {
		last = s.health(t, 0)
		if last.goroutines <= empty.goroutines+4 && last.descriptors <= empty.descriptors+4 {
			break
		}
		if time.Now().After(end) {
			t.Errorf("left behind: %.0f goroutines and %.0f descriptors, at the start there were %.0f and %.0f", last.goroutines, last.descriptors, empty.goroutines, empty.descriptors)
			break
		}
	}
	t.Logf("publishers %d, players %d, outputs %d, reloads %d; afterwards %.0f goroutines (%.0f at the start), heap %.1f MB (%.1f), descriptors %.0f (%.0f)",
		s.publishers, s.players, s.outputs, s.reloads, last.goroutines, empty.goroutines, last.heap/1e6, empty.heap/1e6, last.descriptors, empty.descriptors)
	if s.publishers == 0 || s.players == 0 || s.outputs == 0 {
		t.Error("the load did not run")
	}
	s.relay.interrupt(t)
}

func median(all []health, of func(health) float64) float64 {
	var v []float64
	for _, h := range all {
		v = append(v, of(h))
	}
	slices.Sort(v)
	if len(v) == 0 {
		return 0
	}
	return v[len(v)/2]
}

type soak struct {
	t                    *testing.T
	relay                *process
	file                 string
	srt, rtmp, web, quic string
	api, pin, sink       string

	mu                                    sync.Mutex // guards what follows
	publishers, players, outputs, reloads int
}

func (s *soak) count(n *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
}

func startSoak(t *testing.T) *soak {
	t.Helper()
	s := &soak{t: t, file: filepath.Join(t.TempDir(), "relay.yaml")}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := hub.New(hub.Config{Hold: time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = rtmpserver.New(rtmpserver.Config{Hub: h}).Serve(ctx, l) })
	t.Cleanup(func() { cancel(); wg.Wait(); _ = h.Close() })
	s.sink = l.Addr().String()
	s.write(0)
	s.relay = startFairlead(t, "relay", "--config", s.file)
	ready := strings.Fields(s.relay.find(t, `fairlead: ready (srt=\S+ rtmp=\S+ http=\S+ quic=\S+)`))
	s.srt, s.rtmp, s.web, s.quic = ready[0][4:], ready[1][5:], ready[2][5:], ready[3][5:]
	s.pin = s.relay.find(t, `pin=([\w-]{43})`)
	words, err := netem.ParseWords("delay 20ms 5ms loss 3%")
	if err != nil {
		t.Fatal(err)
	}
	for i, to := range []*string{&s.quic, &s.srt} {
		p, err := emu.NewUDPProxy(netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort(*to), emu.Config{Up: words, Down: words, Seed: uint64(i)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		*to = p.Addr().String()
	}
	return s
}

// write makes the configuration, round by round with other destinations.
func (s *soak) write(round int) {
	if s.api == "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		s.api = l.Addr().String()
		_ = l.Close()
	}
	text := "srt: 127.0.0.1:0\nquic: 127.0.0.1:0\nrtmp: 127.0.0.1:0\nhttp: 127.0.0.1:0\napi: " + s.api + "\nhold: 2s\nlog: error\n" +
		"key: [live/quic, live/srt, live/rtmp, live/quic2, live/srt2, live/rtmp2]\npush:\n- live/quic=rtmp://" + s.sink + "/out/quic\n"
	if round%2 == 1 {
		text += "- live/srt=rtmp://" + s.sink + "/out/srt\n"
	}
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		s.t.Error(err)
	}
}

// load starts everybody, until ctx ends.
func (s *soak) load(ctx context.Context, wg *sync.WaitGroup) {
	urls := []string{
		"fairlead://" + s.quic + "/live/quic%s?latency=200ms&pin=" + s.pin, "srt://" + s.srt + "?streamid=publish:live/srt%s&latency=200ms", "rtmp://" + s.rtmp + "/live/rtmp%s",
	}
	for i, u := range urls {
		wg.Go(func() { s.again(ctx, 1<<40, func(ctx context.Context) { s.publish(ctx, fmt.Sprintf(u, "")) }) })
		wg.Go(func() {
			s.again(ctx, time.Duration(9+2*i)*time.Second, func(ctx context.Context) { s.publish(ctx, fmt.Sprintf(u, "2")) })
		})
	}
	for i, name := range []string{"live/quic.flv", "live/srt.ts", "live/rtmp.flv", "live/quic2.flv", "live/srt2.ts"} {
		wg.Go(func() {
			s.again(ctx, time.Duration(3+i)*time.Second, func(ctx context.Context) {
				s.count(&s.players)
				_ = watch.Read(ctx, "http://"+s.web+"/"+name, watch.Network{}, func(*media.Frame) {})
			})
		})
	}
	wg.Go(func() {
		s.again(ctx, 5*time.Second, func(ctx context.Context) {
			id := s.ask(ctx, http.MethodPost, "/v1/streams/live/rtmp/outputs", `{"urls":["rtmp://`+s.sink+`/out/more"]}`)
			<-ctx.Done()
			if _, id, ok := strings.Cut(id, `"id":"`); ok {
				s.count(&s.outputs)
				s.ask(context.WithoutCancel(ctx), http.MethodDelete, "/v1/outputs/"+strings.TrimRight(id, "\"}\n"), "")
			}
		})
	})
	wg.Go(func() {
		for round := 1; ; round++ {
			select {
			case <-ctx.Done():
				return
			case <-time.After(7 * time.Second):
				s.write(round)
				s.count(&s.reloads)
				_ = s.relay.cmd.Process.Signal(syscall.SIGHUP)
			}
		}
	})
}

// again lets f live for a while, over and over.
func (s *soak) again(ctx context.Context, life time.Duration, f func(context.Context)) {
	for ctx.Err() == nil {
		inner, cancel := context.WithTimeout(ctx, life)
		f(inner)
		cancel()
		select {
		case <-ctx.Done():
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func (s *soak) publish(ctx context.Context, url string) {
	src, err := clip.New()
	if err != nil {
		s.t.Error(err)
		return
	}
	p, err := push.New(push.Config{URLs: []string{url}, Source: func() (*media.Frame, error) { return src.Next(), nil }})
	if err != nil {
		s.t.Error(err)
		return
	}
	s.count(&s.publishers)
	_ = p.Run(ctx)
}

func (s *soak) ask(ctx context.Context, method, path, body string) string {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.api+path, strings.NewReader(body))
	if err != nil {
		return ""
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

// answerWithin is when a relay has hung, and is not only slow on a busy machine.
const answerWithin = 5 * time.Minute

// health collects the relay's garbage and reads its gauges.
func (s *soak) health(t *testing.T, at time.Duration) health {
	t.Helper()
	text := ""
	for end := time.Now().Add(answerWithin); text == ""; {
		s.ask(t.Context(), http.MethodGet, "/debug/pprof/heap?gc=1", "")
		if text = s.ask(t.Context(), http.MethodGet, "/metrics", ""); text == "" && time.Now().After(end) {
			_ = s.relay.cmd.Process.Signal(syscall.SIGQUIT) // it says where its goroutines stand
			time.Sleep(2 * time.Second)
			t.Fatalf("the relay has not answered for %v\n%s", answerWithin, s.relay.text())
		}
	}
	gauge := func(name string) float64 {
		_, v, _ := strings.Cut(text, "\n"+name+" ")
		v, _, _ = strings.Cut(v, "\n")
		f, err := strconv.ParseFloat(v, 64)
		if err != nil {
			t.Fatalf("%s: %v in %d bytes of metrics\n%s", name, err, len(text), s.relay.text())
		}
		return f
	}
	return health{at, gauge("go_goroutines"), gauge("go_memstats_heap_alloc_bytes"), gauge("process_open_fds"), gauge("process_resident_memory_bytes")}
}
