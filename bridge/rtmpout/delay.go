package rtmpout

import "time"

// DelayBounds are the upper bounds of what Stats.Delays counts; the last count is of what took longer.
var DelayBounds = [...]time.Duration{
	250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second,
}

// Delays counts frames by how long they took.
type Delays struct {
	Counts [len(DelayBounds) + 1]uint64
	Sum    time.Duration
}

func (d *Delays) add(t time.Duration) {
	i := 0
	for i < len(DelayBounds) && t > DelayBounds[i] {
		i++
	}
	d.Counts[i]++
	d.Sum += max(t, 0)
}
