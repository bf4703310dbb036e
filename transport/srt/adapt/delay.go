package adapt

import (
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// Constants of Delay; ours.
const (
	delayEvery   = 50 * time.Millisecond
	delayShare   = 4                      // part of the latency that a queue may take
	delayLeast   = 30 * time.Millisecond  // as less is jitter
	delayMost    = 250 * time.Millisecond // as more is nobody's wish
	delayCut     = 0.85                   // of what arrives, when the queue is too long
	delayUpEvery = 200 * time.Millisecond
	delayMean    = 0.05        // of a sample in a mean: a second
	delayRecent  = 0.25        // as much: the peer has taken a mean itself
	delayCalm    = time.Second // after a cut, before it rises
)

// Delay is our own rule, which fairlead push uses towards an SRT listener: what arrives while a queue is too long is what the
// path carries, so that the encoder gets 85 % of that at once; where there is no queue, it rises by 2 % each 200 ms. A queue
// is what the round trip has above its least, or what waits here.
type Delay struct {
	Range
	target      congestion.Bitrate
	cut, raised time.Duration

	sent, media, arrives mean
}

// NewDelay makes one. It begins a little above what is sent.
func NewDelay(r Range) *Delay {
	start := r.Max
	if r.Start > 0 {
		start = r.Start
	}
	return &Delay{Range: r, target: start}
}

// Every is 50 ms.
func (d *Delay) Every() time.Duration { return delayEvery }

// Update takes a sample.
func (d *Delay) Update(now time.Duration, s Sample) congestion.Bitrate {
	d.sent.add(s.SendRate, delayMean)
	d.media.add(s.MediaRate, delayMean)
	d.arrives.add(s.Delivered, delayRecent)
	queue := max(s.RTT-s.Least, s.Backlog)
	allowed := min(max(s.Latency/delayShare, delayLeast), delayMost)
	switch {
	case queue > allowed && now-d.cut >= s.RTT+2*delayEvery: // so that the last cut can have shown
		arrives := d.sent
		if d.arrives > 0 {
			arrives = min(arrives, d.arrives)
		}
		if d.sent > 0 {
			d.target = min(d.target, congestion.Bitrate(delayCut*float64(arrives)*float64(d.media)/float64(d.sent)))
		}
		d.cut = now
	case queue < allowed/2 && now-d.cut >= delayCalm && now-d.raised >= delayUpEvery:
		d.target += d.target/50 + 10*congestion.Kbps
		d.raised = now
	}
	// A still picture must not open the way for more than was ever tried.
	d.target = d.clamp(follow(d.target, congestion.Bitrate(d.media)))
	return d.target
}

// mean is a bitrate, smoothed.
type mean float64

func (m *mean) add(r congestion.Bitrate, weight float64) { *m += (mean(r) - *m) * mean(weight) }
