package srt

import "time"

// Arrival is a data packet as it came, for whoever estimates the path.
type Arrival struct {
	At      time.Time
	Stamp   time.Duration // when the caller sent it first, on a clock of its own that does not wrap
	Size    int           // bytes on the wire, headers included
	Resent  bool
	Missing int // packets before it that were found missing with it
}

// maxArrivals is how many are kept between two calls of TakeArrivals; further ones are not: 20 Mbit/s for 250 ms.
const maxArrivals = 512

// TakeArrivals appends what has come since the last call; of a group, over its oldest member. The first call begins the recording, of
// at most 512 packets, 20 KiB.
func (c *Conn) TakeArrivals(dst []Arrival) []Arrival {
	if m := c.lead(); m != nil {
		c = m
	}
	if c.arrivals == nil {
		c.arrivals = make([]Arrival, 0, maxArrivals)
	}
	dst = append(dst, c.arrivals...)
	c.arrivals = c.arrivals[:0]
	return dst
}

// record keeps an arrival where somebody asks for them.
func (c *Conn) record(now time.Duration, h *Header, seq int64, size int) {
	if c.arrivals == nil || len(c.arrivals) == maxArrivals {
		return
	}
	missing := 0
	if c.first && seq > c.high {
		missing = int(min(seq-c.high, flowWindow))
	}
	c.arrivals = append(c.arrivals, Arrival{At: c.l.epoch.Add(now), Stamp: c.clock.local(now, h.Timestamp), Size: size, Resent: h.Resent, Missing: missing})
}
