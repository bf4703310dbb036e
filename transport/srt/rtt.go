package srt

import "time"

// Draft §4.10: what RTT and its variance are before the first sample.
const (
	initialRTT    = 100 * time.Millisecond
	initialRTTVar = 50 * time.Millisecond
)

// rtt is measured by ACK and ACKACK.
type rtt struct {
	smoothed, variance time.Duration
	least              time.Duration // of the last 10 to 20 s
	older              time.Duration // least of the 10 s before
	since              time.Duration
	sampled            bool
}

func newRTT() rtt { return rtt{smoothed: initialRTT, variance: initialRTTVar} }

func (r *rtt) sample(now, d time.Duration) {
	if !r.sampled {
		*r = rtt{smoothed: d, variance: d / 2, least: d, older: d, since: now, sampled: true}
		return
	}
	// Draft §4.10: 7/8 and 3/4.
	r.variance += ((r.smoothed - d).Abs() - r.variance) / 4
	r.smoothed += (d - r.smoothed) / 8
	if now-r.since > 10*time.Second {
		r.older, r.least, r.since = r.least, d, now
	}
	r.least = min(r.least, d)
}

// minimum is the shortest a resend can take; 0: not known.
func (r *rtt) minimum() time.Duration { return min(r.least, r.older) }

// ackRecord is a full ACK that waits for its ACKACK.
type ackRecord struct {
	number uint32
	at     time.Duration
	next   int64
}

// journal remembers the last full ACKs: 128 of them are 1.28 s, and an older answer is no sample of today.
type journal [128]ackRecord

func (j *journal) add(r ackRecord) { j[r.number%uint32(len(j))] = r }

// take removes and returns the record of an ACK.
func (j *journal) take(number uint32) (ackRecord, bool) {
	r := &j[number%uint32(len(j))]
	if r.number != number || r.at == 0 {
		return ackRecord{}, false
	}
	out := *r
	r.at = 0
	return out, true
}
