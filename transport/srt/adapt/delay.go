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
	delayStands  = 150 * time.Millisecond // as less is a link that held its breath
	delayCut     = 0.85                   // of what arrives, when the queue is too long
	delayUpEvery = 200 * time.Millisecond
	delayMean    = 0.05        // of a sample in a mean: a second
	delayRecent  = 0.25        // as much: the peer has taken a mean itself
	delayCalm    = time.Second // after a cut, before it rises
)

// Delay is our own rule, which fairlead push uses towards an SRT listener: what arrives while a queue is too long is what the
// path carries, so that the encoder gets 85 % of that at once; where there is no queue, it rises by 2 % each 200 ms. A queue
// is what the round trip has above its least, or what waits here. More losses than usual are put on trial: if they are fewer at
// 80 % of what arrives, they were of our making, else they are the path's and no reason to send less.
type Delay struct {
	Range
	target      congestion.Bitrate
	cut, raised time.Duration
	short       time.Duration // the last time that there was no queue to speak of

	sent, media, arrives mean
	loss                 loss
	trial                trial
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
	d.loss.add(&s)
	queue := max(s.RTT-s.Least, s.Backlog)
	allowed := min(max(s.Latency/delayShare, delayLeast), delayMost)
	if queue <= allowed {
		d.short = now
	}
	switch {
	case now-d.short >= delayStands && now-d.cut >= s.RTT+2*delayEvery: // so that the last cut can have shown
		if d.sent > 0 {
			d.target = min(d.target, max(d.carried(delayCut), d.target/2))
		}
		d.cut = now
		d.trial = trial{}
	case d.trial.running():
		if before, ok := d.trial.judge(now, &d.loss); ok { // nothing is gained by sending less
			d.target = max(d.target, before)
		}
	case d.loss.above() && now-d.cut >= delayCalm && d.sent > 0:
		d.trial = trial{now, d.target, d.loss.now()}
		d.target = min(d.target, d.carried(trialShare))
		d.cut = now
	case queue < allowed/2 && now-d.cut >= delayCalm && now-d.raised >= delayUpEvery:
		d.target += d.target/50 + 10*congestion.Kbps
		d.raised = now
	}
	// A still picture must not open the way for more than was ever tried.
	d.target = d.clamp(follow(d.target, congestion.Bitrate(d.media)))
	return d.target
}

// carried is a share of what the path carries of the media now.
func (d *Delay) carried(share float64) congestion.Bitrate {
	arrives := d.sent
	if d.arrives > 0 {
		arrives = min(arrives, d.arrives)
	}
	return congestion.Bitrate(share * float64(arrives) * float64(d.media) / float64(d.sent))
}

// mean is a bitrate, smoothed.
type mean float64

func (m *mean) add(r congestion.Bitrate, weight float64) { *m += (mean(r) - *m) * mean(weight) }
