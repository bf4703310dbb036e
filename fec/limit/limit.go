// Package limit says what is physically possible: the least bandwidth overhead at which a live stream reaches a residual
// frame loss, over a given channel, round-trip time and latency. Every figure is computed, none simulated.
//
// # Model
//
// The stream is a frame of k packets every interval; one packet slot is interval/k. Overhead is (packets sent − source
// packets) / source packets, in expectation. Latency D is the receiver's buffer on top of the one-way delay. A frame is
// lost when it is not complete D after it was ready.
//
// The channel loses packets independently or in bursts (simple Gilbert: the bad state loses all, the good none). It steps
// once per packet within a transmission, and once per slot while the sender waits for feedback.
//
//		            D
//		├───────────────────────────────────────────┤        rounds of a block of B frames:
//		├spread┤── RTT+perRound ──┤── RTT+perRound ──┤        R = ⌊(D − spread − (B−1)·interval) / (RTT + perRound)⌋
//		send     1st resend         2nd resend                blocks without feedback: ⌊(D − spread)/interval⌋ + 1 frames
//
//	  - ARQ: every missing packet is sent again, once per round. Exact.
//	  - Block: an ideal MDS block over as many frames as fit, parity behind them, no feedback. Exact.
//	  - Slide: an ideal sliding window without feedback: parity per frame over all undecoded frames; decodes as soon as the
//	    parity received matches what is missing. Exact Markov chain, rates in steps of 1/20 packet per frame.
//	  - Hybrid: a block of B frames with some parity, then per round the number of packets that minimises
//	    E[packets] + λ·P(fail), by dynamic programming over (missing symbols, rounds left, fate of the last packet). Every
//	    symbol received counts, in whichever round. λ is set so that the target is just met; the two neighbouring policies
//	    share the time. The best B, or the block without feedback where that is cheaper.
//
// Packets of one transmission take no wire time and feedback is free, at once, and never lost. p/(1−p) bounds every
// scheme on a memoryless channel; with bursts a scheme may be a little cheaper by waiting them out. A code that combines
// a sliding window with feedback might still win some of the gap where R ≤ 1.
package limit

import (
	"fmt"
	"math"
	"time"
)

// Query is one question.
type Query struct {
	Channel  Channel
	RTT      time.Duration
	Latency  time.Duration // D, on top of the one-way delay
	Target   float64       // residual frame loss, such as 1e-3
	Packets  int           // per frame, 1..200; see PacketsPerFrame
	Interval time.Duration // between frames
	Clock    Clock
}

// Clock is the time that a real transport takes on top of physics.
type Clock struct {
	Spread   time.Duration // to put a frame on the wire
	PerRound time.Duration // per round, on top of the RTT
}

// Practical is what a good transport can be held to; the zero Clock is physics.
var Practical = Clock{Spread: 10 * time.Millisecond, PerRound: 10 * time.Millisecond}

// PacketBytes is the source packet of the published tables: 4 Mbit/s at 30 frames/s in 14 packets a frame.
const PacketBytes = 1190

// PacketsPerFrame is how many packets a mean frame of a stream takes, at least 1.
func PacketsPerFrame(bitsPerSecond float64, interval time.Duration) int {
	return max(1, int(bitsPerSecond*interval.Seconds()/8/PacketBytes+0.5))
}

// Result holds overheads as a share of the source packets: 0.05 is 5 %.
type Result struct {
	Bound  float64 // p/(1-p)
	ARQ    ARQ
	Block  FEC
	Slide  FEC
	Hybrid Hybrid
}

// Least is the least overhead of all schemes, and whether any reaches the target.
func (r *Result) Least() (overhead float64, ok bool) {
	overhead = math.Inf(1)
	for _, o := range []struct {
		overhead float64
		ok       bool
	}{{r.ARQ.Overhead, r.ARQ.OK}, {r.Block.Overhead, r.Block.OK}, {r.Slide.Overhead, r.Slide.OK}, {r.Hybrid.Overhead, r.Hybrid.OK}} {
		if o.ok && o.overhead < overhead {
			overhead, ok = o.overhead, true
		}
	}
	return overhead, ok
}

// ARQ is resending alone.
type ARQ struct {
	Rounds    int
	FrameLoss float64
	Overhead  float64
	OK        bool // FrameLoss ≤ Target
}

// FEC is a scheme without feedback.
type FEC struct {
	Frames   int // that a block or the window spans
	Overhead float64
	OK       bool
}

// Hybrid is the best of both.
type Hybrid struct {
	Frames   int // per block
	Rounds   int // after the first transmission; 0 with FEC alone
	Parity   int // sent with the first transmission
	Overhead float64
	OK       bool
}

// mostRounds is where the dynamic programme stops counting: nothing gets better.
const mostRounds = 14

// Compute answers a query. It takes 20 ms at 5 % loss in bursts of 3 and 200 ms of latency, up to seconds for long
// bursts and long windows.
func Compute(q Query) (Result, error) {
	if err := q.validate(); err != nil {
		return Result{}, err
	}
	c := q.Channel
	r := Result{Bound: c.Bound()}
	if c.Loss == 0 {
		span := q.span()
		r.ARQ = ARQ{Rounds: q.rounds(1), OK: true}
		r.Block = FEC{Frames: span, OK: true}
		r.Slide = FEC{Frames: span, OK: true}
		r.Hybrid = Hybrid{Frames: 1, Rounds: q.rounds(1), OK: true}
		return r, nil
	}
	r.ARQ.Rounds = q.rounds(1)
	r.ARQ.FrameLoss, r.ARQ.Overhead = c.arq(q.Packets, min(r.ARQ.Rounds, 40), q.idleSlots())
	r.ARQ.OK = r.ARQ.FrameLoss <= q.Target
	r.Block = FEC{Frames: q.span(), OK: true}
	r.Block.Overhead = c.BlockOverhead(r.Block.Frames, q.Packets, q.Target)
	r.Slide.Frames = q.span()
	r.Slide.Overhead, r.Slide.OK = c.SlideOverhead(q.Packets, r.Slide.Frames, q.Target, r.Block.Overhead)
	r.Hybrid = q.hybrid(r.Block)
	return r, nil
}

// hybrid tries block lengths as long as a round fits.
func (q Query) hybrid(block FEC) Hybrid {
	best := Hybrid{Frames: block.Frames, Overhead: block.Overhead, OK: block.OK}
	if r := q.rounds(1); r > 0 {
		best = Hybrid{Frames: 1, Rounds: r}
	}
	rounds, worse, before := -1, 0, 0.0
	for frames := 1; q.rounds(frames) >= 1 && frames*q.Packets <= 256; frames++ {
		r := min(q.rounds(frames), mostRounds)
		if r != rounds {
			rounds, worse, before = r, 0, math.Inf(1)
		}
		// With as many rounds a longer block is better up to some length; with four or more nothing is to be won.
		if worse == 2 || frames > 1 && r >= 4 {
			continue
		}
		k := frames * q.Packets
		packets, parity, ok := q.Channel.newHybrid(k, r, q.idleSlots()).least(q.Target)
		if !ok {
			continue
		}
		o := packets / float64(k)
		if o >= before {
			worse++
		}
		before = o
		if !best.OK || o < best.Overhead {
			best = Hybrid{Frames: frames, Rounds: r, Parity: parity, Overhead: o, OK: true}
		}
	}
	if block.OK && (!best.OK || block.Overhead < best.Overhead) {
		best = Hybrid{Frames: block.Frames, Overhead: block.Overhead, OK: true}
	}
	return best
}

// rounds is how many rounds after the first transmission fit for a block of so many frames.
func (q Query) rounds(frames int) int {
	left := q.Latency - q.Clock.Spread - time.Duration(frames-1)*q.Interval
	if left < 0 {
		return 0
	}
	return int(left / (q.RTT + q.Clock.PerRound))
}

// span is how many frames a code without feedback may reach over.
func (q Query) span() int {
	return int(max(0, q.Latency-q.Clock.Spread)/q.Interval) + 1
}

func (q Query) idleSlots() float64 {
	return float64(q.RTT+q.Clock.PerRound) / float64(q.Interval) * float64(q.Packets)
}

func (q Query) validate() error {
	if err := q.Channel.Validate(); err != nil {
		return err
	}
	switch {
	case q.RTT <= 0 || q.Latency < 0 || q.Clock.Spread < 0 || q.Clock.PerRound < 0:
		return fmt.Errorf("%w: RTT %v, latency %v, clock %v", ErrQuery, q.RTT, q.Latency, q.Clock)
	case q.Interval < time.Millisecond || q.span() > 60:
		return fmt.Errorf("%w: a frame every %v within a latency of %v: at most 60 frames", ErrQuery, q.Interval, q.Latency)
	case q.Packets < 1 || q.Packets > 200:
		return fmt.Errorf("%w: %d packets per frame: want 1 to 200", ErrQuery, q.Packets)
	case !(q.Target >= 1e-7 && q.Target < 0.5):
		return fmt.Errorf("%w: frame loss of %v: want 1e-7 to 0.5", ErrQuery, q.Target)
	}
	return nil
}
