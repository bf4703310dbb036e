package congestion

import "time"

// Fixed is a controller that sends at one rate, as far as the application has something to send, and
// caps what is in flight, so that a path that stops does not collect a second of media.
type Fixed struct {
	Rate   Bitrate
	minRTT time.Duration
}

// fixedQueue is how much queue Fixed lets stand: ours, as in design.md §3, T + 40 ms with T = 60 ms.
const fixedQueue = 100 * time.Millisecond

// Sent is told of each packet.
func (f *Fixed) Sent(time.Duration, int) {}

// Feedback is told what became of packets.
func (f *Fixed) Feedback(_, minRTT time.Duration, _ []Packet) { f.minRTT = minRTT }

// PacingRate is the rate at which packets leave.
func (f *Fixed) PacingRate() Bitrate { return f.Rate }

// Window is how many bytes may be in flight: a quarter more than the path holds with fixedQueue.
func (f *Fixed) Window() int {
	rtt := f.minRTT
	if rtt == 0 {
		rtt = 500 * time.Millisecond
	}
	return f.Rate.Bytes(rtt+fixedQueue) * 5 / 4
}

// Budget is all that may leave.
func (f *Fixed) Budget() Bitrate { return f.Rate }

// Target is the encoder's share.
func (f *Fixed) Target() Bitrate { return f.Rate * 8 / 10 }
