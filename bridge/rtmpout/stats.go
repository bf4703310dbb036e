package rtmpout

import "time"

// State says what an output is doing.
type State uint8

// States.
const (
	Waiting    State = iota // for the stream
	Dialing                 // TCP, TLS
	Connecting              // RTMP
	Live
	BackingOff // until the next attempt
	Parked     // refused for who we are; an operator should look
	Stopped
)

func (s State) String() string {
	if s <= Stopped {
		return [...]string{"waiting", "dialing", "connecting", "live", "backoff", "parked", "stopped"}[s]
	}
	return "unknown"
}

// Stats is a snapshot of an output.
type Stats struct {
	Destination string // without secrets
	State       State
	LastError   string            // of the last session that ended; empty while live
	Publishes   uint64            // sessions that went live
	Ended       [numCauses]uint64 // sessions and attempts, by why they ended
	Frames      uint64            // sent
	Bytes       uint64            // payload sent
	Dropped     uint64            // frames the queue dropped, whole GOPs
	Gaps        uint64            // times it did
	LeftOut     uint64            // frames not for this output: further tracks, codecs without a form, before the first key frame
	Queued      int               // frames, now
	Lag         time.Duration     // of the oldest queued behind the stream, now
	Backlog     int               // bytes in the kernel the peer has not acknowledged, now
}

// EndedBy returns one of the counters.
func (s Stats) EndedBy(c Cause) uint64 { return s.Ended[c] }
