package congestion

import (
	"testing"
	"time"
)

func TestStandingQueue(t *testing.T) {
	var s Standing
	at := time.Duration(0)
	send := func(n int, delay func(i int) time.Duration) {
		for i := range n {
			at += 5 * time.Millisecond
			s.Add(at, delay(i))
		}
	}
	const offset = -3 * time.Hour // between the clocks
	jitter := func(i int) time.Duration { return time.Duration(i*7%20) * time.Millisecond }
	send(400, func(i int) time.Duration { return offset + jitter(i) })
	if q := s.Queue(at); q > 5*time.Millisecond {
		t.Errorf("jitter of 20 ms: queue %v, want none", q)
	}
	send(400, func(i int) time.Duration { return offset + 80*time.Millisecond + jitter(i) })
	if q := s.Queue(at); q < 75*time.Millisecond || q > 90*time.Millisecond {
		t.Errorf("80 ms stand: %v", q)
	}
	send(8000, func(i int) time.Duration { return offset + 80*time.Millisecond + jitter(i) })
	if q := s.Queue(at); q > 5*time.Millisecond {
		t.Errorf("40 s later it is the path's: %v", q)
	}
	if q := s.Queue(at + time.Second); q != 0 {
		t.Errorf("nothing comes: %v", q)
	}
}
