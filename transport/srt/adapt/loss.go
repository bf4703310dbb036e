package adapt

import (
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// Constants of losses; ours.
const (
	lossMemory = 0.93 // of a sample, in the next one: two thirds of a second
	lossLeast  = 40   // packets before anything is concluded
	lossUsual  = 1.4  // times the path's own, and
	lossMore   = 0.04 // more is unusual
	lossAge    = 0.005

	trialShare = 0.8 // of what arrives
	trialFor   = 2 * time.Second
	trialSame  = 0.6 // of the losses before, and it was not us
)

// loss measures the share of packets that are missing at first, and what of it is the path's own.
type loss struct {
	lost, sent float64
	path       float64
}

func (l *loss) add(s *Sample) {
	l.lost, l.sent = l.lost*lossMemory+float64(s.Lost), l.sent*lossMemory+float64(s.Sent)
	if n := l.now(); n < l.path {
		l.path += (n - l.path) * lossAge
	}
}

func (l *loss) now() float64 {
	if l.sent < lossLeast {
		return 0
	}
	return l.lost / l.sent
}

// above reports whether more is lost than usual.
func (l *loss) above() bool { return l.now() > lossUsual*l.path+lossMore }

// trial is a time of sending less, to see whose losses they are.
type trial struct {
	since  time.Duration
	target congestion.Bitrate // before
	loss   float64
}

func (t *trial) running() bool { return t.since > 0 }

// judge ends the trial in its time. True: the losses are the path's own, and the target is what it was before.
func (t *trial) judge(now time.Duration, l *loss) (before congestion.Bitrate, ok bool) {
	if now-t.since < trialFor {
		return 0, false
	}
	same := l.now() > trialSame*t.loss
	if same {
		l.path = max(l.path, l.now())
	}
	before = t.target
	*t = trial{}
	return before, same
}
