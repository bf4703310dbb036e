package cc

import (
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/congestion"
)

// Kind of a flow.
type Kind uint8

const (
	Ours Kind = iota
	Fixed
	SCReAM // a model of SCReAMv2, to compare with
	Oracle // knows the link as it was a round trip ago
	Reno
	Cubic
	BBR
)

func (k Kind) String() string {
	return [...]string{"ours", "fixed", "scream", "oracle", "reno", "cubic", "bbr"}[k]
}

// Flow is one sender.
type Flow struct {
	Kind  Kind
	Start time.Duration
	Rate  congestion.Bitrate // Fixed: what it sends. Others: the encoder's maximum, 0: none
	Queue time.Duration      // Oracle: the queue it aims at
	Still [2]time.Duration   // the encoder has a still picture between these times, a tenth of the rate
}

// Scenario is a link, what runs over it, and for how long.
type Scenario struct {
	Name  string
	About string
	Up    netem.Config
	Down  netem.Config
	After netem.Loss // loss behind the bottleneck, as on the air
	Flows []Flow
	For   time.Duration
	Drift float64 // the receiver's clock is fast by so much, ppm
	Start congestion.Bitrate
	NoFEC bool // ours sends no repairs
}

// Words makes a Scenario with one flow of ours from netem's words for both directions. It panics on bad words.
func Words(name, words string, d time.Duration) Scenario {
	up, down, err := netem.ParsePath(words)
	if err != nil {
		panic(err)
	}
	return Scenario{Name: name, About: words, Up: up, Down: down, For: d, Flows: []Flow{{Kind: Ours}}}
}

// WithAfter puts random loss behind the bottleneck; burst above 1 makes runs of that mean length.
func (s Scenario) WithAfter(p float64, burst float64) Scenario {
	s.After = netem.Loss{Model: netem.LossRandom, P: p}
	if burst > 1 {
		r := 1 / burst
		s.After = netem.Loss{Model: netem.LossGE, P: p * r / (1 - p), R: r, Bad: 1}
	}
	return s
}

// Beside adds flows.
func (s Scenario) Beside(f ...Flow) Scenario {
	s.Flows = append(append([]Flow{}, s.Flows...), f...)
	return s
}
