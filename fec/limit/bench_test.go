package limit

import (
	"testing"
	"time"
)

func BenchmarkCompute(b *testing.B) {
	for name, spoil := range map[string]func(*Query){
		"5 % bursts 3, 60-200": func(*Query) {},
		"20 % bursts 8, 150-300": func(q *Query) {
			q.Channel = Channel{0.2, 8}
			q.RTT, q.Latency = 150*time.Millisecond, 300*time.Millisecond
		},
		"5 % bursts 20, 300-1000": func(q *Query) { q.Channel = Channel{0.05, 20}; q.RTT, q.Latency = 300*time.Millisecond, time.Second },
	} {
		b.Run(name, func(b *testing.B) {
			q := example()
			q.Clock = Practical
			spoil(&q)
			for b.Loop() {
				if _, err := Compute(q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
