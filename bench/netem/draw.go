package netem

import "math"

// Direction of a link: Up leads from the sender of media to its receiver.
type Direction uint8

const (
	Up Direction = iota
	Down
)

func (d Direction) String() string {
	if d == Up {
		return "up"
	}
	return "down"
}

// effect names a stream. Values are part of every seed's meaning: append only.
type effect uint64

const (
	effectLoss effect = iota + 1
	effectLossState
	effectCorrupt
	effectCorruptBit
	effectDuplicate
	effectReorder
	effectJitter
	effectJitter2
	effectCopyJitter
	effectCopyJitter2
	effectPoisson
	effectDrought
	effectLossTime
	effectOffset
)

// stream is a random sequence whose nth value is a function of n alone.
type stream uint64

const golden = 0x9E3779B97F4A7C15 // SplitMix64: 2^64 / golden ratio (Steele et al., OOPSLA 2014)

// mix64 is the finaliser of SplitMix64.
func mix64(x uint64) uint64 {
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

func newStream(seed uint64, dir Direction, e effect) stream {
	return stream(mix64(mix64(mix64(seed+golden)+uint64(dir)*golden) + uint64(e)*golden))
}

// at returns draw n.
func (s stream) at(n uint64) uint64 { return mix64(uint64(s) + (n+1)*golden) }

// unit returns draw n in the open interval (0, 1).
func (s stream) unit(n uint64) float64 { return (float64(s.at(n)>>11) + 0.5) / (1 << 53) }

// exp returns draw n, exponential with mean 1.
func (s stream) exp(n uint64) float64 { return -math.Log(s.unit(n)) }

// chance is a yes/no effect with ratio p and lag-1 correlation corr: a two-state Markov chain with
// P(yes|yes) = p + corr(1-p) and P(yes|no) = p(1-corr).
type chance struct {
	p, corr float64
	draw    stream
	last    bool
	begun   bool
}

// next must be asked once for each packet number, in order.
func (c *chance) next(n uint64) bool {
	q := c.p
	if c.begun && c.corr != 0 {
		if c.last {
			q = c.p + float64(c.corr*(1-c.p))
		} else {
			q = c.p - float64(c.corr*c.p)
		}
	}
	c.begun = true
	c.last = c.draw.unit(n) < q
	return c.last
}
