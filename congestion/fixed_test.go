package congestion

import (
	"testing"
	"time"
)

func TestBitrate(t *testing.T) {
	if got := (8 * Mbps).Bytes(time.Second); got != 1_000_000 {
		t.Errorf("8 Mbit/s for 1 s = %d bytes, want 1000000", got)
	}
	if got := (8 * Mbps).Time(1000); got != time.Millisecond {
		t.Errorf("1000 bytes at 8 Mbit/s = %v, want 1ms", got)
	}
	if got := Bitrate(0).Time(1); got < time.Minute {
		t.Errorf("a rate of nothing takes %v, want long", got)
	}
}

func TestFixedCapsWhatIsInFlight(t *testing.T) {
	f := &Fixed{Rate: 8 * Mbps}
	before := f.Window()
	f.Feedback(0, 60*time.Millisecond, nil)
	if got := f.Window(); got != 200_000 || got >= before {
		t.Errorf("window = %d, want 200000: 160 ms at 8 Mbit/s and a quarter", got)
	}
}
