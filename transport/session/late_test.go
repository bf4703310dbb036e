package session

import (
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport"
)

// A process that gets the processor every 20 ms only sends what its rate allows all the same: a packet or two for each turn
// would be less than a stream.
func TestWokenLate(t *testing.T) {
	s, err := NewSender(epoch, Config{Controller: &congestion.Fixed{Rate: 8 * congestion.Mbps}})
	if err != nil {
		t.Fatal(err)
	}
	f := transport.Frame{Codec: transport.H264, Flags: transport.Key, Data: make([]byte, 60_000)} // 60 ms
	if err := s.WriteFrame(epoch, &f); err != nil {
		t.Fatal(err)
	}
	sent, buf := 0, make([]byte, 0, 2000)
	turn := func(now time.Time) (n int) {
		for {
			b, ok := s.AppendDatagram(buf[:0], now)
			if !ok {
				return n
			}
			n += len(b)
		}
	}
	for at := time.Duration(0); at <= 100*time.Millisecond; at += 20 * time.Millisecond {
		n := turn(epoch.Add(at))
		sent += n
		if most := (8 * congestion.Mbps).Bytes(paceCatch) + 3000; n > most {
			t.Errorf("%d bytes at once, want at most %d", n, most)
		}
	}
	if sent < 60_000 {
		t.Errorf("%d of 60000 bytes sent in 100 ms at 8 Mbit/s", sent)
	}
	// After a rest nothing is caught up.
	if err := s.WriteFrame(epoch.Add(time.Second), &f); err != nil {
		t.Fatal(err)
	}
	if n := turn(epoch.Add(time.Second)); n > 5000 {
		t.Errorf("%d bytes at once after a rest", n)
	}
}
