package cc

import "time"

// flight is a sender's memory of its packets: a simple stand-in for transport/arq.
type flight struct {
	ring  []packet
	una   int64 // oldest that is not settled
	next  int64
	high  int64 // newest that arrived
	bytes int   // in flight
}

type packet struct {
	sent    time.Duration
	arrival time.Duration
	size    int
	state   state
	ce      bool
	kind    uint8
	born    time.Duration // of the frame
	tag     float64       // the sender's own
}

type state uint8

const (
	flying state = iota
	here
	settled
)

const reorder = 3 // packets, as RFC 9002 §6.1.1

func newFlight() *flight { return &flight{ring: make([]packet, 1<<14), high: -1} }

func (f *flight) at(seq int64) *packet { return &f.ring[seq&int64(len(f.ring)-1)] }

func (f *flight) push(p packet) int64 {
	if f.next-f.una >= int64(len(f.ring)) {
		f.settle(f.una)
		f.una++
	}
	*f.at(f.next) = p
	f.bytes += p.size
	f.next++
	return f.next - 1
}

func (f *flight) settle(seq int64) {
	if p := f.at(seq); p.state != settled {
		p.state = settled
		f.bytes -= p.size
	}
}

// take reads a report and calls fate for each packet whose fate it decides, in the order of sending.
func (f *flight) take(r *report, fate func(p *packet, lost bool)) {
	if len(r.got) == 0 {
		return
	}
	begin := r.got[0].seq
	for _, g := range r.got {
		begin = min(begin, g.seq)
		if g.seq < f.una {
			continue
		}
		if p := f.at(g.seq); p.state == flying {
			p.state, p.arrival, p.ce = here, g.at, g.ce
		}
		f.high = max(f.high, g.seq)
	}
	for seq := f.una; seq <= f.high; seq++ {
		p := f.at(seq)
		switch {
		case p.state == here:
			f.settle(seq)
			fate(p, false)
		case p.state == flying && seq <= f.high-reorder:
			f.settle(seq)
			if seq >= begin { // else no report covered it that came through: unknown
				fate(p, true)
			}
		}
	}
	for f.una <= f.high && f.at(f.una).state == settled {
		f.una++
	}
}

// forget settles what was sent up to a time: nothing is known of it.
func (f *flight) forget(until time.Duration) {
	for ; f.una < f.next && f.at(f.una).sent <= until; f.una++ {
		f.settle(f.una)
	}
}

// ledger is the receiver's memory: what arrived in the last 100 ms.
type ledger struct {
	got   []got
	fresh int
}

const reportSpan = 100 * time.Millisecond

func (l *ledger) add(g got) {
	l.got = append(l.got, g)
	l.fresh++
}

// report makes one, or nil where nothing is new.
func (l *ledger) report(now time.Duration) *report {
	if l.fresh == 0 {
		return nil
	}
	i := 0
	for i < len(l.got)-l.fresh && l.got[i].at < now-reportSpan {
		i++
	}
	l.got = append(l.got[:0], l.got[i:]...)
	l.fresh = 0
	return &report{got: append([]got(nil), l.got...)}
}
