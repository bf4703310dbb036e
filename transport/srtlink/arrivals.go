package srtlink

import "github.com/fairlead-live/fairlead/transport/srt"

// maxArrivals bounds what waits for Arrivals: a second of 20 Mbit/s; what comes beyond is left out.
const maxArrivals = 2048

// Arrivals appends the data packets that came since the last call, up to statsEvery ago. The first call begins the recording;
// gosrt's listener has none.
func (c *Conn) Arrivals(dst []srt.Arrival) []srt.Arrival {
	k, ok := c.link.(*ownLink)
	if !ok {
		return dst
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watched = true
	dst = append(dst, k.arrivals...)
	k.arrivals = k.arrivals[:0]
	return dst
}

// keepArrivals takes them over from the loop's side; with mu held.
func (k *ownLink) keepArrivals(c *srt.Conn) {
	if k.watched && len(k.arrivals) < maxArrivals {
		k.arrivals = c.TakeArrivals(k.arrivals)
	}
}
