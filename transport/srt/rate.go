package srt

import "time"

// rateWindow is over what time receive rates are counted.
const rateWindow = 200 * time.Millisecond

// rates measures what an ACK reports of the arrivals.
type rates struct {
	since          time.Duration
	packets, bytes int
	rate, byteRate uint32 // of the last whole window
	highest        uint32 // of rate

	probe    time.Duration // arrival of a packet whose number ends in 0; 0: none
	capacity float64       // packets/s, smoothed
}

// add counts a packet. seq tells the probes: libsrt sends each 16th packet and the one after it back to back.
func (r *rates) add(now time.Duration, seq int64, n int, resent bool) {
	if now-r.since >= rateWindow {
		d := (now - r.since).Seconds()
		r.rate, r.byteRate = uint32(float64(r.packets)/d), uint32(float64(r.bytes)/d)
		r.highest = max(r.highest, r.rate)
		r.since, r.packets, r.bytes = now, 0, 0
	}
	r.packets++
	r.bytes += n
	switch {
	case resent:
	case seq&15 == 0:
		r.probe = now
	case seq&15 == 1 && r.probe > 0 && now > r.probe:
		c := 1 / (now - r.probe).Seconds()
		if r.capacity == 0 {
			r.capacity = c
		}
		r.capacity += (c - r.capacity) / 16
		r.probe = 0
	default:
		r.probe = 0
	}
}

// linkCapacity is the probes' mean; where arrivals are read in batches and pairs cannot be told apart, the highest rate seen.
func (r *rates) linkCapacity() uint32 { return max(uint32(min(r.capacity, 1e9)), r.highest) }
