// Package bound says what is physically possible over a link of the bench: the least that a scheme has to send, and why nothing is known
// where nothing is.
//
//	netem.Config up, down ─▶ Of ─▶ Limit{Wire: 1.12}            1.12 bytes sent per byte of media, at least
//	                              Limit{Why: "a trace …"}      no closed model
//
// It is package fec/limit's answer at physics: packets sent / packets of media at which at most [Target] of the frames are not whole in time, a
// round of recovery takes one RTT and nothing else, reports are free and never lost. Headers, sound, reports and probes are not in it.
// It is known where the RTT is fixed and losses are independent or a simple Gilbert process; corrupted packets count as lost. No link rate is in
// the model, but the media and its repair must fit.
//
// What it leaves to others: the arithmetic (fec/limit), the link (bench/netem), where it is shown (bench/show, bench/report).
package bound

import (
	"fmt"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/fec/limit"
)

// Target is the share of frames that may be lost: the goal of docs/repair.md.
const Target = 1e-3

// interval of the bench's pictures: 30 frames/s.
const interval = time.Second / 30

// Limit is what is possible, or why that is not known.
type Limit struct {
	Wire float64 // bytes sent per byte of media, headers not counted; 0: not known
	Why  string  // it is not known; for a person
}

// Known reports whether there is a figure.
func (l Limit) Known() bool { return l.Wire > 0 }

// Above is how much more a result of so many wire bytes per byte of media has sent.
func (l Limit) Above(ratio float64) float64 { return ratio - l.Wire }

// String is the figure, or –.
func (l Limit) String() string {
	if !l.Known() {
		return "–"
	}
	return fmt.Sprintf("%.2f", l.Wire)
}

// Of is the limit of a stream of so many bits a second, with so much latency on top of the one-way delay. It takes up to a second for
// long bursts.
func Of(up, down *netem.Config, bps float64, latency time.Duration) Limit {
	c, why := channel(up)
	if why == "" {
		why = fixed(up)
	}
	if why == "" {
		why = fixed(down)
	}
	if why != "" {
		return Limit{Why: why}
	}
	r, err := limit.Compute(limit.Query{
		Channel: c, RTT: max(time.Millisecond, up.Delay.Base+down.Delay.Base), Latency: latency, Target: Target,
		Packets: limit.PacketsPerFrame(bps, interval), Interval: interval,
	})
	if err != nil {
		return Limit{Why: err.Error()}
	}
	least, ok := r.Least()
	if !ok {
		return Limit{Why: fmt.Sprintf("no scheme loses as few as %g %% of the frames", 100*Target)}
	}
	if up.Rate > 0 && float64(up.Rate) < bps*(1+least) {
		return Limit{Why: "the link carries less than the stream and its repair"}
	}
	return Limit{Wire: 1 + least}
}

// channel is the loss of a link, or why it has no closed model.
func channel(c *netem.Config) (limit.Channel, string) {
	l := c.Loss
	if c.Corrupt.P > 0 {
		if l.Model != netem.NoLoss {
			return limit.Channel{}, "loss and corruption together"
		}
		l = netem.Loss{Model: netem.LossRandom, P: c.Corrupt.P, Corr: c.Corrupt.Corr}
	}
	if c.ECN && l.Model != netem.NoLoss {
		return limit.Channel{}, "marks instead of losses"
	}
	stay := func(p, stay float64) limit.Channel { return limit.Channel{Loss: p, Burst: 1 / (1 - stay)} }
	switch {
	case l.Model == netem.NoLoss:
		return limit.Channel{}, ""
	case l.Model == netem.LossRandom:
		return stay(l.P, min(0.999, l.P+l.Corr*(1-l.P))), ""
	case l.Model == netem.LossGE && l.Bad == 1 && l.Good == 0 && l.R > 0:
		return stay(l.P/(l.P+l.R), 1-l.R), ""
	case l.Model == netem.LossState && l.P14 == 0 && l.P32 == 0 && l.P31 > 0:
		return stay(l.P13/(l.P13+l.P31), 1-l.P31), ""
	case l.Model == netem.LossTime:
		return limit.Channel{}, "bursts that last a time, not a number of packets"
	}
	return limit.Channel{}, "a loss process with a memory that the model has not"
}

// fixed says what about a direction of a link is no fixed delay.
func fixed(c *netem.Config) string {
	switch {
	case c.Trace != nil || c.TraceFile != "":
		return "a trace"
	case len(c.Schedule) > 0:
		return "a link that changes"
	case c.Drought.Every > 0:
		return "a link that stands still now and then"
	case c.Delay.Jitter > 0 || c.Poisson || c.Reorder.P > 0:
		return "a delay that varies"
	case c.Policer.Rate > 0:
		return "a policer"
	}
	return ""
}
