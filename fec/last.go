package fec

import (
	"math"

	"github.com/fairlead-live/fairlead/fec/limit"
)

// Packets is the price as a number of packets.
func (p Price) Packets() float64 { return math.Ldexp(lowestPrice, int(min(p, planPrices-1))) }

// Last is the state of a bursty channel before the last transmission of a block, after which nothing more can be learned
// in time. Its packets need not leave back to back: spread over the time that is left, they do not all fall into the
// burst that is there when the first of them leaves. What is on its way counts by its own time, for a burst takes neighbours together.
type Last struct {
	Channel limit.Channel
	Lost    bool      // the fate of the newest packet that feedback tells of
	Since   float64   // packets' time since that packet was sent: the channel's memory fades
	Flying  []float64 // packets' time since then at which each packet of the block that is on its way left, the first one first; at most LastFlying
	Slack   float64   // packets' time until the last packet must have left
	Wire    float64   // packets' time that one packet takes to send
	Most    int       // no more fit
}

// lastMost bounds what is sent at last: no block has more rows.
const lastMost = MaxRows

// LastFlying is how many packets on their way are looked at.
const LastFlying = 64

// Send says how many packets to send, evenly over the slack, for a block that misses so many symbols while those of Flying are on their
// way: the number that minimises n + price · P(fewer than missing of all of them arrive). Exact for the channel it is told of.
//
// Cost: some 10 µs for 8 missing symbols in bursts of 8.
func (l Last) Send(price Price, missing int) (n int) {
	worth := price.Packets()
	flying := min(len(l.Flying), LastFlying)
	var ahead lastDist
	at := ahead.flown(&l, flying)
	best := math.Inf(1)
	first := max(0, missing-flying)
	n = first
	for m := first; m <= min(l.Most, lastMost); m += 1 + m/8 {
		total := float64(m) + worth*l.fail(&ahead, at, m, flying+m-missing)
		if total < best {
			best, n = total, m
		} else if total > 1.2*best {
			break
		}
		if float64(m) > best {
			break
		}
	}
	return min(n, max(0, l.Most))
}

// lastDist[s][j]: j are lost so far, the newest fate is s.
type lastDist [2][LastFlying + lastMost + 1]float64

// flown is what the first packets on their way met, and when the last of them left.
func (d *lastDist) flown(l *Last, flying int) (at float64) {
	state := limit.Good
	if l.Lost {
		state = limit.Bad
	}
	d[state][0] = 1
	for i, sent := range l.Flying[:flying] {
		d.step(l.after(sent-at), i+1)
		at = sent
	}
	return at
}

// after is the fate of a packet that leaves so much later than another, by the other's fate.
func (l *Last) after(gap float64) (next [2]limit.Dist) {
	steps := 1 + max(0, gap-l.Wire)
	return [2]limit.Dist{l.Channel.Idle(limit.Dist{1, 0}, steps), l.Channel.Idle(limit.Dist{0, 1}, steps)}
}

// step sends one packet. most is how many losses are looked at.
func (d *lastDist) step(next [2]limit.Dist, most int) {
	good, bad := d[limit.Good][:most+1], d[limit.Bad][:most+1]
	for j := most; j > 0; j-- {
		was := bad[j]
		bad[j] = good[j-1]*next[limit.Good][limit.Bad] + bad[j-1]*next[limit.Bad][limit.Bad]
		good[j] = good[j]*next[limit.Good][limit.Good] + was*next[limit.Bad][limit.Good]
	}
	good[0] = good[0]*next[limit.Good][limit.Good] + bad[0]*next[limit.Bad][limit.Good]
	bad[0] = 0
}

// fail is the probability that more than spare are lost of those that have flown, the last of them at a time, and n more.
func (l *Last) fail(flown *lastDist, at float64, n, spare int) float64 {
	if spare < 0 {
		return 1
	}
	var d lastDist
	spare = min(spare, len(d[0])-1)
	for s := range d {
		copy(d[s][:spare+1], flown[s][:spare+1])
	}
	var next [2]limit.Dist
	if n > 1 {
		next = l.after(l.Slack / float64(n-1))
	}
	for i := range n {
		if i == 0 {
			d.step(l.after(l.Since-at), spare)
		} else {
			d.step(next, min(spare, len(l.Flying)+i+1))
		}
	}
	ok := 0.0
	for j := 0; j <= spare; j++ {
		ok += d[limit.Good][j] + d[limit.Bad][j]
	}
	return max(0, 1-ok)
}
