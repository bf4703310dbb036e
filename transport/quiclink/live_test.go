package quiclink

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/emu"
	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/wire"
)

var (
	liveFor     = flag.Duration("live", 0, "measure frames that arrive whole over lossy links for so long, in real time")
	liveStreams = flag.Int("live-streams", 10, "streams at once, each over a link with a seed of its own, from 1 on")
)

// The stream of the issue: 4 Mbit/s, 30 frames/s, a key frame of four times the mean every 2 s.
const (
	liveEvery = time.Second / 30
	liveGOP   = 60
	liveMean  = 4_000_000 / 8 / 30
	liveOWD   = 30 * time.Millisecond
	liveIn    = 200 * time.Millisecond
	liveSpare = 50 * time.Millisecond // of liveIn, beside two rounds of RTT + 10 ms and 10 ms to send
	liveFirst = 5 * time.Second       // the controller and the loss estimate settle; reported beside
)

// TestLiveFramesWhole measures, over loopback links of RTT 60 ms with random loss in both directions, the share of frames that
// is whole at the relay within 200 ms of their capture plus the one-way delay. It takes three times -live:
//
//	go test ./transport/quiclink -run LiveFramesWhole -live 60s -v
func TestLiveFramesWhole(t *testing.T) {
	if *liveFor == 0 {
		t.Log("run with -live 60s")
		return
	}
	host := watchStalls()
	defer host.close()
	for _, c := range []struct {
		loss int
		goal float64
	}{{5, 0.9999}, {10, 0.9995}, {20, 0.995}} {
		var sum, start tally
		var mu sync.Mutex // guards sum and start
		var wg sync.WaitGroup
		begin := time.Now()
		for seed := range *liveStreams {
			wg.Go(func() {
				time.Sleep(time.Duration(seed) * 2 * time.Second / time.Duration(*liveStreams)) // key frames not all at once
				a, b := liveStream(t, host, c.loss, uint64(seed+1))
				mu.Lock()
				defer mu.Unlock()
				start.add(a)
				sum.add(b)
			})
		}
		wg.Wait()
		share := float64(sum.whole) / float64(sum.frames)
		t.Logf("%2d %% loss each way: %.3f %% of %d frames whole in time (goal %.2f %%), %d of %d in the first %v; %.3f wire bytes a media byte, feedback %.1f %% of that",
			c.loss, 100*share, sum.frames, 100*c.goal, start.whole, start.frames, liveFirst,
			float64(sum.wire)/float64(sum.media), 100*float64(sum.feedback)/float64(sum.wire))
		t.Logf("     this process stood still for %.1f %% of the time, 5 ms and more at once; of the %d frames missing or late %d had less than two rounds left for it",
			100*host.during(begin, time.Now()).Seconds()/time.Since(begin).Seconds(), sum.frames-sum.whole, sum.host)
		if share < c.goal {
			t.Errorf("%d %% loss: %d frames of %d are missing or late", c.loss, sum.frames-sum.whole, sum.frames)
		}
	}
}

// tally counts frames and bytes.
type tally struct {
	frames, whole         int
	host                  int // of those that are not whole: where the host stood still for longer than liveSpare meanwhile
	media, wire, feedback uint64
}

func (t *tally) add(o tally) {
	t.frames, t.whole, t.host = t.frames+o.frames, t.whole+o.whole, t.host+o.host
	t.media, t.wire, t.feedback = t.media+o.media, t.wire+o.wire, t.feedback+o.feedback
}

// liveSink notes which frames came whole in time. A frame holds its number and the time of its capture.
type liveSink struct {
	mu    sync.Mutex
	begin time.Time
	whole map[uint32]bool
}

func (s *liveSink) Tracks([]wire.Track)   {}
func (s *liveSink) Done() <-chan struct{} { return nil }
func (s *liveSink) Close(End)             {}

func (s *liveSink) Payload(p *transport.Payload) error {
	if p.Flags.Has(transport.Config) || len(p.Data) < 12 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	capture := s.begin.Add(time.Duration(binary.BigEndian.Uint64(p.Data[4:])))
	s.whole[binary.BigEndian.Uint32(p.Data)] = p.Arrival.Sub(capture) <= liveIn+liveOWD
	return nil
}

func liveStream(t *testing.T, host *stallWatch, loss int, seed uint64) (start, rest tally) {
	sink := &liveSink{begin: time.Now(), whole: map[uint32]bool{}}
	l, err := Listen(Config{Addr: "127.0.0.1:0", Admit: func(Request) (Sink, error) { return sink, nil }})
	if err != nil {
		t.Error(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { _ = l.Serve(ctx) })
	link, err := netem.ParseWords(fmt.Sprintf("delay %v loss %d%%", liveOWD, loss))
	if err != nil {
		t.Error(err)
		return
	}
	proxy, err := emu.NewUDPProxy(netip.MustParseAddrPort("127.0.0.1:0"), addrPort(l.Addr()), emu.Config{Up: link, Down: link, Seed: seed})
	if err != nil {
		t.Error(err)
		return
	}
	defer proxy.Close()
	pin, _ := l.Pin()
	c, err := Dial(ctx, fmt.Sprintf("fairlead://%v/live/cam?pin=%s&latency=%v", proxy.Addr(), pin, liveIn), DialConfig{})
	if err != nil {
		t.Error(err)
		return
	}
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	data := make([]byte, 4*liveMean)
	begin, n := time.Now(), 0
	for ; time.Duration(n)*liveEvery < *liveFor; n++ {
		time.Sleep(time.Until(begin.Add(time.Duration(n) * liveEvery)))
		now := time.Now()
		f := transport.Frame{Codec: transport.H264, PTS: time.Duration(n) * liveEvery, DTS: time.Duration(n) * liveEvery, Capture: now}
		f.Data = data[:(liveGOP-4)*liveMean/(liveGOP-1)]
		if n%liveGOP == 0 {
			f.Flags, f.Data = transport.Key, data
		}
		binary.BigEndian.PutUint32(f.Data, uint32(n))
		binary.BigEndian.PutUint64(f.Data[4:], uint64(now.Sub(sink.begin)))
		_ = c.WriteFrame(&f)
	}
	_ = c.Close()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	cancel()
	wg.Wait()
	for i := range n {
		to := &rest
		if time.Duration(i)*liveEvery < liveFirst {
			to = &start
		}
		to.frames++
		if sink.whole[uint32(i)] {
			to.whole++
		} else if at := begin.Add(time.Duration(i) * liveEvery); host.during(at, at.Add(liveIn+liveOWD)) > liveSpare {
			to.host++
		}
	}
	st := c.Stats()
	const ipUDP = 28
	rest.feedback = st.Relay.BytesSent + st.Sender.Feedback*ipUDP
	rest.wire = st.Sender.BytesSent + st.Sender.Datagrams*ipUDP + rest.feedback
	rest.media = uint64(n) * liveMean
	if up, _ := proxy.Counters(); up.LateP99 > 2*time.Millisecond {
		t.Logf("seed %d: the link itself was %v late: the machine is too busy for the figures to count", seed, up.LateP99)
	}
	return start, rest
}
