package arq

import "time"

// RTT is the round-trip estimate of RFC 9002 §5.
type RTT struct {
	latest, smoothed, variation time.Duration
	least                       windowMin
}

// initialRTT is assumed before the first sample: ours, a mobile path; RFC 9002 §6.2.2 has 333 ms for its timers.
const initialRTT = 100 * time.Millisecond

func (r *RTT) add(now, sample time.Duration) {
	sample = max(sample, 0)
	r.latest = sample
	r.least.add(now, sample)
	if r.smoothed == 0 {
		r.smoothed, r.variation = sample, sample/8
		return
	}
	d := r.smoothed - sample
	r.variation += ((max(d, -d)) - r.variation) / 4
	r.smoothed += (sample - r.smoothed) / 8
}

// Known reports whether there was a sample.
func (r *RTT) Known() bool { return r.smoothed > 0 }

// Smoothed is the smoothed RTT, initialRTT before the first sample.
func (r *RTT) Smoothed() time.Duration {
	if r.smoothed == 0 {
		return initialRTT
	}
	return r.smoothed
}

// Var is the mean deviation.
func (r *RTT) Var() time.Duration { return r.variation }

// Latest is the newest sample.
func (r *RTT) Latest() time.Duration { return r.latest }

// Min is the least of the last 25 to 30 s, 0 before the first sample.
func (r *RTT) Min() time.Duration { return r.least.value() }

// windowMin is a minimum over six buckets of 5 s: design.md §3, base delay.
type windowMin struct {
	buckets [6]time.Duration
	have    [6]bool
	current int64
}

const bucketLength = 5 * time.Second

func (w *windowMin) add(now, v time.Duration) {
	n := int64(now / bucketLength)
	if n-w.current >= int64(len(w.buckets)) {
		w.have = [6]bool{}
		w.current = n
	}
	for ; w.current < n; w.current++ {
		w.have[(w.current+1)%6] = false
	}
	i := n % 6
	if !w.have[i] || v < w.buckets[i] {
		w.buckets[i], w.have[i] = v, true
	}
}

func (w *windowMin) value() (least time.Duration) {
	found := false
	for i, have := range w.have {
		if have && (!found || w.buckets[i] < least) {
			least, found = w.buckets[i], true
		}
	}
	return least
}

// reorderWindow adapts to the reordering seen.
type reorderWindow struct {
	extent time.Duration
	since  time.Duration
}

// Bounds and memory of the reorder window: issue 4 and design.md §4; forgetting is ours.
const (
	maxReorder    = 5 * time.Millisecond
	reorderMemory = 10 * time.Second
)

// saw takes note of a packet that came extent after it had been missed.
func (w *reorderWindow) saw(now, extent time.Duration) {
	if now-w.since > reorderMemory {
		w.extent = 0
	}
	w.extent = max(w.extent, extent+time.Millisecond)
	w.since = now
}

func (w *reorderWindow) get(minRTT time.Duration) time.Duration {
	return min(w.extent, maxReorder, minRTT/8)
}

// owdTrack follows one-way delays (at an unknown offset between the clocks): the highest of the last
// two quarter seconds.
type owdTrack struct {
	high, before time.Duration
	period       int64
	have, had    bool
}

const owdPeriod = 250 * time.Millisecond

func (o *owdTrack) add(now, d time.Duration) {
	switch n := int64(now / owdPeriod); {
	case n == o.period+1:
		o.before, o.had = o.high, o.have
		o.period, o.have = n, false
	case n > o.period:
		o.period, o.have, o.had = n, false, false
	}
	if !o.have || d > o.high {
		o.high, o.have = d, true
	}
}

func (o *owdTrack) slowest() (time.Duration, bool) {
	switch {
	case o.have && o.had:
		return max(o.high, o.before), true
	case o.have:
		return o.high, true
	}
	return o.before, o.had
}

// reportClock unwraps report times.
type reportClock struct {
	ticks int64
	seen  bool
}

func (c *reportClock) unwrap(t uint32) time.Duration {
	if !c.seen {
		c.ticks, c.seen = int64(t)+1<<32, true
	} else {
		c.ticks += int64(int32(t - uint32(c.ticks)))
	}
	return time.Duration(c.ticks) * (time.Second >> 8) >> 8
}

// quantile follows the 90th percentile by steps.
type quantile struct {
	v    time.Duration
	seen bool
}

// quantileStep is the step up: ours. Nine times as many steps down undo it.
const quantileStep = 900 * time.Microsecond

func (q *quantile) add(d time.Duration) {
	d = max(d, 0)
	switch {
	case !q.seen:
		q.v, q.seen = d, true
	case d > q.v:
		q.v += min(quantileStep, d-q.v)
	default:
		q.v -= min(quantileStep/9, q.v-d)
	}
}

func (q *quantile) value() time.Duration {
	if !q.seen {
		return 5 * time.Millisecond // ours: half of the limit tables' 10 ms, before the first loss
	}
	return q.v
}
