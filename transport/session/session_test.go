package session

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport"
)

// grid is a 12 Mbit/s link with loss in both directions, and a configuration that fits it.
func grid(rtt, latency time.Duration, p, burst float64, seed uint64) (Config, *line, *line) {
	cfg := Config{Latency: latency, MaxBitrate: 8 * congestion.Mbps, Controller: &congestion.Fixed{Rate: 12 * congestion.Mbps}}
	up := &line{rate: 12 * congestion.Mbps, delay: rtt / 2, loss: newGilbert(p, burst, seed)}
	down := &line{rate: 12 * congestion.Mbps, delay: rtt / 2, loss: newGilbert(p, burst, seed+1000)}
	return cfg, up, down
}

func TestCleanPath(t *testing.T) {
	cfg, up, down := grid(60*time.Millisecond, 200*time.Millisecond, 0, 0, 1)
	w := newWorld(t, 1, cfg, up, down, video4M())
	w.run(20*time.Second, true)
	w.run(time.Second, false)
	s := w.sum()
	if s.InFlight != 0 || s.Lost != 0 || s.Recovered != 0 || s.FramesDelivered != s.FramesSent || s.FramesSent != 600 {
		t.Errorf("a clean path lost something: %+v", s)
	}
	if n := s.Drops.Total(); n != 0 {
		t.Errorf("%d drops: %v", n, s.Drops)
	}
	for _, g := range w.got {
		if late := g.at - g.capture - 230*time.Millisecond; late < -time.Millisecond || late > 3*time.Millisecond {
			t.Fatalf("frame of %v released after %v, want 230 ms and a packet's sending", g.capture, g.at-g.capture)
		}
	}
}

// Released as soon as in order: a frame takes little more than the way.
func TestInOrder(t *testing.T) {
	cfg, up, down := grid(60*time.Millisecond, 300*time.Millisecond, 0.02, 0, 1)
	cfg.InOrder = true
	w := newWorld(t, 1, cfg, up, down, video4M())
	w.run(20*time.Second, true)
	w.run(time.Second, false)
	s := w.sum()
	if s.FramesLost > 1 {
		t.Errorf("%d frames lost", s.FramesLost)
	}
	fast := 0
	for _, g := range w.got {
		if g.at-g.capture < 60*time.Millisecond {
			fast++
		}
	}
	if fast*10 < len(w.got)*5 {
		t.Errorf("%d of %d frames within 60 ms, want half or more at 2 %% loss", fast, len(w.got))
	}
}

// Where the latency may grow and frames leave as soon as they are in order, one that misses its deadline is late, not lost: less is sent for it, all come, and the slowest of a
// hundred hardly later.
func TestInOrderSpendsLessOnDeadlines(t *testing.T) {
	if testing.Short() {
		return // needs plans of its own
	}
	morePlans()
	run := func(most time.Duration) (p99 time.Duration, wire int) {
		var took []time.Duration
		for seed := range uint64(4) {
			cfg, up, down := grid(60*time.Millisecond, 190*time.Millisecond, 0.1, 0, seed)
			cfg.InOrder, cfg.MaxLatency = true, most
			w := newWorld(t, seed, cfg, up, down, video4M())
			w.run(25*time.Second, true)
			w.run(time.Second, false)
			if s := w.sum(); most > 0 && s.FramesLost > 0 {
				t.Errorf("seed %d: %d frames lost", seed, s.FramesLost)
			}
			for _, g := range w.got {
				took = append(took, g.at-g.capture)
			}
			wire += w.wire
		}
		slices.Sort(took)
		return took[len(took)*99/100], wire
	}
	strict, more := run(0)
	p99, wire := run(10 * time.Second)
	t.Logf("p99 %v with %d bytes, %v with %d where late is lost", p99, wire, strict, more)
	if wire >= more || p99 > strict+20*time.Millisecond {
		t.Errorf("p99 %v with %d bytes, and %v with %d where late is lost", p99, wire, strict, more)
	}
}

// Reports get lost and media does not: nothing is sent twice for it beyond a little.
func TestLossOnFeedbackOnly(t *testing.T) {
	cfg, up, down := grid(60*time.Millisecond, 200*time.Millisecond, 0, 0, 1)
	down.loss = newGilbert(0.2, 0, 3)
	w := newWorld(t, 1, cfg, up, down, video4M())
	w.run(20*time.Second, true)
	w.run(time.Second, false)
	if s := w.sum(); s.FramesLost > 0 || s.Resends > s.Sent/200 {
		t.Errorf("%d resends of %d packets, %d frames lost: %+v", s.Resends, s.Sent, s.FramesLost, s)
	}
}

// 300 ms of nothing in either direction: what was in it is lost, all after it is there.
func TestShortOutage(t *testing.T) {
	cfg, up, down := grid(60*time.Millisecond, 300*time.Millisecond, 0.01, 0, 1)
	dead := func(now time.Duration) bool { return now > 5*time.Second && now < 5300*time.Millisecond }
	up.dead, down.dead = dead, dead
	w := newWorld(t, 1, cfg, up, down, video4M())
	w.run(10*time.Second, true)
	w.run(time.Second, false)
	s := w.sum()
	if s.FramesLost > 12 {
		t.Errorf("%d frames lost to an outage of 9", s.FramesLost)
	}
	for _, g := range w.got {
		if g.at-g.capture > 335*time.Millisecond {
			t.Fatalf("frame of %v released after %v", g.capture, g.at-g.capture)
		}
	}
}

// The path stops for 8 s: the circuit breaker lets almost nothing out, and when it comes back media flows at once.
func TestCircuitBreaker(t *testing.T) {
	cfg, up, down := grid(60*time.Millisecond, 300*time.Millisecond, 0, 0, 1)
	dead := func(now time.Duration) bool { return now > 5*time.Second && now < 13*time.Second }
	up.dead, down.dead = dead, dead
	w := newWorld(t, 1, cfg, up, down, video4M())
	w.run(6500*time.Millisecond, true)
	before := w.wire
	w.run(6*time.Second, true)
	if sent := w.wire - before; sent > 100_000 {
		t.Errorf("%d bytes sent into 6 s of silence, want at most 100 kB", sent)
	}
	w.run(time.Second, true)
	if !w.tx.KeyframeWanted() {
		t.Error("frames were given up and no key frame is wanted")
	}
	w.run(3*time.Second, true)
	w.run(time.Second, false)
	s := w.sum()
	after := 0
	for _, g := range w.got {
		if g.capture > 14*time.Second+200*time.Millisecond {
			after++
		}
	}
	if after < 65 {
		t.Errorf("%d frames of the last 2.3 s arrived, want nearly all of 69", after)
	}
	t.Logf("%+v", s)
}

// Loss goes from 0 to 10 % and back: G8 of fec.md. Less than 1 % of the frames of the first second are lost, the target is
// met after two, and five seconds after the end the overhead is what it was.
func TestLossStep(t *testing.T) {
	first, then, seeds := 0, 0, uint64(5)
	if testing.Short() {
		seeds = 1
	}
	for seed := range 2 * seeds {
		burst := float64(seed % 2 * 3)
		cfg, up, down := grid(60*time.Millisecond, 300*time.Millisecond, 0, 0, seed)
		w := newWorld(t, seed, cfg, up, down, video4M())
		w.run(5*time.Second, true)
		up.loss = newGilbert(0.1, burst, seed+9)
		w.run(1400*time.Millisecond, true) // the frames of the first second are due
		one := w.sum().FramesLost
		w.run(time.Second, true)
		two := w.sum().FramesLost
		w.run(5*time.Second, true)
		first += int(one)
		then += int(w.sum().FramesLost - two)
		up.loss = nil
		w.run(5*time.Second, true)
		sent, base := w.wire, int(w.tx.stats.SourceBytes)+ipUDP*int(w.tx.nextMedia)
		w.run(2*time.Second, true)
		over := float64(w.wire-sent)/float64(int(w.tx.stats.SourceBytes)+ipUDP*int(w.tx.nextMedia)-base) - 1
		if over > 0.005 {
			t.Errorf("seed %d: overhead %.2f %% five seconds after the loss has ended", seed, 100*over)
		}
	}
	t.Logf("%d of %d frames lost in the first second of 10 %% loss, %d of %d after two", first, 60*seeds, then, 300*seeds)
	if first*100 >= int(60*seeds) && first > 1 || then > int(seeds) {
		t.Errorf("%d and %d frames lost", first, then)
	}
}

// A path that carries less than the encoder makes: frames are dropped by the sender, whole, and it says so.
func TestTooMuch(t *testing.T) {
	cfg, up, down := grid(60*time.Millisecond, 200*time.Millisecond, 0, 0, 1)
	cfg.Controller = &congestion.Fixed{Rate: 2 * congestion.Mbps}
	w := newWorld(t, 1, cfg, up, down, video4M())
	w.run(20*time.Second, true)
	w.run(time.Second, false)
	s := w.sum()
	if s.FramesLost == 0 || !w.tx.KeyframeWanted() {
		t.Errorf("twice the rate of the path and nothing was dropped: %+v", s)
	}
	if rate := float64(w.wire) * 8 / 20; rate > 2.1e6 {
		t.Errorf("%.2f Mbit/s on a pacer of 2", rate/1e6)
	}
	for _, g := range w.got {
		if g.at-g.capture > 235*time.Millisecond {
			t.Fatalf("frame of %v released after %v", g.capture, g.at-g.capture)
		}
	}
}

func TestMisuse(t *testing.T) {
	for _, cfg := range []Config{{Latency: time.Millisecond}, {MTU: 100}, {MaxBitrate: 1}, {Tag: 1 << 28}, {MaxLatency: time.Millisecond}} {
		if _, err := NewSender(epoch, cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
		if _, err := NewReceiver(epoch, cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
	s, err := NewSender(epoch, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.WriteFrame(epoch, &transport.Frame{Data: make([]byte, 16<<20)}); !errors.Is(err, transport.ErrFrameTooBig) {
		t.Errorf("a frame of 16 MiB: %v", err)
	}
	var last error
	for range 1000 {
		last = s.WriteFrame(epoch, &transport.Frame{Data: make([]byte, 20000)})
	}
	if !errors.Is(last, transport.ErrQueueFull) {
		t.Errorf("1000 frames at once: %v, want %v", last, transport.ErrQueueFull)
	}
	s.Close()
	if err := s.WriteFrame(epoch, &transport.Frame{}); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
