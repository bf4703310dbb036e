package congestion

import "time"

// Pacer spreads packets in time. The zero value is ready.
type Pacer struct {
	next time.Duration
}

// paceBurst is how far the pacer may fall behind and catch up at once: quic_cc.md §4.2, slices of 2.5 ms.
const paceBurst = 2500 * time.Microsecond

// Next is when the next packet may leave.
func (p *Pacer) Next() time.Duration { return p.next }

// Sent is told of a packet and the rate.
func (p *Pacer) Sent(now time.Duration, size int, rate Bitrate) {
	p.next = max(p.next, now-paceBurst) + rate.Time(size)
}
