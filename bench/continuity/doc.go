// Package continuity scores what a relay does to a CDN tier when something around it breaks: a publisher that goes and comes back, the relay
// itself killed and started again, a destination that is restarted, one that stops reading.
//
//	publisher (ours) ─RTMP─▶ relay under test, a process ─RTMP push─▶ tier A, tier B (ours: raw RTMP servers that note every frame)
//
// The publisher sends the built-in clip, padded to a bitrate, each picture stamped with its number and the time it was written, so a tier
// knows how old what it gets is, whatever the relay did to its times. All relays get the same, in a process of their own, on loopback.
//
// Left to others: links that lose packets (bench/run), a viewer's stutter (bridge/stutter), flags (bench/cli).
package continuity

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"
)

// Config says what to run; zero values give the defaults named.
type Config struct {
	Peers     []Peer        // relays to test
	Scenarios []string      // of Scenarios; all
	Gap       time.Duration // the publisher is gone for this long; 20 s
	Stall     time.Duration // a destination does not read for this long; 30 s
	Times     int           // restarts of the relay and of a destination; 5
	Bitrate   int           // bits a second; 4,000,000
	Log       io.Writer     // what the relays say; nil: nowhere
}

func (c *Config) defaults() {
	c.Gap = cmp.Or(c.Gap, 20*time.Second)
	c.Stall = cmp.Or(c.Stall, 30*time.Second)
	c.Times = cmp.Or(c.Times, 5)
	c.Bitrate = cmp.Or(c.Bitrate, 4_000_000)
	if c.Log == nil {
		c.Log = io.Discard
	}
	if len(c.Scenarios) == 0 {
		for _, s := range scenarios {
			c.Scenarios = append(c.Scenarios, s.name)
		}
	}
}

// Figure is one measured value.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

func (f Figure) String() string {
	if f.Unit == "" {
		return fmt.Sprintf("%s %g", f.Name, f.Value)
	}
	return fmt.Sprintf("%s %.4g %s", f.Name, f.Value, f.Unit)
}

// Result is what one relay did in one scenario.
type Result struct {
	Peer     string   `json:"peer"`
	Scenario string   `json:"scenario"`
	Figures  []Figure `json:"figures"`
	Error    string   `json:"error,omitempty"`
}

// Run takes every relay through every scenario, one after another, and hands each result to emit as it is there.
// It returns ctx's error when that ends first.
func Run(ctx context.Context, cfg Config, emit func(Result)) error {
	cfg.defaults()
	for _, name := range cfg.Scenarios {
		var run func(context.Context, *rig) ([]Figure, error)
		for _, s := range scenarios {
			if s.name == name {
				run = s.run
			}
		}
		if run == nil {
			return fmt.Errorf("continuity: no scenario %q", name)
		}
		for _, p := range cfg.Peers {
			res := Result{Peer: p.Name, Scenario: name}
			figures, err := once(ctx, &cfg, p, run)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if res.Figures = figures; err != nil {
				res.Error = err.Error()
			}
			emit(res)
		}
	}
	return nil
}

func once(ctx context.Context, cfg *Config, p Peer, run func(context.Context, *rig) ([]Figure, error)) ([]Figure, error) {
	r, err := newRig(ctx, cfg, p)
	if err != nil {
		return nil, err
	}
	defer r.close()
	return run(r.ctx, r)
}
