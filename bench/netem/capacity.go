package netem

import (
	"math/bits"
	"time"
)

// capacity is the bottleneck's server. It is a function of time alone, walked forward:
// start says when it can begin with the packet at the head of the queue, finish takes that packet.
type capacity struct {
	kind  capacityKind
	trace *Trace
	shift time.Duration // link time + shift = trace time

	rate   Bitrate
	steps  timeline
	stalls windows

	free time.Duration // the last packet left then

	// packet opportunities
	index int64         // trace: of the current opportunity
	at    time.Duration // of the current opportunity
	left  int           // bytes of it
	draw  stream        // Poisson: one for each opportunity
}

type capacityKind uint8

const (
	unlimited capacityKind = iota
	fluid
	packetTrace
	poisson
)

func newCapacity(c *Config, seed uint64, dir Direction) capacity {
	k := capacity{
		trace: c.Trace, rate: c.Rate,
		steps:  newTimeline(c, StepRate),
		stalls: newWindows(newTimeline(c, StepStall), c.Drought, newStream(seed, dir, effectDrought)),
		draw:   newStream(seed, dir, effectPoisson),
		index:  -1, at: -1,
	}
	if c.Trace != nil {
		k.shift = c.TraceOffset
		if k.shift < 0 {
			// One draw for both directions, and whole milliseconds.
			u := newStream(seed, 0, effectOffset).unit(0)
			k.shift = time.Duration(u * float64(c.Trace.Period())).Truncate(time.Millisecond)
		}
		k.shift %= c.Trace.Period()
	}
	switch {
	case c.Trace != nil && c.Trace.IsRate():
		k.kind = fluid
	case c.Trace != nil:
		k.kind = packetTrace
		k.index = c.Trace.before(k.shift) - 1
	case c.Poisson:
		k.kind = poisson
		k.index, k.at = 0, 0
	case c.Rate > 0:
		k.kind = fluid
	}
	return k
}

// start returns when the packet at the head, which came at arrive, begins to leave.
func (k *capacity) start(arrive time.Duration) time.Duration {
	head := max(arrive, k.free)
	switch k.kind {
	case packetTrace, poisson:
		if k.left == 0 || k.at < arrive {
			k.opportunity(head)
		}
		return k.at
	}
	for {
		if end := k.stalls.closed(head); end > 0 {
			head = end
			continue
		}
		if k.kind == unlimited {
			return head
		}
		r, until := k.rateAt(head)
		if r > 0 {
			return head
		}
		head = until
	}
}

// finish takes size bytes, beginning at start's time, and returns when the last one has left.
func (k *capacity) finish(start time.Duration, size int) time.Duration {
	switch k.kind {
	case unlimited:
		k.free = start
	case fluid:
		k.free = k.carry(start, uint64(size)*8)
	default:
		for size > k.left {
			size -= k.left
			k.opportunity(k.at)
		}
		k.left -= size
		k.free = k.at
	}
	return k.free
}

// opportunity moves to the next one that is not before t, nor in a stall.
func (k *capacity) opportunity(t time.Duration) {
	for {
		if k.kind == poisson {
			k.at = k.carry(k.at, uint64(k.draw.exp(uint64(k.index))*opportunity*8)+1)
			k.index++
		} else {
			k.index = max(k.index+1, k.trace.before(t+k.shift))
			k.at = k.trace.time(k.index) - k.shift
		}
		if k.at < t {
			continue
		}
		k.left = opportunity
		if k.kind == poisson {
			return // carry has seen the stalls
		}
		end := k.stalls.closed(k.at)
		if end == 0 {
			return
		}
		t = end
	}
}

// carry returns when n bits that begin at t have passed.
func (k *capacity) carry(t time.Duration, n uint64) time.Duration {
	// In units of 1e-9 bits, so that rate × nanoseconds is exact; 128 bits wide.
	hi, lo := bits.Mul64(n, uint64(time.Second))
	for {
		if end := k.stalls.closed(t); end > 0 {
			t = end
			continue
		}
		rate, until := k.rateAt(t)
		until = min(until, k.stalls.change())
		if rate > 0 {
			need := never
			if hi < uint64(rate) {
				q, rem := bits.Div64(hi, lo, uint64(rate))
				if rem > 0 {
					q++
				}
				if q < uint64(never) {
					need = time.Duration(q)
				}
			}
			if need <= until-t {
				return t + need
			}
			ph, pl := bits.Mul64(uint64(rate), uint64(until-t))
			var borrow uint64
			lo, borrow = bits.Sub64(lo, pl, 0)
			hi, _ = bits.Sub64(hi, ph, borrow)
		}
		t = until
	}
}

// rateAt returns the rate at t and when it may change. Times do not go back, except within one rate.
func (k *capacity) rateAt(t time.Duration) (Bitrate, time.Duration) {
	if k.trace != nil {
		r, until := k.trace.rateAt(t + k.shift)
		return r, until - k.shift
	}
	for {
		s, ok := k.steps.pop(t)
		if !ok {
			return k.rate, k.steps.at()
		}
		k.rate = s.Rate
	}
}

// Mean is what the bottleneck carries on the mean in the first d: of a trace its own mean, wherever it starts; of a schedule the mean
// of its rates; at most a policer's rate. 0: there is no bottleneck.
func (c *Config) Mean(d time.Duration) Bitrate {
	mean := c.Rate
	if c.Trace != nil {
		mean = c.Trace.Mean()
	}
	if line := newTimeline(c, StepRate); mean > 0 && c.Trace == nil && d > 0 && len(line.steps) > 0 {
		sum, from, rate := 0.0, time.Duration(0), c.Rate
		for from < d {
			until := min(d, line.at())
			sum += float64(rate) * (until - from).Seconds()
			if s, ok := line.pop(until); ok {
				rate = s.Rate
			}
			from = until
		}
		mean = Bitrate(sum / d.Seconds())
	}
	if p := c.Policer.Rate; p > 0 && (mean == 0 || p < mean) {
		mean = p
	}
	return mean
}
