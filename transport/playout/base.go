package playout

import "time"

// delayBase is the least one-way delay of the last 25 to 30 s, over six buckets of 5 s (design.md §3),
// at the unknown offset between the clocks. It follows a lower delay slowly: one packet that took a
// shortcut must not make the frames that are waiting late at once.
type delayBase struct {
	buckets [6]time.Duration
	have    [6]bool
	current int64
	low     time.Duration
	used    time.Duration
	last    time.Duration
	started bool
}

const (
	bucketLength = 5 * time.Second
	slewStep     = 33 * time.Millisecond
	slew         = 50 // a lower delay is approached by 1/50 of the time that passes: ours, 20 ms a second;
	// at most 0.7 ms at once, after a silence
)

func (d *delayBase) add(now, v time.Duration) {
	n := int64(now / bucketLength)
	switch {
	case n-d.current >= int64(len(d.buckets)):
		d.have = [6]bool{}
		d.current = n
	default:
		for ; d.current < n; d.current++ {
			d.have[(d.current+1)%6] = false
		}
	}
	i := n % 6
	if !d.have[i] || v < d.buckets[i] {
		d.buckets[i], d.have[i] = v, true
	}
	found := false
	for j, have := range d.have {
		if have && (!found || d.buckets[j] < d.low) {
			d.low, found = d.buckets[j], true
		}
	}
	if !d.started || d.low >= d.used {
		d.used, d.started = d.low, true
	} else {
		d.used = max(d.low, d.used-max(0, min(now-d.last, slewStep))/slew)
	}
	d.last = now
}

func (d *delayBase) least() time.Duration { return d.used }
