package emu

import (
	"fmt"
	"math/bits"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// never is later than every delivery.
const never = time.Duration(1<<63 - 1)

// Counters of one direction: the link's, then the emulator's. Nothing vanishes: the link's Delivered, copies counted, =
// Sent + CorruptDropped + OldAddress + Overflow + InFlight. Sizes are IP packets.
type Counters struct {
	netem.Counters

	Sent, SentBytes uint64
	SendErrors      uint64 // of Sent: refused by the far socket or device
	CorruptDropped  uint64 // a proxy drops what the receiver's UDP checksum would
	OldAddress      uint64 // sent to an address that the near side left in a handover
	Overflow        uint64 // more on its way than the memory bound: the emulator's fault, not the link's
	InFlight        uint64
	HostDropped     uint64 // before the emulator saw them, because it was too slow; not in the sum

	LateP50, LateP99, LateMax time.Duration // how much later than due packets were sent: the host's fault
}

// String is one line for a person. What did not happen is left out.
func (c Counters) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "packets=%d bytes=%d sent=%d sent_bytes=%d", c.Admitted, c.AdmittedBytes, c.Sent, c.SentBytes)
	show := func(name string, v uint64) {
		if v > 0 {
			fmt.Fprintf(&b, " %s=%d", name, v)
		}
	}
	for why, n := range c.Dropped {
		show("dropped_"+netem.Drop(why).String(), n)
	}
	show("duplicated", c.Duplicated)
	show("marked", c.Marked)
	show("early", c.Early)
	show("corrupted", c.Corrupted)
	show("corrupt_dropped", c.CorruptDropped)
	show("old_address", c.OldAddress)
	show("in_flight", c.InFlight)
	show("overflow", c.Overflow)
	show("host_dropped", c.HostDropped)
	show("send_errors", c.SendErrors)
	if c.Sent > 0 {
		fmt.Fprintf(&b, " late_p50_ms=%.3f late_p99_ms=%.3f late_max_ms=%.3f", ms(c.LateP50), ms(c.LateP99), ms(c.LateMax))
	}
	return b.String()
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// A histogram of times with a resolution of 1/16 (6 %), from 1 µs up.
type histogram struct {
	count [64 * 16]uint64
	total uint64
	max   time.Duration
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.max = max(h.max, d)
	h.total++
	us := uint64(d / time.Microsecond)
	if us < 16 {
		h.count[us]++
		return
	}
	e := bits.Len64(us) - 5 // us>>e is in 16..31
	h.count[16*(e+1)+int(us>>e)-16]++
}

// quantile is the upper end of the step that holds the quantile q.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	want := uint64(q*float64(h.total-1)) + 1
	for i, n := range h.count {
		if n >= want {
			us := uint64(i + 1)
			if i >= 16 {
				e := i/16 - 1
				us = uint64(i%16+17) << e
			}
			return min(time.Duration(us)*time.Microsecond, h.max)
		}
		want -= n
	}
	return h.max
}
