package congestion

import "time"

// base keeps the least one-way delay (at the unknown offset of the receiver's clock) and the least round
// trip, each over six buckets of 5 s, and from the two the drift of the clocks.
type base struct {
	buckets [baseBuckets]baseBucket
	current int64
	begun   bool
	drift   float64 // the receiver's clock gains so much, seconds per second
	low     time.Duration
	held    bool          // nothing is forgotten: somebody else keeps the queue full
	shift   int64         // buckets that this lasted
	lowAt   time.Duration // when the delay was last near its least
}

type baseBucket struct {
	delay, rtt time.Duration
	at         time.Duration // when the least delay was met
	used       bool
}

// quic_cc.md §4.2: base delay = minimum over 6 buckets of 5 s.
const (
	baseBuckets = 6
	baseBucketD = 5 * time.Second
	// driftMax bounds what is believed: ours; clocks of phones and servers are within 100 ppm of the truth.
	driftMax = 500e-6
	// driftRest is how far, s, the buckets may lie from a line for its slope to be a drift. Ours: half of a report's wait is 10 ms.
	driftRest = 0.002
	// nearBase is what counts as an empty queue: ours, the grain of arrival times (1/1024 s) and a packet.
	nearBase = 3 * time.Millisecond
)

// add takes the delay of a packet that was sent at sent, and the round trip of the report that told of it (0: none).
func (b *base) add(now, sent, delay, rtt time.Duration) {
	k := int64(now/baseBucketD) - b.shift
	if !b.begun {
		b.begun, b.current = true, k
	}
	if b.held { // the bucket that would go is kept: time stands still
		b.shift, k = int64(now/baseBucketD)-b.current, b.current
	}
	for b.current < k {
		b.current++
		b.buckets[b.current%baseBuckets] = baseBucket{}
		b.fit()
		b.refresh()
	}
	delay -= time.Duration(b.drift * float64(sent))
	e := &b.buckets[k%baseBuckets]
	if !e.used || delay < e.delay {
		e.delay, e.at = delay, sent
	}
	if rtt > 0 && (!e.used || e.rtt == 0 || rtt < e.rtt) {
		e.rtt = rtt
	}
	e.used = true
	if delay < b.low || b.lowAt == 0 {
		b.low = delay
	}
	if delay <= b.low+nearBase {
		b.lowAt = now
	}
}

// queue is how far a delay is above the base.
func (b *base) queue(sent, delay time.Duration) time.Duration {
	return max(0, delay-time.Duration(b.drift*float64(sent))-b.low)
}

func (b *base) refresh() {
	first := true
	for i := range b.buckets {
		if e := &b.buckets[i]; e.used && (first || e.delay < b.low) {
			b.low, first = e.delay, false
		}
	}
	if first { // nothing for 30 s
		b.lowAt = 0
	}
}

// fit finds the drift: a queue raises the one-way delay and the round trip alike, a clock that runs away
// raises the delay alone. Least squares over the buckets, from four on.
func (b *base) fit() {
	var n, sx, sy, sxx, sxy, syy float64
	for i := range b.buckets {
		e := &b.buckets[i]
		if !e.used || e.rtt == 0 {
			continue
		}
		x, y := e.at.Seconds(), (e.delay - e.rtt).Seconds()
		n, sx, sy, sxx, sxy, syy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y, syy+y*y
	}
	det := n*sxx - sx*sx
	if n < 4 || det < 1 {
		return
	}
	slope := (n*sxy - sx*sy) / det
	rest := max(0, syy-sy*sy/n-slope*(sxy-sx*sy/n)) / n
	if rest > driftRest*driftRest { // not a line: the wait for a report changed, or the way back
		return
	}
	step := slope / 2 // the round trip holds the return path's queue and the wait for the report too
	drift := max(-driftMax, min(driftMax, b.drift+step))
	step = drift - b.drift
	b.drift = drift
	for i := range b.buckets { // what is stored was corrected by the old drift
		e := &b.buckets[i]
		e.delay -= time.Duration(step * float64(e.at))
	}
}
