package feedback

import (
	"testing"
	"time"
)

// A caller that comes every 100 ms, a little early or late, tells five times a second.
func TestToldFiveTimesASecond(t *testing.T) {
	b := NewBoard()
	e := b.Open("live/cam")
	defer e.Close()
	now := time.Now()
	for i := range 100 {
		e.Set(now.Add(time.Duration(i)*100*time.Millisecond+time.Duration(i*7%5)*4*time.Millisecond), Report{Target: 1_000_000})
	}
	if n := b.streams["live/cam"].changes; n < 50 {
		t.Errorf("told %d times in 10 s, want 50", n)
	}
}
