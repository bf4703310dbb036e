package session

import (
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

func grid(rtt time.Duration, latency time.Duration, p, burst float64, seed uint64) (Config, *line, *line) {
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
	if s.Drops.Total() != 0 {
		t.Errorf("drops = %v", s.Drops)
	}
	over := float64(w.wire)/float64(s.SourceBytes+28*s.Sent) - 1
	t.Logf("overhead %.2f %%, feedback %.2f %%, %v", 100*over, 100*float64(w.back)/float64(w.wire), w)
}

func TestRandomLoss(t *testing.T) {
	cfg, up, down := grid(60*time.Millisecond, 300*time.Millisecond, 0.10, 0, 1)
	w := newWorld(t, 1, cfg, up, down, video4M())
	w.run(20*time.Second, true)
	w.run(2*time.Second, false)
	s := w.sum()
	over := float64(w.wire)/float64(s.SourceBytes+28*s.Sent) - 1
	t.Logf("overhead %.2f %%, feedback %.2f %%, delta %v rtt %v var %v %v", 100*over, 100*float64(w.back)/float64(w.wire), w.tx.tracker.RoundDelay(), w.tx.tracker.RTT().Smoothed(), w.tx.tracker.RTT().Var(), w)
}
