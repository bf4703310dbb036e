package fec

import "math"

// Setting is what a plan is made for.
type Setting struct {
	Loss  float64 // p⁺ of a LossEstimator: 0 is a clean path, on which nothing is sent in advance
	Burst float64 // L̂, mean run of lost packets
	Idle  float64 // packets that would be sent in the time of one round, from which the memory of bursts decays
	// Frames and Packets ask for a sliding window as well, which is of use when no round fits: it spans so many
	// frames of so many packets on average. Zero: no window.
	Frames, Packets int
	// Relax multiplies the targets of all classes: 10 makes 1e-3 of 1e-4. Zero is 1.
	Relax float64
}

// target is the probability that a block of this class may miss its deadline.
func (s Setting) target(c Class) float64 {
	if s.Relax > 0 {
		return min(c.Target()*s.Relax, 0.1)
	}
	return c.Target()
}

// Price is what a plan paid for a block: the weight, in packets, of losing it. A block keeps its price for life, also
// when the plan changes.
type Price uint8

// Start is what to send with a block's first transmission.
type Start struct {
	Parity int // repair symbols over the block
	Price  Price
}

const (
	planRounds  = 4  // with more left, resending what is missing is as good as anything
	planMissing = 64 // symbols; a block that misses more is planned in proportion
	planPrices  = 24
	lowestPrice = 4.0 // packets; each next price is twice as high
)

// blockSizes are the numbers of packets that a plan knows; a block counts as the next larger one.
var blockSizes = [...]int{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128}

func sizeIndex(k int) int {
	for i, size := range blockSizes {
		if k <= size {
			return i
		}
	}
	return len(blockSizes) - 1
}

// A Plan says what to send on one channel: tables made by NewPlan and never changed, about 20 KiB. It may be made in
// one goroutine and used in another.
type Plan struct {
	setting Setting
	// send[price][rounds-1][missing][last lost] is the number of packets to send in a round.
	send    [planPrices][planRounds][planMissing + 1][2]uint8
	choices [len(blockSizes)][planRounds + 1][classes]choice
	window  float64
}

// choice is two neighbouring policies that share the time, so that their mean just meets the target.
type choice struct {
	parity   [2]uint8
	price    [2]Price
	share    float32 // of the second, dearer one
	overhead float32 // packets beyond the k, rounds included, divided by k
	fail     float32
}

// Setting is what the plan was made for, rounded as Planner rounds it.
func (p *Plan) Setting() Setting { return p.setting }

// Proactive says what to send with the k source packets of a block, before anything is known about them.
//
// rounds is how many further transmissions fit before the deadline: TransmissionsLeft - 1. dither, 0 ≤ dither < 1, picks
// between the two policies that share the time: Dither.Next gives one per block.
func (p *Plan) Proactive(k, rounds int, class Class, dither float64) Start {
	c := p.choice(k, rounds, class)
	i := 0
	if dither < float64(c.share) {
		i = 1
	}
	s := Start{Parity: int(c.parity[i]), Price: c.price[i]}
	if p.setting.Loss == 0 && rounds > 0 || class == Droppable && rounds > 0 {
		s.Parity = 0
	}
	return s
}

// Repair says how many packets to send for a block that still misses so many symbols; never fewer than that, for a
// block that waits has nothing to wake it.
//
// left is how many transmissions fit, this one included: TransmissionsLeft; 0 means that it is too late, and nothing is
// sent. lastLost is the fate of the last packet that was sent and that feedback tells of.
func (p *Plan) Repair(price Price, missing, left int, lastLost bool) int {
	if missing <= 0 || left <= 0 {
		return 0
	}
	if left > planRounds {
		return missing
	}
	s := 0
	if lastLost {
		s = 1
	}
	table := &p.send[min(price, planPrices-1)][left-1]
	if missing <= planMissing {
		return int(table[missing][s])
	}
	return (missing*int(table[planMissing][s]) + planMissing - 1) / planMissing
}

// Overhead is the expected cost of a block, the later rounds included, per source packet. The rate controller takes
// media target = rate / (1 + Overhead).
func (p *Plan) Overhead(k, rounds int, class Class) float64 {
	if p.setting.Loss == 0 && rounds > 0 {
		return 0
	}
	return float64(p.choice(k, rounds, class).overhead)
}

// Fail is the probability that a block misses its deadline under this plan. It is above the target of the class only
// where 127 parity packets and any price do not suffice.
func (p *Plan) Fail(k, rounds int, class Class) float64 {
	return float64(p.choice(k, rounds, class).fail)
}

// Window is how many repair symbols to send per source packet over a sliding window of Setting.Frames frames, when
// no round fits; 0 when the setting asked for none. Accumulator turns it into whole symbols per frame.
func (p *Plan) Window() float64 { return p.window }

// Blocks is how many frames of k packets to take together into one block, 1 to 6: more than one only where few
// rounds fit and the latency leaves slack. rounds says how many rounds fit after a block of so many frames.
func (p *Plan) Blocks(k int, class Class, rounds func(frames int) int) int {
	best, least := 1, math.Inf(1)
	for frames := 1; frames <= 6 && frames*k <= MaxCount; frames++ {
		r := rounds(frames)
		if r < 1 && frames > 1 {
			break
		}
		// One per cent is not worth waiting a frame for.
		if o := p.Overhead(frames*k, r, class); o < least*0.99 {
			best, least = frames, o
		}
		if r >= planRounds {
			break
		}
	}
	return best
}

func (p *Plan) choice(k, rounds int, class Class) *choice {
	if class >= classes {
		class = Reference
	}
	return &p.choices[sizeIndex(k)][min(max(rounds, 0), planRounds)][class]
}

// Split divides n packets for a block into resent source packets and new repair symbols. Each missing source packet
// comes first: it is of use even if the block fails and needs no solving. When the newest feedback may be out of date
// (a report is overdue, or packets sent since are not covered by it) rows alone are sure to be new to the receiver.
func Split(n, missingSources int, stale bool) (sources, rows int) {
	if !stale {
		sources = min(n, missingSources)
	}
	return sources, n - sources
}
