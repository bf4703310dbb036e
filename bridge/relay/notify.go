package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/fairlead-live/fairlead/bridge/auth"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/events"
	"github.com/fairlead-live/fairlead/bridge/hub"
)

// Events returns what happens here, for programs that have a relay in their process.
func (r *Relay) Events() *events.Bus { return r.bus }

// notify tells the bus what changes in the hub.
func (r *Relay) notify(c hub.Change) {
	who := map[string]any{"protocol": c.Publisher.Protocol, "peer": c.Publisher.Peer}
	switch c.Kind {
	case hub.Published:
		r.bus.Publish(events.Publish, c.Stream, who)
	case hub.Unpublished:
		if why := reason(c.Err); why != "" {
			who["reason"] = why
		}
		r.bus.Publish(events.Unpublish, c.Stream, who)
	case hub.Held:
		r.bus.Publish(events.Hold, c.Stream, nil)
	case hub.Resumed:
		r.bus.Publish(events.Resume, c.Stream, who)
	case hub.Ended:
		r.bus.Publish(events.End, c.Stream, nil)
	case hub.StallBegun:
		r.bus.Publish(events.StallBegin, c.Stream, map[string]any{"cause": c.Cause.String()})
	case hub.StallEnded:
		r.bus.Publish(events.StallEnd, c.Stream, map[string]any{"cause": c.Cause.String(), "seconds": math.Round(c.For.Seconds()*10) / 10})
	}
}

// reason is why a publisher ended; empty: it said good-bye.
func reason(err error) string {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, hub.ErrClosed) {
		return ""
	}
	return err.Error()
}

// webhooks makes what the configuration names.
func (r *Relay) makeWebhooks(cfg *config.Relay) error {
	secret, err := auth.Secret(cfg.WebhookSecret)
	if err != nil {
		return fmt.Errorf("%w: webhook-secret: %w", config.ErrUsage, err)
	}
	for i, u := range cfg.Webhook {
		r.webhooks = append(r.webhooks, &events.Webhook{URL: u, Secret: []byte(secret), Logger: r.log.With("webhook", i+1)})
	}
	return nil
}

// Webhooks returns what became of the events, in the order of the configuration.
func (r *Relay) Webhooks() []events.WebhookStats {
	var out []events.WebhookStats
	for _, w := range r.webhooks {
		out = append(out, w.Stats())
	}
	return out
}

// runWebhooks posts until ctx ends, and waits for all.
func (r *Relay) runWebhooks(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, w := range r.webhooks {
		wg.Go(func() { _ = w.Run(ctx, r.bus) })
	}
	return nil
}
