package encoder_test

import (
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/encoder"
)

// The rule, event by event: what rtmp-stream.c does with the same calls.
func TestOBS(t *testing.T) {
	o := encoder.NewOBS(4000, 100)
	ms := time.Millisecond
	// 2 s of pictures that the socket takes at once, 1 Mbit/s by what was sent: the estimate is of sending, whatever was asked for.
	send := func(from, to time.Duration, size int) {
		for at := from; at < to; at += 40 * ms {
			o.Sent(at, at+ms, size)
		}
	}
	send(0, 900*ms, 5000)
	if got := o.Video(900*ms, 9, 300*ms, true); got != 4000 {
		t.Errorf("%d kbit/s before a second was measured, want 4000", got)
	}
	send(900*ms, 1900*ms, 5000)
	for _, c := range []struct {
		packets int
		waits   time.Duration
		have    bool
	}{{4, 300 * ms, true}, {9, 199 * ms, true}, {9, 300 * ms, false}} {
		if got := o.Video(1900*ms, c.packets, c.waits, c.have); got != 4000 {
			t.Errorf("%+v: %d kbit/s, want 4000", c, got)
		}
	}
	if got := o.Video(1900*ms, 5, 200*ms, true); got != 900 { // 1000 - 100 of sound, cut to 100
		t.Errorf("%d kbit/s at 200 ms, want 900", got)
	}
	if got := o.Video(1940*ms, 5, 240*ms, true); got != 900 {
		t.Errorf("%d kbit/s again at once, want 900: nothing is measured", got)
	}
	if got := o.Video(5890*ms, 0, 0, false); got != 900 {
		t.Errorf("%d kbit/s 3.99 s later, want 900", got)
	}
	if got := o.Video(5900*ms, 0, 0, false); got != 1300 {
		t.Errorf("%d kbit/s 4 s later, want 1300", got)
	}
	if got := o.Video(6000*ms, 5, 250*ms, true); got != 900 {
		t.Errorf("%d kbit/s when it does not fit and nothing is measured, want back to 900", got)
	}
	for at := 10 * time.Second; at < 60*time.Second; at += 4 * time.Second {
		o.Video(at, 0, 0, false)
	}
	if got := o.Bitrate(); got != 4000 {
		t.Errorf("%d kbit/s in the end, want 4000", got)
	}
}
