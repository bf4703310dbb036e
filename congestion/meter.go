package congestion

import "time"

// meter measures a rate over the last moments: a ring of (time, bytes), one entry for each millisecond in
// which there was something. Times ascend; an earlier one counts at the newest.
type meter struct {
	ring  [meterRing]metered
	n     int // entries ever
	since time.Duration
}

type metered struct {
	at    time.Duration
	bytes int
}

// meterRing entries of 1 ms hold more than the longest window, 500 ms.
const meterRing = 512

const meterGrain = time.Millisecond

func (m *meter) add(at time.Duration, bytes int) {
	if m.n == 0 {
		m.since = at
	} else {
		last := &m.ring[(m.n-1)%meterRing]
		at = max(at, last.at)
		if at-last.at < meterGrain {
			last.bytes += bytes
			return
		}
	}
	m.ring[m.n%meterRing] = metered{at, bytes}
	m.n++
}

// newest is the time of the last entry.
func (m *meter) newest() time.Duration {
	if m.n == 0 {
		return 0
	}
	return m.ring[(m.n-1)%meterRing].at
}

// rate is in bits/s over the time window that ends at end; before a window has passed since the first entry,
// over what has. 0: nothing yet.
func (m *meter) rate(end, window time.Duration) float64 {
	if m.n == 0 {
		return 0
	}
	if age := end - m.since; age < window {
		window = max(age, 20*time.Millisecond)
	}
	sum := 0
	for i := m.n - 1; i >= max(0, m.n-meterRing); i-- {
		e := &m.ring[i%meterRing]
		if e.at <= end-window {
			break
		}
		if e.at <= end {
			sum += e.bytes
		}
	}
	return float64(sum) * 8 / window.Seconds()
}

// restart forgets everything: the next entry is the first.
func (m *meter) restart() { m.n = 0 }
