package ingest

import "time"

const (
	slot  = 100 * time.Millisecond
	slots = 20 // 2 s: long enough to hold a keyframe of an ordinary GOP, short enough to see a change
)

// meter measures a bitrate over the last slots of time it was told of.
type meter struct {
	started time.Time
	last    int64 // number of the newest slot, counted from started
	bytes   [slots]int
}

func (m *meter) add(now time.Time, n int) {
	if m.started.IsZero() {
		m.started = now
	}
	m.advance(now)
	m.bytes[m.last%slots] += n
}

// advance empties the slots that have passed. A clock that goes back changes nothing.
func (m *meter) advance(now time.Time) {
	to := int64(now.Sub(m.started) / slot)
	if to-m.last >= slots {
		m.bytes = [slots]int{}
		m.last = to
	}
	for m.last < to {
		m.last++
		m.bytes[m.last%slots] = 0
	}
}

// bitsPerSec is the mean over the window, of which the newest slot is as long as it has lasted.
func (m *meter) bitsPerSec(now time.Time) float64 {
	if m.started.IsZero() {
		return 0
	}
	m.advance(now)
	sum := 0
	for _, n := range m.bytes {
		sum += n
	}
	from := max(m.last-slots+1, 0)
	// A first burst must not look like a gigabit: at least one slot.
	span := max(now.Sub(m.started)-time.Duration(from)*slot, slot)
	return float64(sum) * 8 / span.Seconds()
}
