package fec

import (
	"slices"
	"time"
)

// TransmissionsLeft is how many times a block can still be sent, the one that begins now included; 0 when it is too
// late even for that.
//
//	r = 1 + ⌊(deadline − now − spread) / round⌋
//
// deadline is on the sender's clock: capture time + D, where D is the receiver's buffer on top of the one-way delay.
// spread: the time to put the packets on the wire. round: RoundEstimator.Round.
func TransmissionsLeft(now, deadline time.Time, spread, round time.Duration) int {
	left := deadline.Sub(now) - spread
	if left < 0 {
		return 0
	}
	return 1 + int(left/max(round, time.Millisecond))
}

// RoundEstimator knows how long a round takes: from the first sending of a packet to its next, when it is lost.
// It is pessimistic on purpose, for a round that does not fit after all is a lost block.
//
// The zero value is ready.
type RoundEstimator struct {
	srtt, rttvar time.Duration
	rtts, delays recent
}

// ObserveRTT takes in one round-trip time.
func (e *RoundEstimator) ObserveRTT(now time.Time, rtt time.Duration) {
	// RFC 9002 §5.3
	if e.srtt == 0 {
		e.srtt, e.rttvar = rtt, rtt/2
	} else {
		e.rttvar = (3*e.rttvar + (e.srtt - rtt).Abs()) / 4
		e.srtt = (7*e.srtt + rtt) / 8
	}
	e.rtts.add(now, rtt)
}

// ObserveDelay takes in what a recovery took beyond the round-trip time: repair sent − lost packet sent − RTT.
func (e *RoundEstimator) ObserveDelay(now time.Time, delay time.Duration) {
	e.delays.add(now, max(0, delay))
}

const (
	// defaultDelay stands for the delay of detection and scheduling until some were measured: the limit tables' clock.
	defaultDelay = 10 * time.Millisecond
	memoryOfRTT  = 5 * time.Second // research/fec 4.4
	firstRound   = 200 * time.Millisecond
)

// Round is max(srtt + 2·rttvar, 95 % of the RTTs of the last 5 s) + 95 % of the recent delays.
func (e *RoundEstimator) Round(now time.Time) time.Duration {
	if e.srtt == 0 {
		return firstRound
	}
	delay := defaultDelay
	if e.delays.n >= 8 {
		delay = e.delays.p95(now.Add(-time.Minute))
	}
	return max(e.srtt+2*e.rttvar, e.rtts.p95(now.Add(-memoryOfRTT))) + delay
}

// recent is the newest 64 samples.
type recent struct {
	at  [64]time.Time
	d   [64]time.Duration
	n   int
	top time.Duration // the answer, until the next sample
	ok  bool
}

func (r *recent) add(now time.Time, d time.Duration) {
	i := r.n % len(r.d)
	// At most one in 50 ms takes a place of its own, the others raise the newest: so 64 places reach back 3 s and more.
	if r.n > 0 {
		if last := (r.n - 1) % len(r.d); now.Sub(r.at[last]) < 50*time.Millisecond {
			r.d[last] = max(r.d[last], d)
			r.ok = false
			return
		}
	}
	r.at[i], r.d[i] = now, d
	r.n++
	r.ok = false
}

// p95 of the samples since a time; the newest alone if there is none.
func (r *recent) p95(since time.Time) time.Duration {
	if r.ok || r.n == 0 {
		return r.top
	}
	var buf [64]time.Duration
	sorted := buf[:0]
	for i := range min(r.n, len(r.d)) {
		if !r.at[i].Before(since) {
			sorted = append(sorted, r.d[i])
		}
	}
	if len(sorted) == 0 {
		return r.d[(r.n-1)%len(r.d)]
	}
	slices.Sort(sorted)
	r.top, r.ok = sorted[(len(sorted)*95-1)/100], true
	return r.top
}
