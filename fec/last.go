package fec

import (
	"math"

	"github.com/fairlead-live/fairlead/fec/limit"
)

// Packets is the price as a number of packets.
func (p Price) Packets() float64 { return math.Ldexp(lowestPrice, int(min(p, planPrices-1))) }

// Last is the state of a bursty channel before the last transmission of a block, after which nothing more can be learned
// in time. Its packets need not leave back to back: spread over the time that is left, they do not all fall into the
// burst that is there when the first of them leaves.
type Last struct {
	Channel limit.Channel
	Lost    bool    // the fate of the newest packet that feedback tells of
	Since   float64 // packets' time since that packet was sent: the channel's memory fades
	Slack   float64 // packets' time until the last packet must have left
	Wire    float64 // packets' time that one packet takes to send
	Most    int     // no more fit
}

// Send says how many packets to send, evenly over the slack, for a block that misses so many symbols: the number that
// minimises n + price · P(more than n − missing of n are lost). Exact for the channel it is told of.
//
// Cost: some 10 µs for 8 missing symbols in bursts of 8.
func (l Last) Send(price Price, missing int) (n int) {
	worth := price.Packets()
	best := math.Inf(1)
	for m := missing; m <= min(l.Most, lastMost); m += 1 + m/16 {
		total := float64(m) + worth*l.fail(m, missing)
		if total < best {
			best, n = total, m
		} else if total > 1.2*best {
			break
		}
		if float64(m) > best {
			break
		}
	}
	return max(n, min(missing, l.Most))
}

// lastMost bounds what is sent at last: no block has more rows.
const lastMost = MaxRows

// fail is the probability that more than n − missing of n packets are lost.
func (l Last) fail(n, missing int) float64 {
	spare := n - missing
	steps := 1.0
	if n > 1 {
		steps += max(0, l.Slack/float64(n-1)-l.Wire)
	}
	from := limit.Dist{1, 0}
	if l.Lost {
		from = limit.Dist{0, 1}
	}
	// at[s][j]: j are lost so far, the newest fate is s.
	var at [2][lastMost + 1]float64
	start := l.Channel.Idle(from, l.Since+1)
	stay := [2]limit.Dist{l.Channel.Idle(limit.Dist{1, 0}, steps), l.Channel.Idle(limit.Dist{0, 1}, steps)}
	at[limit.Good][0] = start[limit.Good]
	if spare >= 1 {
		at[limit.Bad][1] = start[limit.Bad]
	}
	for i := 2; i <= n; i++ {
		for j := min(i, spare); j >= 0; j-- {
			g := at[limit.Good][j]*stay[limit.Good][limit.Good] + at[limit.Bad][j]*stay[limit.Bad][limit.Good]
			b := 0.0
			if j > 0 {
				b = at[limit.Good][j-1]*stay[limit.Good][limit.Bad] + at[limit.Bad][j-1]*stay[limit.Bad][limit.Bad]
			}
			at[limit.Good][j], at[limit.Bad][j] = g, b
		}
	}
	ok := 0.0
	for j := 0; j <= spare; j++ {
		ok += at[limit.Good][j] + at[limit.Bad][j]
	}
	return max(0, 1-ok)
}
