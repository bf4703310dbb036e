package relay

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// judgeEvery is how often the streams are looked at, to say why viewers wait.
const judgeEvery = 100 * time.Millisecond

// judge looks at every stream until ctx ends.
func (r *Relay) judge(ctx context.Context) error {
	tick := time.NewTicker(judgeEvery)
	defer tick.Stop()
	var advised time.Time
	var spare giveBack
	for {
		select {
		case now := <-tick.C:
			r.watchers.tell(now)
			r.hub.Judge(r.facts)
			if now.Sub(advised) >= adviseEachS {
				advised = now
				r.adviser.look(now, r)
				if spare.look(now, r.hub.Len()) {
					go debug.FreeOSMemory()
				}
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// facts is what is known of the way a stream comes.
func (r *Relay) facts(stream string) stutter.Facts {
	var f stutter.Facts
	if e, ok := r.board.Latest(stream); ok {
		f.Queue = e.Queue
	}
	if l, ok := r.Link(stream); ok {
		f = stutter.Facts{
			Numbered: true, Silent: l.Silent, Latency: l.Latency, Received: l.ReceivedBytes / 1200, Lost: l.Missing, Holes: l.Dropped, Refused: l.Refused,
			Overrun: l.Overrun, Queue: l.Queue,
		}
	}
	return f
}
