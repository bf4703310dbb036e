package srt

import (
	"testing"
	"time"
)

// What ACKs tell of the variance lets a sender of libsrt send a copy early where there is time for few round trips, and is the truth elsewhere.
func TestTellVariance(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		why          string
		rtt, latency time.Duration
		kind         uint8
		guard        time.Duration // RTT - 4 RTTVar
	}{
		{"time for two round trips", 100 * ms, 250 * ms, 0, copyLeastGuard},
		{"of many", 20 * ms, 500 * ms, 0, 20 * ms},
		{"broadcast group", 100 * ms, 250 * ms, groupBroadcast, copyLeastGuard},
		{"backup group: it judges its links by it", 100 * ms, 250 * ms, groupBackup, 100 * ms},
		{"shorter than the guard", 3 * ms, 20 * ms, 0, 3 * ms},
	} {
		k := &Conn{rtt: rtt{smoothed: c.rtt, least: c.rtt, older: c.rtt, sampled: true}, stream: &stream{latency: c.latency, kind: c.kind}}
		if got := k.rtt.smoothed - 4*k.tellVariance(); got != c.guard {
			t.Errorf("%s: guard of %v, want %v", c.why, got, c.guard)
		}
	}
}

// Copies have a budget, and there are none where a queue stands.
func TestCopiesAreBounded(t *testing.T) {
	k := &Conn{rtt: rtt{smoothed: 100 * time.Millisecond, least: 95 * time.Millisecond, older: 95 * time.Millisecond, sampled: true}, allowed: 2.5}
	n := 0
	for k.copies() {
		n++
	}
	if n != 2 {
		t.Errorf("%d copies of a budget of 2.5", n)
	}
	k.allowed, k.rtt.smoothed = 5, 200*time.Millisecond
	if k.copies() {
		t.Error("a copy into a queue of 105 ms")
	}
}
