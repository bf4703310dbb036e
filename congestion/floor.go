package congestion

import "time"

// Floor is a Controller for a stream whose encoder is not listening: a file, or an encoder without a remote control. Where
// packets are lost but no queue stands, it lets go what the stream needs and half as much again for repairs, whatever the
// Controller makes of the losses; where a queue stands, the Controller alone decides. So random loss, which the Controller
// takes some seconds to tell from its own, costs no frames, and a link that is too slow is not flooded.
//
// On a link that drops without a queue (a policer) it sends at most floorShare of the stream's rate.
type Floor struct {
	*Controller
	need   Bitrate
	minRTT time.Duration
}

// Ours: with 3/2, 10 % of random loss at RTT 60 ms costs no frame in 16 s where the Controller alone loses 22 of 1192; 50 ms
// are above the noise of a radio link and below what the Controller aims for where the queue swings.
const (
	floorNum, floorDen = 3, 2
	floorQueue         = 50 * time.Millisecond
	floorStands        = 100 * time.Millisecond // of queue that the window has room for, as Fixed
)

// NewFloor makes one.
func NewFloor(cfg Config) *Floor { return &Floor{Controller: New(cfg)} }

// Need says what the stream takes, headers included.
func (f *Floor) Need(rate Bitrate) { f.need = rate }

// Crowded reports whether a queue stands, so that the Controller alone decides.
func (f *Floor) Crowded() bool { return f.Queue() > floorQueue }

// Feedback is told what became of packets.
func (f *Floor) Feedback(now, minRTT time.Duration, packets []Packet) {
	f.minRTT = minRTT
	f.Controller.Feedback(now, minRTT, packets)
}

func (f *Floor) floor() Bitrate {
	if f.Crowded() {
		return 0
	}
	return f.need * floorNum / floorDen
}

// PacingRate is the rate at which packets leave.
func (f *Floor) PacingRate() Bitrate { return max(f.Controller.PacingRate(), f.floor()) }

// Window is how many bytes may be in flight.
func (f *Floor) Window() int {
	return max(f.Controller.Window(), f.floor().Bytes(f.minRTT+floorStands))
}
