package congestion

import "time"

// Demand is what a stream asks of the budget.
type Demand struct {
	Audio   Bitrate       // never cut
	FEC     float64       // repairs, as a share of what they protect
	Resend  float64       // resends, as a share of what they replace
	Backlog int           // bytes that wait to be sent
	Drain   time.Duration // in which the backlog should be gone; 1 s
	Most    float64       // what the backlog may take of the video's share; 0.5
}

// Budget is how a rate is shared out. The sum of its fields is the rate that was split, or audio alone where that is more.
type Budget struct {
	Video, Audio, FEC, Resend, Padding Bitrate
}

// Sum is all of it.
func (b Budget) Sum() Bitrate { return b.Video + b.Audio + b.FEC + b.Resend + b.Padding }

// fecMost bounds repairs and resends: above it more of them buys less than a lower bitrate does. Ours.
const fecMost = 1.0

// drainMost is how much of video's share what waits may take unless the Demand says otherwise. Ours.
const drainMost = 0.5

// Split shares out total, the target of a controller: audio first, then video and what protects both, in the
// proportion that was asked. When total falls, video and repairs fall together; when loss rises, the
// same total holds less video. want: what video can use at most (0: all there is); the rest is padding.
func Split(total Bitrate, d Demand, want Bitrate) Budget {
	fec, resend := max(0, d.FEC), max(0, d.Resend)
	if sum := fec + resend; sum > fecMost {
		fec, resend = fec/sum*fecMost, resend/sum*fecMost
	}
	cost := 1 + fec + resend
	b := Budget{Audio: max(0, d.Audio)}
	drain := d.Drain
	if drain <= 0 {
		drain = time.Second
	}
	media := Bitrate(float64(total) / cost) // audio and video
	b.Video = max(0, media-b.Audio)
	backlog := Bitrate(float64(d.Backlog) * 8 / drain.Seconds())
	most := d.Most
	if most <= 0 || most > 1 {
		most = drainMost
	}
	spared := min(backlog, Bitrate(most*float64(b.Video)))
	if want > 0 {
		spared = max(spared, b.Video-want)
	}
	b.Video -= spared
	protected := float64(b.Video + b.Audio)
	b.FEC, b.Resend = Bitrate(protected*fec), Bitrate(protected*resend)
	if rest := total - b.Audio; b.Video+b.FEC+b.Resend > rest { // only where audio nearly fills it
		b.FEC = max(0, min(b.FEC, rest-b.Video))
		b.Resend = max(0, rest-b.Video-b.FEC)
	}
	b.Padding = max(0, total-b.Video-b.Audio-b.FEC-b.Resend)
	return b
}

// Budget is all that may leave, on the mean: R, or what an outage leaves of it.
func (c *Controller) Budget() Bitrate {
	if c.reason == Outage {
		return c.PacingRate()
	}
	return c.Rate()
}

// Capacity is what the link was last seen to carry; less than it could where less was sent.
func (c *Controller) Capacity() Bitrate { return Bitrate(c.capacity) }

// Lately is what the link was seen to carry within the last while: the mean of 1.5 s, fading over 12 s.
func (c *Controller) Lately() Bitrate { return Bitrate(c.climb.peak) }

// Advice turns a target that moves with every report into one an encoder can follow: down at once, up at most
// every 500 ms, changes below +5 % and −1 % not at all, and repeated every 200 ms. The zero value is ready.
type Advice struct {
	told   Bitrate
	at     time.Duration
	raised time.Duration
	begun  bool
}

// quic_cc.md §5: at least 5 a second, down at once, up at most every 500 ms, hysteresis +5 %/−1 %.
const (
	adviceEvery = 200 * time.Millisecond
	adviceRaise = 500 * time.Millisecond
	adviceUp    = 1.05
	adviceDown  = 0.99
)

// Update says what to tell the encoder now, and whether to tell it.
func (a *Advice) Update(now time.Duration, want Bitrate) (Bitrate, bool) {
	switch {
	case !a.begun:
		a.begun, a.told, a.raised = true, want, now
	case float64(want) < adviceDown*float64(a.told):
		a.told = want
	case float64(want) > adviceUp*float64(a.told) && now-a.raised >= adviceRaise:
		a.told, a.raised = want, now
	case now-a.at >= adviceEvery:
	default:
		return a.told, false
	}
	a.at = now
	return a.told, true
}

// NextTimeout is when the target is to be repeated at the latest.
func (a *Advice) NextTimeout() time.Duration { return a.at + adviceEvery }
