package limit

import (
	"errors"
	"fmt"
	"math"
)

// Channel is a simple Gilbert channel: its bad state loses every packet, its good state none.
type Channel struct {
	Loss  float64 // share of packets lost, 0 ≤ Loss < 1
	Burst float64 // mean run of lost packets; anything below 1/(1-Loss), such as 0, means independent losses
}

// ErrQuery is wrapped by every error about an argument.
var ErrQuery = errors.New("limit: impossible question")

// Validate says what is wrong.
func (c Channel) Validate() error {
	if !(c.Loss >= 0 && c.Loss <= 0.9) {
		return fmt.Errorf("%w: loss %v is outside 0 to 0.9", ErrQuery, c.Loss)
	}
	if !(c.Burst >= 0 && c.Burst <= 1000) {
		return fmt.Errorf("%w: mean burst of %v packets is outside 0 to 1000", ErrQuery, c.Burst)
	}
	return nil
}

// Bound is p/(1-p), the least overhead of any scheme on a memoryless channel.
func (c Channel) Bound() float64 { return c.Loss / (1 - c.Loss) }

// The two states, which are the fate of the last packet too.
const (
	Good = 0
	Bad  = 1
)

// Dist is a distribution over the two states.
type Dist [2]float64

// step is the transition matrix: step[s][s'] = P(next is s' | now s).
type step [2]Dist

func (c Channel) step() step {
	burst := max(c.Burst, 1/(1-c.Loss))
	leave := 1 / burst                     // bad → good
	enter := c.Loss * leave / (1 - c.Loss) // good → bad, so that the stationary share of bad is Loss
	return step{{1 - enter, enter}, {leave, 1 - leave}}
}

// Stationary is the distribution that holds without any knowledge.
func (c Channel) Stationary() Dist { return Dist{1 - c.Loss, c.Loss} }

func (d Dist) after(t step) Dist {
	return Dist{d[0]*t[0][0] + d[1]*t[1][0], d[0]*t[0][1] + d[1]*t[1][1]}
}

// Idle is the channel after n slots without a packet: the memory of a Gilbert channel decays as (1-enter-leave)^n.
func (c Channel) Idle(from Dist, n float64) Dist {
	t := c.step()
	keep := math.Pow(max(0, 1-t[Good][Bad]-t[Bad][Good]), n)
	pi := c.Stationary()
	return Dist{pi[0] + keep*(from[0]-pi[0]), pi[1] + keep*(from[1]-pi[1])}
}

// Losses is the distribution of what n packets in a row meet: Losses[n][j][s] = P(j of n lost, the last in state s).
// For n = 0 it is the state before.
type Losses [][]Dist

// Meet is what up to most packets meet, from a distribution over the state before the first of them.
func (c Channel) Meet(from Dist, most int) Losses {
	l := Losses{{from}}
	return c.Extend(l, most)
}

// Extend adds rows up to n = most to what Meet returned.
func (c Channel) Extend(l Losses, most int) Losses {
	t := c.step()
	for n := len(l); n <= most; n++ {
		row := make([]Dist, n+1)
		for j, was := range l[n-1] {
			next := was.after(t)
			row[j][Good] += next[Good]
			row[j+1][Bad] += next[Bad]
		}
		l = append(l, row)
	}
	return l
}
