package cc

import (
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// oracle knows what the link could carry up to a round trip ago and what stands in its queue, and keeps in flight what
// the link will carry in a round trip if it goes on as in the last while, and Flow.Queue more. No controller knows as
// much: its points are a bound for those that take the link to go on as it was.
type oracle struct {
	w      *world
	goal   time.Duration
	now    time.Duration
	minRTT time.Duration
}

// What the link carried in the last 200 ms or in the last 3 s, the less of the two: the forecast that was best of eight. Ours.
const (
	oracleLook = 200 * time.Millisecond
	oracleLong = 3 * time.Second
)

func newOracle(w *world, f Flow) *oracle {
	return &oracle{w: w, goal: f.Queue, minRTT: 100 * time.Millisecond}
}

func (o *oracle) capacity() float64 {
	until := o.now - o.minRTT
	if until < shadowBin {
		return 1e6
	}
	rate := func(d time.Duration) float64 {
		from := max(0, until-d)
		return o.w.score.shadow.rate(from, max(until, from+shadowBin))
	}
	return max(100e3, min(rate(oracleLook), rate(oracleLong)))
}

func (o *oracle) Sent(now time.Duration, _ int) { o.now = now }
func (o *oracle) Feedback(now, minRTT time.Duration, _ []congestion.Packet) {
	o.now, o.minRTT = now, minRTT
}
func (o *oracle) Rate() congestion.Bitrate       { return congestion.Bitrate(o.capacity()) }
func (o *oracle) PacingRate() congestion.Bitrate { return 2 * o.Rate() }
func (o *oracle) Window() int {
	return max(3*segment, o.Rate().Bytes(o.minRTT+reportEvery/2+o.goal))
}
func (o *oracle) Target() congestion.Bitrate { return o.Rate() }
func (o *oracle) Padding() bool              { return false }
func (o *oracle) Reason() congestion.Reason  { return congestion.Track }
func (o *oracle) Loss() float64              { return 0 }
