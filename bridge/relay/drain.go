package relay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/api"
	"github.com/fairlead-live/fairlead/bridge/events"
	"github.com/fairlead-live/fairlead/transport/quiclink"
)

// Bounds of what the API may ask for, and what it gets without saying. Ours: several groups of pictures, and a coffee.
const (
	drainUsual = 30 * time.Second
	drainMost  = time.Hour
)

// ErrDraining is returned where the relay drains already: it does so once.
var ErrDraining = errors.New("relay: it drains, or has drained")

// drainer is what is known of going out of service.
type drainer struct {
	asked chan drainRequest // capacity 1

	mu    sync.Mutex // guards what follows
	state string     // empty: serving
	to    string
	until time.Time
}

type drainRequest struct {
	within time.Duration
	to     string
}

// begin books a drain; false: there was one.
func (d *drainer) begin(within time.Duration, to string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state != "" {
		return false
	}
	d.state, d.to, d.until = "draining", to, time.Now().Add(within)
	return true
}

// drain lets publishers move on, for as long as the configuration says; one that the API has begun is waited for.
func (r *Relay) drain(ctx context.Context) {
	cfg := r.config()
	if r.quic == nil || cfg.Drain == 0 {
		return
	}
	if r.drainer.begin(cfg.Drain, cfg.DrainTo) {
		r.drainNow(ctx, cfg.Drain, cfg.DrainTo)
	}
}

func (r *Relay) drainNow(ctx context.Context, within time.Duration, to string) {
	r.ready.Store(false)
	r.log.Info("draining", "left_ms", within.Milliseconds(), "to", to)
	r.bus.Publish(events.Drain, "", map[string]any{"state": "draining", "to": to, "left_s": within.Seconds()})
	r.quic.Drain(ctx, within, to)
	r.drainer.mu.Lock()
	r.drainer.state = "drained"
	r.drainer.mu.Unlock()
	r.bus.Publish(events.Drain, "", map[string]any{"state": "drained", "publishers": r.Drained().Publishers})
}

// Drain asks publishers over QUIC to move on, to another relay where to names one, and takes no new ones over QUIC from then on. /readyz says
// no. Publishers over SRT and RTMP cannot be asked; they stay until the relay ends.
func (o operator) Drain(within time.Duration, to string) error {
	if within == 0 {
		within = drainUsual
	}
	switch {
	case o.quic == nil:
		return errors.New("relay: only publishers over QUIC can be asked to move on, and QUIC is off")
	case within < time.Second || within > drainMost:
		return fmt.Errorf("relay: %v to move on is outside 1 s to %v", within, drainMost)
	}
	if to != "" {
		if _, err := quiclink.ParseURL(to); err != nil {
			return fmt.Errorf("relay: where to: %w", err)
		}
	}
	if !o.drainer.begin(within, to) {
		return ErrDraining
	}
	o.drainer.asked <- drainRequest{within, to}
	return nil
}

// Drained says how far going out of service has come.
func (r *Relay) Drained() api.DrainState {
	r.drainer.mu.Lock()
	s := api.DrainState{State: r.drainer.state, To: r.drainer.to}
	if s.State == "draining" {
		s.LeftS = max(0, time.Until(r.drainer.until).Seconds())
	}
	r.drainer.mu.Unlock()
	if s.State == "" {
		s.State = "serving"
	}
	s.Publishers = map[string]int{}
	for _, st := range r.hub.Streams() {
		if st.Publisher != nil {
			s.Publishers[st.Publisher.Protocol]++
		}
	}
	return s
}
