package relay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/api"
	"github.com/fairlead-live/fairlead/bridge/config"
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
	where
	until time.Time
}

// where is what publishers are told, each in its protocol; empty: the same address.
type where struct{ to, rtmp string }

type drainRequest struct {
	within time.Duration
	where
}

// begin books a drain; false: there was one.
func (d *drainer) begin(within time.Duration, to where) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state != "" {
		return false
	}
	d.state, d.where, d.until = "draining", to, time.Now().Add(within)
	return true
}

// begun says whether no publishers are taken any more.
func (d *drainer) begun() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state != ""
}

// drain lets publishers move on, for as long as the configuration says; one that the API has begun is waited for.
func (r *Relay) drain(ctx context.Context) {
	cfg := r.config()
	to := where{cfg.DrainTo, cfg.DrainToRTMP}
	if cfg.Drain > 0 && r.drainer.begin(cfg.Drain, to) {
		r.drainNow(ctx, cfg.Drain, to)
		r.drained()
	}
}

// drainNow asks those who can be asked, and returns when they have gone or within is over.
func (r *Relay) drainNow(ctx context.Context, within time.Duration, to where) {
	r.ready.Store(false)
	r.log.Info("draining", "left_ms", within.Milliseconds(), "to", to.to, "to_rtmp", to.rtmp)
	r.bus.Publish(events.Drain, "", map[string]any{"state": "draining", "to": to.to, "to_rtmp": to.rtmp, "left_s": within.Seconds()})
	var wg sync.WaitGroup
	if r.quic != nil {
		wg.Go(func() { r.quic.Drain(ctx, within, to.to) })
	}
	if r.rtmpd != nil {
		wg.Go(func() { r.rtmpd.Drain(ctx, within, to.rtmp) })
	}
	wg.Wait()
}

// drained books the end of a drain.
func (r *Relay) drained() {
	r.drainer.mu.Lock()
	r.drainer.state = "drained"
	r.drainer.mu.Unlock()
	r.bus.Publish(events.Drain, "", map[string]any{"state": "drained", "publishers": r.Drained().Publishers})
}

// endTheRest ends, when the time they had is over, those who could not be asked or did not follow: SRT has a shutdown, upon which an encoder
// calls again; RTMP a status and the end of the connection.
func (r *Relay) endTheRest(ctx context.Context) {
	r.drainer.mu.Lock()
	left := time.Until(r.drainer.until)
	r.drainer.mu.Unlock()
	over := time.NewTimer(left)
	defer over.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for waiting := true; waiting; {
		if len(r.Drained().Publishers) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-over.C:
			waiting = false
		case <-ctx.Done():
			return
		}
	}
	for _, st := range r.hub.Streams() {
		if p := st.Publisher; p != nil && r.hub.Kick(st.Name) {
			r.log.Info("publisher ended: the relay is out of service", "stream", st.Name, "protocol", p.Protocol, "peer", p.Peer)
		}
	}
}

// Drain takes the relay out of service: no publisher is taken from then on, /readyz says no, those over QUIC and those over RTMP that
// understand it are asked to move on, to another relay where to and toRTMP name one, and whoever is left when the time is over is ended.
func (o operator) Drain(within time.Duration, to, toRTMP string) error {
	if within == 0 {
		within = drainUsual
	}
	if within < time.Second || within > drainMost {
		return fmt.Errorf("relay: %v to move on is outside 1 s to %v", within, drainMost)
	}
	if to != "" {
		if _, err := quiclink.ParseURL(to); err != nil {
			return fmt.Errorf("relay: where to: %w", err)
		}
	}
	if err := config.DrainToRTMP(toRTMP); err != nil {
		return fmt.Errorf("relay: where to over RTMP: %w", err)
	}
	if !o.drainer.begin(within, where{to, toRTMP}) {
		return ErrDraining
	}
	o.drainer.asked <- drainRequest{within, where{to, toRTMP}}
	return nil
}

// Drained says how far going out of service has come.
func (r *Relay) Drained() api.DrainState {
	r.drainer.mu.Lock()
	s := api.DrainState{State: r.drainer.state, To: r.drainer.to, ToRTMP: r.drainer.rtmp}
	if s.State != "" {
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
