package cc

import (
	"fmt"
	"time"
)

const minute = 60 * time.Second

// Constant is one flow on 6 Mbit/s with 250 ms of buffer and 60 ms of round trip, with loss behind the bottleneck.
func Constant(loss, burst float64) Scenario {
	s := Words("constant", "delay 30ms up rate 6mbit limit 250ms", minute)
	if loss > 0 {
		s = s.WithAfter(loss, burst)
		s.Name = fmt.Sprintf("loss-%g", loss*100)
		if burst > 1 {
			s.Name = fmt.Sprintf("burst-%g", loss*100)
		}
	}
	return s
}

// Link is one flow on 6 Mbit/s with another buffer and round trip.
func Link(buffer, rtt time.Duration) Scenario {
	return Words(fmt.Sprintf("buffer-%v-rtt-%v", buffer, rtt), fmt.Sprintf("delay %v up rate 6mbit limit %v", rtt/2, buffer), minute)
}

// Rival is one flow of ours beside a bulk flow that comes 5 s later.
func Rival(k Kind, buffer time.Duration) Scenario {
	s := Words(fmt.Sprintf("beside-%v-%v", k, buffer), fmt.Sprintf("delay 30ms up rate 6mbit limit %v", buffer), 2*minute)
	return s.Beside(Flow{Kind: k, Start: 5 * time.Second})
}

// Own is n flows of ours, one second apart.
func Own(n int) Scenario {
	s := Words(fmt.Sprintf("own-%d", n), fmt.Sprintf("delay 30ms up rate %dkbit limit 250ms", 2000*n), minute)
	for i := 1; i < n; i++ {
		s = s.Beside(Flow{Kind: Ours, Start: time.Duration(i) * time.Second})
	}
	return s
}
