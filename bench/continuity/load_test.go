package continuity

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/transport/srtlink"
)

var (
	loadStreams = flag.Int("load", 0, "streams of TestLoad, which is a study: latency, CPU and memory of relays with so many at once")
	loadFor     = flag.Duration("load-for", 20*time.Second, "how long")
	loadSpread  = flag.Bool("load-spread", false, "the streams' key frames are spread over a group of pictures, as those of encoders are; else they come at once")
	loadIn      = flag.String("load-in", "rtmp", "how they come: rtmp, or srt (fairlead alone)")
	loadProgram = flag.String("load-program", "", "fairlead `FILE`; more, with commas between, are compared with the first")
)

// loadRound is how often TestLoad compares what the relays have used.
const loadRound = 5 * time.Second

// loaded is one relay under load.
type loaded struct {
	name string
	pid  int
	tier *tier
	idle float64 // resident megabytes before the first stream
	api  string  // of fairlead
	stop func()
}

// residentMB is what of a process's own memory is resident: the pages of its program, which nobody has to himself and which come as they are used,
// are not in it.
func residentMB(t *testing.T, pid int) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, anon, ok := strings.Cut(string(b), "RssAnon:")
	if !ok {
		t.Fatal("no RssAnon")
	}
	kib, err := strconv.ParseFloat(strings.Fields(anon)[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib * 1024 / 1e6
}

// TestLoad carries -load streams of 4 Mbit/s through fairlead and, over RTMP, nginx-rtmp at the same time, so that both see the same machine.
//
//	go build -o /tmp/fairlead ./cmd/fairlead
//	go test ./bench/continuity -run TestLoad -v -load 30 -load-in srt -load-program /tmp/fairlead
func TestLoad(t *testing.T) {
	if *loadStreams == 0 {
		return
	}
	var peers []Peer
	for program := range strings.SplitSeq(*loadProgram, ",") {
		peers = append(peers, Fairlead(program))
	}
	if *loadIn == "rtmp" {
		others, _ := Peers()
		peers = append(peers, others...)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var relays []loaded
	for _, p := range peers {
		relays = append(relays, startLoad(ctx, t, p))
	}
	defer func() {
		for _, r := range relays {
			r.stop()
			r.tier.kill()
		}
	}()
	time.Sleep(5 * time.Second)
	used := func() (cpu []float64) {
		for _, r := range relays {
			cpu = append(cpu, processorSeconds(t, r.pid))
		}
		return cpu
	}
	first := used()
	var told []delays
	for _, r := range relays {
		told = append(told, delaysOf(t, r.api))
	}
	began := time.Now()
	ratios := make([][]float64, len(relays)) // of each round
	for before := first; time.Since(began) < *loadFor; {
		time.Sleep(min(loadRound, *loadFor-time.Since(began)))
		now := used()
		for i := range relays {
			ratios[i] = append(ratios[i], (now[0]-before[0])/(now[i]-before[i]))
		}
		before = now
	}
	span := time.Since(began)
	cpu := used()
	for i, r := range relays {
		cpu[i] -= first[i]
		var age []time.Duration
		got, _ := r.tier.arrivals()
		for _, a := range got {
			if a.stamped && !a.audio && a.at.After(began) {
				age = append(age, a.age)
			}
		}
		slices.Sort(age)
		if len(age) == 0 {
			t.Fatalf("%s: nothing arrives", r.name)
		}
		at := func(p float64) float64 { return 1000 * age[int(p*float64(len(age)-1))].Seconds() }
		want := float64(*loadStreams) * clip.FrameRate * span.Seconds()
		mb := residentMB(t, r.pid)
		t.Logf("%-10s %d streams %s: latency ms p50 %.1f p95 %.1f p99 %.1f; %.3f CPU-s a stream-minute; %.1f MB, %.2f a stream; %.2f %% of the pictures", r.name, *loadStreams, *loadIn,
			at(.5), at(.95), at(.99), cpu[i]/float64(*loadStreams)/span.Minutes(), mb, (mb-r.idle)/float64(*loadStreams), 100*float64(len(age))/want)
		if r.api != "" {
			t.Logf("%-10s the bridge alone, from a frame's last byte to the destination's socket: %s", r.name, delaysOf(t, r.api).since(told[i]))
		}
	}
	for i, r := range relays[1:] {
		t.Logf("CPU time of fairlead / %s: %.2f, in rounds of %v: %.2f", r.name, cpu[0]/cpu[i+1], loadRound, ratios[i+1])
	}
}

// startLoad starts a relay with one destination and its publishers.
func startLoad(ctx context.Context, t *testing.T, p Peer) loaded {
	t.Helper()
	tier, err := newTier()
	if err != nil {
		t.Fatal(err)
	}
	tier.buffer = 1 << 20
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	in := l.Addr().String()
	a, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	api := a.Addr().String()
	_, _ = l.Close(), a.Close()
	if p.Name == "fairlead" {
		p.Args = []string{"relay", "--srt", in, "--quic", "", "--http", "", "--api", api, "--rtmp", in, "--log", "warn"}
		for i := range *loadStreams {
			p.Args = append(p.Args, "--key", fmt.Sprintf("live/cam%d", i), "--push", fmt.Sprintf("live/cam%d=rtmp://%s/live/cam%d", i, tier.addr, i))
		}
	} else {
		api = ""
		p.Files["nginx.conf"] = strings.Replace(p.Files["nginx.conf"], "push {a}; push {b};", "push rtmp://"+tier.addr+"/live;", 1)
	}
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := p.start(dir, in, "", "", log)
	if err != nil {
		t.Fatal(err)
	}
	if !until(ctx, 10*time.Second, func() bool { c, err := net.Dial("tcp", in); return err == nil && c.Close() == nil }) {
		b, _ := os.ReadFile(log.Name())
		t.Fatalf("%s does not listen: %s", p.Name, b)
	}
	idle := residentMB(t, cmd.Process.Pid)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i := range *loadStreams {
		name := fmt.Sprintf("live/cam%d", i)
		wg.Go(func() {
			over := time.Second / clip.FrameRate // encoders are not in step
			if *loadSpread {
				over = 2 * time.Second // the clip's group of pictures
			}
			time.Sleep(time.Duration(i) * over / time.Duration(*loadStreams))
			if *loadIn == "srt" {
				if err := publishSRT(ctx, in, name); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				return
			}
			s, err := newSourceOf(ctx, in, name, 4_000_000, 0)
			if err != nil {
				t.Error(err)
				return
			}
			<-ctx.Done()
			s.kill()
		})
	}
	return loaded{p.Name, cmd.Process.Pid, tier, idle, api, func() {
		cancel()
		wg.Wait()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if b, _ := os.ReadFile(log.Name()); len(b) > 0 {
			t.Logf("%s said: %s", p.Name, b[:min(len(b), 2000)])
		}
		_ = log.Close()
	}}
}

// publishSRT publishes the clip as MPEG-TS; a picture's time is stamped right before its first byte goes to the socket's queue.
func publishSRT(ctx context.Context, addr, name string) error {
	src, err := clip.New()
	if err != nil {
		return err
	}
	mux, err := src.Muxer()
	if err != nil {
		return err
	}
	conn, err := srtlink.Dial(addr, srtlink.DialConfig{StreamID: "publish:" + name, Latency: 120 * time.Millisecond})
	if err != nil {
		return err
	}
	defer conn.Close()
	begin := time.Now()
	var out []byte
	for n := uint32(0); ; {
		f := src.Next()
		select {
		case <-time.After(time.Until(begin.Add(f.DTS))):
		case <-ctx.Done():
			return nil
		}
		g := *f
		if g.Codec.IsVideo() {
			g.Payload = stamped(g.Payload, stamp{time.Now(), n, g.DTS}, 4_000_000/8/clip.FrameRate)
			n++
		}
		out = mux.AppendFrame(out[:0], &g)
		for b := out; len(b) > 0; b = b[min(len(b), 1316):] {
			if _, err := conn.Write(b[:min(len(b), 1316)]); err != nil {
				return err
			}
		}
	}
}

// processorSeconds is what a process has used.
func processorSeconds(t *testing.T, pid int) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) / 100 // USER_HZ
}
