package demo

import (
	"context"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bench/watch"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// kept is how many seconds of stalls the page draws.
const kept = 120

// side is a viewer of one stream.
type side struct {
	zero time.Time

	mu      sync.Mutex // guards what follows
	monitor *watch.Monitor
	stalled float64   // seconds, when history was sampled last
	history []float64 // stalled seconds of each of the last seconds
}

func newSide(zero time.Time) *side {
	return &side{zero: zero, monitor: watch.NewMonitor(zero, []time.Duration{Buffer})}
}

// watch feeds the viewer until ctx ends.
func (s *side) watch(ctx context.Context, h *hub.Hub, stream string) error {
	sub, err := h.Subscribe(stream, hub.SubscriberInfo{Protocol: "demo", Wait: true})
	if err != nil {
		return err
	}
	defer sub.Close()
	for {
		f, err := sub.Read(ctx)
		if err != nil {
			return err
		}
		seen := *f // the hub's is shared, and carries when it arrived at the relay
		seen.Arrival = time.Now()
		s.mu.Lock()
		s.monitor.Observe(&seen)
		s.mu.Unlock()
	}
}

// score is what the viewer has seen until now.
func (s *side) score(now time.Time) (stutter.Summary, stutter.PlayerSummary) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.report(now)
}

func (s *side) report(now time.Time) (stutter.Summary, stutter.PlayerSummary) {
	r := s.monitor.Report(now)
	if len(r.Score.Players) == 0 {
		return r.Score, stutter.PlayerSummary{}
	}
	return r.Score, r.Score.Players[0]
}

// sample books the second that has passed.
func (s *side) sample(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, p := s.report(now)
	stalled := p.StallSeconds
	if !p.Started { // nothing has been shown that could stand still
		stalled = 0
	}
	s.history = append(s.history, min(max(stalled-s.stalled, 0), 1))
	s.stalled = stalled
	if len(s.history) > kept {
		s.history = s.history[1:]
	}
}

func (s *side) seconds() []float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]float64{}, s.history...)
}
