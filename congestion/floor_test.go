package congestion

import (
	"testing"
	"time"
)

// run sends n packets of 1000 bytes, 2 ms apart (4 Mbit/s), and reports on each 20 ms later; queue grows by grow a packet.
func (f *Floor) run(n int, lost func(i int) bool, grow time.Duration) {
	var wait []Packet
	for i := range n {
		now := time.Duration(i) * 2 * time.Millisecond
		f.Sent(now, 1000)
		wait = append(wait, Packet{Sent: now, Arrival: now + 10*time.Millisecond + time.Duration(i)*grow, Size: 1000, Lost: lost(i)})
		if i%10 == 9 {
			f.Feedback(now+20*time.Millisecond, 20*time.Millisecond, wait)
			wait = wait[:0]
		}
	}
}

func TestFloor(t *testing.T) {
	const need = 4 * Mbps
	f := NewFloor(Config{})
	f.Need(need)
	f.run(2000, func(i int) bool { return i%7 == 0 }, 0)
	if got := f.PacingRate(); got < need*3/2 {
		t.Errorf("losses without a queue: pacing %d, want %d at least", got, need*3/2)
	}
	if got, least := f.Window(), (need * 3 / 2).Bytes(100*time.Millisecond); got < least {
		t.Errorf("losses without a queue: window %d, want %d at least", got, least)
	}
	f = NewFloor(Config{})
	f.Need(need)
	f.run(2000, func(int) bool { return false }, time.Millisecond)
	if f.Queue() < floorQueue {
		t.Fatalf("no queue of %v", f.Queue())
	}
	if got := f.PacingRate(); got != f.Controller.PacingRate() || got > need {
		t.Errorf("a queue: pacing %d, want what the controller says and less than the stream", got)
	}
}
