package congestion

import (
	"math"
	"time"
)

// goal is T: the queue that is aimed at. A slow flow bears more than a fast one, so that flows that share a
// queue agree only when their rates do; ours, after Swift's flow scaling (SIGCOMM 2020).
func (c *Controller) goal() time.Duration {
	const reference, most, least = 6e6, 2.5, 0.9 // bits/s, and the bounds of the factor
	// Asked for each packet, changed by each report.
	if c.rate != c.scaled {
		c.scaled, c.scale = c.rate, max(least, min(most, math.Pow(reference/max(c.rate, 1e5), 0.6)))
	}
	t := time.Duration(float64(c.cfg.Queue)*c.scale) + min(time.Duration(jitterRoom*float64(c.jitter)), jitterMost)
	t = time.Duration((1 - c.caution()) * float64(min(t, goalMost)))
	if c.target > 0 {
		t = min(t, c.target)
	}
	return t
}

// caution is 0 on a link that follows, up to cautionMost where the queue ran away often of late: the capacity swings more
// than the loop can follow, and only a smaller queue before each fall helps.
func (c *Controller) caution() float64 {
	shaky := max(0, min(1, (c.jitter-shakyFrom).Seconds()/(shakyAll-shakyFrom).Seconds()))
	return shaky * max(0, min(cautionMost, cautionGain*(c.swing-swingFree)))
}

// Rate is R: all that may be sent.
func (c *Controller) Rate() Bitrate { return Bitrate(c.rate) }

// PacingRate is the rate at which packets leave.
func (c *Controller) PacingRate() Bitrate {
	switch c.reason {
	case Outage:
		return Bitrate(max(float64(c.cfg.Min)/2, c.before/20)) // to notice the return: what is sent now waits for it or is lost
	case Probe:
		return Bitrate(c.rate)
	case Startup:
		return Bitrate(c.rate * 1.1)
	}
	if c.target > 0 || c.ceiling > 0 { // a shallow buffer bears no bursts, and a policer none
		return Bitrate(c.rate * 1.05)
	}
	return Bitrate(c.rate * paceGain)
}

// Window is how many bytes may be in flight: what the path holds with the queue that is aimed at and while a report is on its
// way, at little more than the rate that arrives, so that a link that stops or falls collects no more than that.
func (c *Controller) Window() int {
	rtt := c.minRTT
	if rtt == 0 {
		rtt = 300 * time.Millisecond
	}
	rate := c.rate * share
	least := 4 * 1500
	switch {
	case c.reason == Outage:
		return max(least, Bitrate(c.before).Bytes(rtt+silence))
	case c.rival.on:
		return max(least, int(c.rival.window))
	case c.reason == Startup:
		return max(10*1500, Bitrate(c.rate).Bytes(2*rtt+reportWait))
	case c.last < c.drainTill:
		return max(least, int(drainShare*float64(Bitrate(rate).Bytes(rtt+reportWait))))
	}
	// R may be ahead of what was seen to arrive; what is in flight is not, so that an overshoot waits at the sender.
	rate = min(rate, (ahead-stopAhead*c.stops)*c.proof+aheadAdd)
	return max(least, Bitrate(rate).Bytes(rtt+windowWait+c.goal()))
}

// Target is what media, repairs and resends may take together.
func (c *Controller) Target() Bitrate {
	switch c.reason {
	case Outage:
		return c.cfg.Min
	case Probe:
		return Bitrate(c.rate)
	}
	if c.climb.on {
		return Bitrate(c.proven())
	}
	return Bitrate(c.rate * share)
}

// Padding reports whether the path is being explored, so that sending less than Rate learns nothing: fill with
// repairs or padding. True in startup and after an outage only.
func (c *Controller) Padding() bool { return c.reason == Startup }

// Reason says what the controller is doing.
func (c *Controller) Reason() Reason {
	if c.reason == Track && c.rate >= float64(c.cfg.Max) {
		return Limited
	}
	return c.reason
}

// Queue is the delay at the bottleneck, above the least that was seen.
func (c *Controller) Queue() time.Duration { return c.queue }

// Loss is the loss ratio that is usual on this path: not ours.
func (c *Controller) Loss() float64 { return c.loss.usual }

// Drift is how much the receiver's clock gains, seconds per second.
func (c *Controller) Drift() float64 { return c.base.drift }
