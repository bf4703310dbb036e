package session

import (
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/arq"
)

// A process that gets the processor every 20 ms only sends what its rate allows all the same: a packet or two for each turn
// would be less than a stream.
func TestWokenLate(t *testing.T) {
	s, err := NewSender(epoch, Config{Controller: &congestion.Fixed{Rate: 8 * congestion.Mbps}})
	if err != nil {
		t.Fatal(err)
	}
	f := transport.Frame{Codec: transport.H264, Flags: transport.Key, Data: make([]byte, 60_000)} // 60 ms
	if err := s.WriteFrame(epoch, &f); err != nil {
		t.Fatal(err)
	}
	sent, buf := 0, make([]byte, 0, 2000)
	turn := func(now time.Time) (n int) {
		for {
			b, ok := s.AppendDatagram(buf[:0], now)
			if !ok {
				return n
			}
			n += len(b)
		}
	}
	for at := time.Duration(0); at <= 100*time.Millisecond; at += 20 * time.Millisecond {
		n := turn(epoch.Add(at))
		sent += n
		if most := (8 * congestion.Mbps).Bytes(paceCatch) + 3000; n > most {
			t.Errorf("%d bytes at once, want at most %d", n, most)
		}
	}
	if sent < 60_000 {
		t.Errorf("%d of 60000 bytes sent in 100 ms at 8 Mbit/s", sent)
	}
	// After a rest nothing is caught up.
	if err := s.WriteFrame(epoch.Add(time.Second), &f); err != nil {
		t.Fatal(err)
	}
	if n := turn(epoch.Add(time.Second)); n > 5000 {
		t.Errorf("%d bytes at once after a rest", n)
	}
}

// A notice that packets were given up is said again when it was lost, while the receiver would wait for them; and no longer.
func TestNoticeIsSaidAgain(t *testing.T) {
	s, err := NewSender(epoch, Config{Latency: 200 * time.Millisecond, MaxLatency: time.Second, Controller: &congestion.Fixed{Rate: 8 * congestion.Mbps}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.WriteFrame(epoch, &transport.Frame{Codec: transport.H264, Data: make([]byte, 5000)}); err != nil {
		t.Fatal(err)
	}
	s.drop(0)
	it, ok := s.queues[queueControl].peek()
	if base, count := unpackNotice(it.ref); !ok || it.kind != sendNotice || base != 0 || count != s.picture(0).count {
		t.Fatalf("a drop queued %+v, %v", it, ok)
	}
	s.queues[queueControl].pop()
	for _, c := range []struct {
		at      time.Duration
		outcome arq.Outcome
		want    int
	}{{100 * time.Millisecond, arq.Acked, 0}, {200 * time.Millisecond, arq.Lost, 1}, {2 * time.Second, arq.Lost, 0}} {
		s.note(c.at, &arq.Event{Kind: arq.Notice, Ref: it.ref, Outcome: c.outcome})
		if got := s.queues[queueControl].len(); got != c.want {
			t.Errorf("%v at %v: %d notices wait, want %d", c.outcome, c.at, got, c.want)
		}
		s.queues[queueControl].head = s.queues[queueControl].tail
	}
}

// Sound goes ahead of pictures, but no further than its latency of one that is late already and has to be shown before it.
func TestSoundWaitsForItsTurn(t *testing.T) {
	for _, c := range []struct {
		most, later time.Duration
		first       bool // the sound goes before the picture
	}{
		{5 * time.Second, 100 * time.Millisecond, true},
		{5 * time.Second, 400 * time.Millisecond, false},
		{0, 400 * time.Millisecond, true}, // the picture will be lost, and the sound be in time
	} {
		s, err := NewSender(epoch, Config{Latency: 300 * time.Millisecond, MaxLatency: c.most, Controller: &congestion.Fixed{Rate: 8 * congestion.Mbps}})
		if err != nil {
			t.Fatal(err)
		}
		later := epoch.Add(c.later)
		for _, f := range []transport.Frame{
			{Codec: transport.H264, Flags: transport.Key, Capture: epoch, Data: make([]byte, 3000)},
			{Codec: transport.AAC, Track: 1, Capture: later, Data: make([]byte, 300)},
		} {
			if err := s.WriteFrame(later, &f); err != nil {
				t.Fatal(err)
			}
		}
		if _, ok := s.AppendDatagram(nil, later); !ok {
			t.Fatal("nothing to send")
		}
		if got := s.queues[queueAudio].len() == 0; got != c.first {
			t.Errorf("latency up to %v, sound %v after the picture: it went first: %v, want %v", c.most, c.later, got, c.first)
		}
	}
}

// What waits is counted as it comes and goes.
func TestWaitsAreCounted(t *testing.T) {
	cfg, up, down := grid(60*time.Millisecond, 300*time.Millisecond, 0.05, 3, 1)
	cfg.MaxLatency = time.Second
	cfg.Controller = congestion.New(congestion.Config{Max: 20 * congestion.Mbps})
	w := newWorld(t, 1, cfg, up, down, video4M())
	w.noPlans, w.source.sound = true, true
	for _, rate := range []congestion.Bitrate{6, 2, 1, 6, 1} {
		up.rate = rate * congestion.Mbps
		for range 20 {
			w.run(100*time.Millisecond, true)
			want := 0
			for i, end := w.tx.waiting(); i < end; i++ {
				if p := w.tx.picture(i); !p.dropped {
					want += p.bytes()
				}
			}
			if w.tx.waits != want {
				t.Fatalf("%d bytes are said to wait, %d do", w.tx.waits, want)
			}
		}
	}
	if w.tx.Stats().FramesDropped == (transport.FrameClasses{}) {
		t.Error("nothing was dropped: the test asks for nothing")
	}
}

// The last packet of a stream is lost, and nothing follows that would show it: a probe does, in time.
func TestLastPacketIsMissed(t *testing.T) {
	for _, most := range []time.Duration{0, 5 * time.Second} {
		cfg, up, down := grid(60*time.Millisecond, 300*time.Millisecond, 0, 0, 1)
		cfg.MaxLatency = most
		cfg.Controller = congestion.New(congestion.Config{Max: 20 * congestion.Mbps})
		w := newWorld(t, 1, cfg, up, down, video4M())
		w.noPlans, w.source.sound = true, true
		w.run(2*time.Second, true)
		w.run(90*time.Millisecond, false)
		up.dead = func(now time.Duration) bool { return now < 2100*time.Millisecond }
		if err := w.tx.WriteFrame(w.at(), &transport.Frame{Codec: transport.AAC, Track: 1, DTS: w.now, PTS: w.now, Data: make([]byte, 100)}); err != nil {
			t.Fatal(err)
		}
		w.soundsMade++
		w.drain()
		w.run(400*time.Millisecond, false)
		if w.sounds != w.soundsMade || !w.tx.Settled() {
			t.Errorf("latency up to %v: %d of %d sounds, settled: %v", most, w.sounds, w.soundsMade, w.tx.Settled())
		}
	}
}

// A window full of packets that were all lost, behind which frames wait, is asked about: no report comes of itself, for nothing arrives. The newest report came
// after the newest packet had left, so that the breaker waits for none.
func TestWindowOfLosses(t *testing.T) {
	s, err := NewSender(epoch, Config{Controller: fixedWindow{}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReceiver(epoch, Config{})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.WriteFrame(epoch, &transport.Frame{Codec: transport.H264, Flags: transport.Key, Data: make([]byte, 30_000)}); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 0, 2000)
	turn := func(at time.Duration, arrive int) (n int) {
		for {
			b, ok := s.AppendDatagram(buf[:0], epoch.Add(at))
			if !ok {
				return n
			}
			if n++; n <= arrive {
				r.HandleDatagram(epoch.Add(at+20*time.Millisecond), b)
			}
		}
	}
	at := time.Duration(0)
	report := func() []byte {
		at += 60 * time.Millisecond
		b, ok := r.AppendDatagram(nil, epoch.Add(at))
		if !ok {
			t.Fatal("no report")
		}
		return b
	}
	for range 12 { // the first packet arrives, and none of the others
		turn(at, 1-min(1, int(at)))
		at += time.Millisecond
	}
	b := report()
	s.HandleDatagram(epoch.Add(at), b)
	for range 12 {
		turn(at, 0)
		at += time.Millisecond
	}
	s.HandleDatagram(epoch.Add(at), b) // once more: the link made two of it
	if s.tracker.BytesInFlight() < (fixedWindow{}).Window() {
		t.Fatalf("%d bytes in flight: the window is not full", s.tracker.BytesInFlight())
	}
	wake := func(arrive int) (n int) {
		for range 10 {
			next := s.NextTimeout()
			if next.IsZero() {
				t.Fatal("it waits for ever")
			}
			at = max(at, next.Sub(epoch))
			if n = turn(at, arrive); n > 0 {
				break
			}
		}
		return n
	}
	if wake(1) != 1 {
		t.Fatal("no probe")
	}
	s.HandleDatagram(epoch.Add(at+60*time.Millisecond), report())
	if n := wake(0); n < 5 || at > time.Second {
		t.Errorf("%d packets go on, %v after the beginning", n, at)
	}
}

// fixedWindow is fast, with 10 packets in flight.
type fixedWindow struct{}

func (fixedWindow) Sent(time.Duration, int)                            {}
func (fixedWindow) Feedback(_, _ time.Duration, _ []congestion.Packet) {}
func (fixedWindow) PacingRate() congestion.Bitrate                     { return 50 * congestion.Mbps }
func (fixedWindow) Window() int                                        { return 12_000 }
func (fixedWindow) Target() congestion.Bitrate                         { return 50 * congestion.Mbps }
func (fixedWindow) Budget() congestion.Bitrate                         { return 50 * congestion.Mbps }
