package hub

import (
	"time"

	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// ChangeKind is what changed.
type ChangeKind uint8

// Kinds.
const (
	Published   ChangeKind = iota // somebody publishes
	Unpublished                   // and no longer, for Err
	Held                          // the stream is kept for who reads it
	Resumed                       // within that time somebody publishes again
	Ended                         // the stream is over
	StallBegun                    // viewers wait, for Cause as far as it is known
	StallEnded                    // after For, for Cause
)

// Change is told to Config.Notify.
type Change struct {
	Kind      ChangeKind
	Stream    string
	Publisher PublisherInfo
	Err       error
	Cause     stutter.Cause
	For       time.Duration
}

// tell tells; mu is held.
func (s *stream) tell(c Change) {
	if s.hub.cfg.Notify != nil {
		c.Stream = s.name
		s.hub.cfg.Notify(c)
	}
}

// A stall is told once it has lasted, and is over when there was none for a while: one stall of many short ones is one. Ours.
const (
	stallTold = 500 * time.Millisecond
	stallOver = time.Second
)

// stall is what was told.
type stall struct {
	told  bool
	cause stutter.Cause
	sum   stutter.ByCause // at its beginning
	last  time.Duration   // when viewers waited last
}

// watchStall tells of stalls; mu is held.
func (s *stream) watchStall(at time.Duration) {
	k := &s.stall
	cause, lasted, stalled := s.live.Stalled()
	switch {
	case stalled:
		k.last = at
		if !k.told && lasted >= stallTold {
			k.told, k.cause = true, cause
			k.sum = s.live.Total()
			k.sum[cause] -= min(k.sum[cause], lasted)
			s.tell(Change{Kind: StallBegun, Cause: cause})
		}
	case k.told && at-k.last > stallOver:
		k.told = false
		all := s.live.Total()
		var by stutter.ByCause
		for c := range all {
			by[c] = max(0, all[c]-k.sum[c])
		}
		main, ok := by.Main()
		if !ok {
			main = k.cause
		}
		s.tell(Change{Kind: StallEnded, Cause: main, For: by.Sum()})
	}
}
