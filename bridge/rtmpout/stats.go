package rtmpout

import (
	"time"

	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// State says what an output is doing.
type State uint8

// States.
const (
	Idle       State = iota // there is no stream to push
	Connecting              // TCP, TLS, RTMP, until the server lets us publish
	Publishing
	BackingOff // waiting for the next attempt
	Failed     // refused for who we are: an operator should look; tried again every Backoff.Failed
	Draining   // told to stop: the last words
	Stopped
)

func (s State) String() string {
	if s <= Stopped {
		return [...]string{"idle", "connecting", "publishing", "backing off", "failed", "draining", "stopped"}[s]
	}
	return "unknown"
}

// Stats is a snapshot of an output.
type Stats struct {
	Destination string // in use, or tried; without secrets
	Place       int    // its place in the list: 0 is Config.URL, others are backups
	State       State
	Moving      bool              // a new connection is being made, or waits for a key frame, while the old one publishes
	LastError   string            // of the last session or attempt that ended; empty while publishing
	Publishes   uint64            // sessions that went live
	Ended       [numCauses]uint64 // sessions and attempts, by why they ended
	Frames      uint64            // sent
	Bytes       uint64            // payload sent
	Dropped     uint64            // frames the queue dropped: alone when nothing refers to them, else up to a key frame
	Thinned     uint64            // of these, alone
	Gaps        uint64            // times it dropped more than single frames
	LeftOut     uint64            // frames not for this output: further tracks, codecs without a form, before the first key frame
	Queued      int               // frames, now
	Lag         time.Duration     // of the oldest queued behind the stream, now
	Backlog     int               // bytes in the kernel the peer has not acknowledged, now
	Stutter     stutter.Report    // of a viewer of what was written
	Delays      Delays            // of the frames sent that came while it was publishing, from media.Frame.Arrival to the kernel's having taken the last byte
	BacklogAge  time.Duration     // how long ago the oldest of them was written, when last looked at
}

// EndedBy returns one of the counters.
func (s Stats) EndedBy(c Cause) uint64 { return s.Ended[c] }
