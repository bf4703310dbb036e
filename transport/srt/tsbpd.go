package srt

import (
	"time"

	"github.com/fairlead-live/fairlead/transport/seq"
)

// Constants of the clock. The draft (§4.5, §4.7) and libsrt take the mean of 1000 samples and step by 5 ms; that lags a
// drift of 200 ppm by 1 to 3 ms. Ours tracks offset and slope (an alpha-beta filter) over means of a second.
const (
	driftWindow = time.Second
	driftLeast  = 8                    // samples in a window that counts
	driftSpread = 2 * time.Millisecond // of round trips that are samples, above the shortest and a quarter; ours
	driftAlpha  = 0.3                  // ours: settles in 5 s
	driftBeta   = 0.05                 // ours: critically damped for alpha (alpha² / (2 - alpha))
	driftSlope  = 500                  // most that a clock is off, ppm: crystals are within 100, virtual machines within 300
	// rebaseAfter is how far the first packet may be from the time the handshake promised before we believe the packet.
	rebaseAfter = time.Second
)

// clock turns the sender's timestamps into our time: TSBPD, draft §4.5. All times are since the listener's start.
type clock struct {
	base  time.Duration // arrival of the conclusion - its timestamp
	drift time.Duration // what has been added since
	late  time.Duration // how late that arrival was: at most 0, added to when payloads are due and to nothing else

	sum        time.Duration // of the samples of this window
	n          int
	since      time.Duration
	reference  time.Duration // mean of the first window: what counts as no drift
	referenced bool
	offset     float64 // ns: filtered
	slope      float64 // ns/s
}

// local is when a packet of that timestamp would arrive over the handshake's path, without drift. Timestamps are unwrapped
// around now, so that wrapping every 71.6 minutes needs no state and no packet in between.
func (c *clock) local(now time.Duration, timestamp uint32) time.Duration {
	near := int64((now - c.base - c.drift) / time.Microsecond)
	return c.base + time.Duration(seq.Unwrap32(near, timestamp))*time.Microsecond
}

// sample takes the timestamp of an ACKACK and the round trip it closed. Half of a round trip is taken off, so that a
// queue on the way there and back is no drift.
func (c *clock) sample(now time.Duration, timestamp uint32, rtt time.Duration) {
	if c.n == 0 {
		c.since = now
	}
	c.sum += now - c.local(now, timestamp) - rtt/2
	c.n++
	if now-c.since < driftWindow || c.n < driftLeast {
		return
	}
	mean := c.sum / time.Duration(c.n)
	elapsed := (now - c.since).Seconds()
	c.sum, c.n = 0, 0
	if !c.referenced {
		c.reference, c.referenced = mean-time.Duration(c.offset), true
		return
	}
	predicted := c.offset + c.slope*elapsed
	// One window may not move it by more than a clock can have gone off in it, and some noise.
	off := max(min(float64(mean-c.reference)-predicted, 5e6), -5e6)
	c.offset = predicted + driftAlpha*off
	c.slope = max(min(c.slope+driftBeta*off/elapsed, driftSlope*1e3), -driftSlope*1e3)
	c.move(elapsed)
}

// rereference is called when the samples come over another path from now on: what they say first is not drift.
func (c *clock) rereference() { c.sum, c.n, c.referenced = 0, 0, false }

// move applies the offset, no faster than driftSlope.
func (c *clock) move(elapsed float64) {
	// The window's mean is half a window old, and holds until the next one: predict its middle.
	want := c.offset + c.slope*elapsed
	most := 2 * driftSlope * 1e3 * elapsed
	c.drift += time.Duration(max(min(want-float64(c.drift), most), -most))
}
