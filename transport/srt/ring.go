package srt

import "time"

// Bounds of a connection's buffer.
const (
	minRing = 512
	// MaxRing is how many packets a connection can hold: 50 Mbit/s for 6 s. It is above the flow window we announce.
	MaxRing = 1 << 15
	// flowWindow is what we announce: libsrt's own default, SRTO_FC 25600.
	flowWindow = 25600
)

// buffer holds one payload.
type buffer [maxDatagram]byte

// pool lends buffers to the connections of one listener and keeps what comes back.
type pool struct {
	free []*buffer
	used int
	max  int
}

func (p *pool) get() *buffer {
	if p.used >= p.max {
		return nil
	}
	p.used++
	if n := len(p.free); n > 0 {
		b := p.free[n-1]
		p.free = p.free[:n-1]
		return b
	}
	return new(buffer)
}

// put takes a buffer back. As many stay for later as are in use, and 64.
func (p *pool) put(b *buffer) {
	p.used--
	if len(p.free) < p.used+64 {
		p.free = append(p.free, b)
	}
}

// slot is one sequence number's place in the ring.
type slot struct {
	data  *buffer // nil: not here
	n     int32   // length of data
	known bool    // data, or it was here: seq holds
	seq   int64
	play  time.Duration // when it is due, without drift
	gap   time.Duration // when it was found missing; 0: never
}

// ring is indexed by sequence number; it doubles up to MaxRing when the numbers in use spread.
type ring struct{ slots []slot }

func (r *ring) at(seq int64) *slot { return &r.slots[seq&int64(len(r.slots)-1)] }

// reach makes room for the numbers from..to and reports whether that is possible.
func (r *ring) reach(from, to int64) bool {
	n := int64(len(r.slots))
	if to-from < n {
		return true
	}
	if to-from >= MaxRing {
		return false
	}
	for n = max(n, minRing); n <= to-from; {
		n *= 2
	}
	old := r.slots
	r.slots = make([]slot, n)
	for _, s := range old {
		if s.known && s.seq >= from {
			*r.at(s.seq) = s
		}
	}
	return true
}
