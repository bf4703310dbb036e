package congestion

import (
	"testing"
	"time"
)

// BenchmarkFeedback is one report of 16 packets, at 20 ms.
func BenchmarkFeedback(b *testing.B) {
	c, p := New(Config{}), &path{rate: 6e6}
	p.run(c, 3*time.Second)
	packets := make([]Packet, 16)
	now := p.now
	b.ReportAllocs()
	for b.Loop() {
		now += 20 * ms
		for i := range packets {
			c.Sent(now, 1200)
			at := now - 60*ms + time.Duration(i)*ms
			packets[i] = Packet{Sent: at, Arrival: at + 30*ms, Size: 1200, Lost: i == 3}
		}
		c.Feedback(now, 60*ms, packets)
	}
}
