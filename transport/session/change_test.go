package session

import (
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport/srtp"
	"github.com/fairlead-live/fairlead/transport/wire"
)

func sealer(t *testing.T, n byte) *srtp.Sealer {
	t.Helper()
	s, err := srtp.NewSealer(masterKeys(n))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func opener(t *testing.T, epoch uint32, n byte) *srtp.Opener {
	t.Helper()
	o := srtp.NewOpener()
	if err := o.SetKeys(epoch, masterKeys(n)); err != nil {
		t.Fatal(err)
	}
	return o
}

// The connection is lost and made again within the latency: not a frame is missing.
func TestResume(t *testing.T) {
	cfg, up, down := grid(40*time.Millisecond, 400*time.Millisecond, 0, 0, 1)
	w := newWorld(t, 1, cfg, up, down, video4M())
	w.run(5*time.Second, true)
	dead := func(time.Duration) bool { return true }
	up.dead, down.dead = dead, dead
	w.run(150*time.Millisecond, true)
	up.dead, down.dead = nil, nil
	w.events = nil // the old connection's packets no longer find a session
	w.tx.Resume(w.at(), 77, sealer(t, 11), opener(t, 0, 12))
	w.rx.Resume(77, sealer(t, 12), opener(t, 0, 11))
	w.run(5*time.Second, true)
	w.run(time.Second, false)
	s := w.sum()
	if s.FramesLost > 0 || s.FramesDelivered != s.FramesSent {
		t.Errorf("%d of %d frames lost over a resumption", s.FramesLost, s.FramesSent)
	}
}

// Keys change in the middle: nothing is lost, and the packets say which epoch they are of.
func TestRekey(t *testing.T) {
	cfg, up, down := grid(40*time.Millisecond, 200*time.Millisecond, 0.02, 0, 1)
	w := newWorld(t, 1, cfg, up, down, video4M())
	w.run(3*time.Second, true)
	for epoch := uint32(1); epoch < 4; epoch++ {
		for _, step := range []error{
			w.rx.cfg.Open.SetKeys(epoch, masterKeys(byte(20+epoch))), w.tx.cfg.Open.SetKeys(epoch, masterKeys(byte(30+epoch))),
			w.tx.cfg.Seal.SetKeys(masterKeys(byte(20 + epoch))), w.rx.cfg.Seal.SetKeys(masterKeys(byte(30 + epoch))),
		} {
			if step != nil {
				t.Fatal(step)
			}
		}
		w.tx.SetEpoch(epoch)
		w.rx.SetEpoch(epoch)
		seen := false
		w.onUp = func(b []byte) {
			h, _, _ := wire.ParseRTP(b)
			seen = seen || h.SSRC&15 == epoch
		}
		w.run(2*time.Second, true)
		if !seen {
			t.Errorf("no packet of epoch %d", epoch)
		}
	}
	w.run(time.Second, false)
	if s := w.sum(); s.FramesLost > 0 || s.Drops.Total() > s.Sent/100 {
		t.Errorf("%d frames lost, drops %v", s.FramesLost, s.Drops)
	}
}

// The path turns out to carry less in a packet, and takes longer: datagrams shrink, and frames are due later.
func TestPathChanges(t *testing.T) {
	cfg, up, down := grid(40*time.Millisecond, 100*time.Millisecond, 0, 0, 1)
	w := newWorld(t, 1, cfg, up, down, video4M())
	w.run(3*time.Second, true)
	up.delay, down.delay = 100*time.Millisecond, 100*time.Millisecond
	w.run(50*time.Millisecond, true)
	w.tx.SetMTU(900)
	w.rx.PathChanged()
	w.run(300*time.Millisecond, true)
	w.onUp = func(b []byte) {
		if len(b) > 900+wire.RepairHeaderSize {
			t.Fatalf("a datagram of %d bytes", len(b))
		}
	}
	before := len(w.got)
	w.run(3*time.Second, true)
	if got := len(w.got) - before; got < 88 {
		t.Errorf("%d of 90 frames after the path got 60 ms longer than a latency of 100 allows", got)
	}
}

// A stream that moves to a path with twice the delay and half the rate takes the one for no queue, and finds the other.
func TestHandoverBeginsAnew(t *testing.T) {
	cfg, up, down := grid(40*time.Millisecond, 500*time.Millisecond, 0.01, 0, 1)
	cfg.Controller = congestion.New(congestion.Config{Max: 20 * congestion.Mbps})
	w := newWorld(t, 1, cfg, up, down, video4M())
	w.noPlans = true
	w.run(5*time.Second, true)
	up.delay, down.delay, up.rate = 80*time.Millisecond, 80*time.Millisecond, 6*congestion.Mbps
	next := congestion.New(congestion.Config{Max: 20 * congestion.Mbps, Start: w.tx.Target() / 2})
	w.tx.PathChanged(w.at(), next)
	w.rx.PathChanged()
	w.run(5*time.Second, true)
	if least := w.tx.tracker.RTT().Min(); least < 155*time.Millisecond {
		t.Errorf("the least round trip is %v, which is the old path's", least)
	}
	if q := next.Queue(); q > 100*time.Millisecond {
		t.Errorf("the new path's delay is taken for %v of queue", q)
	}
	if r := next.Rate(); r < 4*congestion.Mbps || r > 9*congestion.Mbps {
		t.Errorf("%d kbit/s granted on 6 Mbit/s", r/1000)
	}
	w.run(2*time.Second, false)
	if s := w.sum(); s.FramesLost > 15 { // 32, and 128 not sent, with what was known of the old path
		t.Errorf("%d of %d frames lost, dropped %v", s.FramesLost, s.FramesSent, s.FramesDropped)
	}
}
