package mpegts

// Figures of the 90 kHz clock.
const (
	wrap33 = 1 << 33 // §2.4.3.7: PTS and DTS have 33 bits
	// nearby is how far a timestamp may be from the last one before it needs a second witness. Ours.
	nearby = 90000 * 600
)

// clock unwraps the 33-bit timestamps of all PIDs of a program on one axis.
type clock struct {
	started bool
	ref     int64 // the last credible timestamp, unwrapped
	odd     int64 // the last one far away
	odds    int   // how many in a row were near odd
}

// unwrap returns t on the axis: the value nearest to the reference.
//
// One damaged timestamp must not move the axis, so a far one is believed when three in a row agree.
func (c *clock) unwrap(t int64) int64 {
	if !c.started {
		c.started, c.ref = true, t
		return t
	}
	u := c.ref + delta33(t-c.ref)
	switch {
	case abs(u-c.ref) <= nearby:
		c.ref, c.odds = u, 0
	case c.odds > 0 && abs(u-c.odd) <= nearby:
		c.odd = u
		if c.odds++; c.odds >= 3 {
			c.ref, c.odds = u, 0
		}
	default:
		c.odd, c.odds = u, 1
	}
	return u
}

// delta33 returns d modulo 2^33 in [-2^32, 2^32).
func delta33(d int64) int64 {
	return (d+wrap33/2)&(wrap33-1) - wrap33/2
}

func abs(v int64) int64 { return max(v, -v) }
