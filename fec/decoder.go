package fec

import "fmt"

// A Decoder recovers lost source symbols from whatever repairs arrive, in any order and over any ranges.
//
// It holds a window of the newest Config.Symbols media packets. Each place holds the symbol, or nothing, or an equation
// whose oldest unknown it is:
//
//	symbol(seq) + Σ coef·symbol(unknown younger than seq) = bytes
//
// The equations are kept in reduced echelon form: the unknown of one appears in no other. So a symbol is solved at
// the moment its equation has no second unknown, nothing is ever solved twice, and what leaves the window on its old
// side leaves no trace in the rest.
//
// It is owned by one goroutine. Cost of one call: at most one kernel run per symbol of the range and two per equation.
// Measured with 1200 bytes on a 2.5 GHz Xeon: 45 ns for a source symbol when nothing is missing, 1 to 2 µs for a repair
// of a frame, 47 µs for the worst repair there is (the 128th over 128 missing symbols). It allocates only until its buffers have grown to the
// longest symbol and its equations to their highest number.
type Decoder struct {
	cfg     Config
	ring    []decoderSlot
	eqs     []int32 // places in ring that hold an equation, in no order
	solved  []int64 // queue for Recovered: at most one entry for each place
	head    int     // first entry of solved that was not popped
	row     equation
	spare   [][]byte // rows of coefficients, all zero
	free    []symbol // buffers of places that need none
	held    int      // places that have one
	settled []span   // symbols whose bytes may go first, in a ring
	settle  int      // its first entry
	spans   int      // and how many there are
	low     int64    // no place before it holds a known symbol, or it was recovered since
	newest  int64    // -1 before the first source symbol
	floor   int64    // Expire
	longest int
	stats   DecoderStats
}

type slotState uint8

const (
	missing slotState = iota
	known
	pending // holds an equation
	spent   // was known; its bytes gave way
)

// span is a run of symbols.
type span struct {
	base  int64
	count int32
}

// equation is a symbol with the coefficient of each unknown at [seq mod Symbols].
type equation struct {
	symbol
	coef []byte
}

type decoderSlot struct {
	equation
	seq   int64
	at    int32 // its index in eqs, when pending
	state slotState
}

// NewDecoder returns an empty decoder, or what is wrong with the configuration.
func NewDecoder(cfg Config) (*Decoder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("fec: decoder: %w", err)
	}
	cfg = cfg.withDefaults()
	return &Decoder{
		cfg:    cfg,
		ring:   make([]decoderSlot, cfg.Symbols),
		eqs:    make([]int32, 0, cfg.Equations),
		solved: make([]int64, 0, cfg.Symbols),

		settled: make([]span, cfg.Symbols/2),
		row:     equation{coef: make([]byte, cfg.Symbols)},
		newest:  -1,
	}, nil
}

// Stats returns the counters so far.
func (d *Decoder) Stats() DecoderStats { return d.stats }

// Pending is how many equations wait for more symbols.
func (d *Decoder) Pending() int { return len(d.eqs) }

// Known reports whether media packet seq was received or recovered and is still in the window.
func (d *Decoder) Known(seq int64) bool {
	if seq < 0 || !d.inWindow(seq) {
		return false
	}
	s := d.slot(seq).state
	return s == known || s == spent
}

// Settle says that no repair over these symbols will be needed any more: a frame, say, that is whole and was protected
// by itself. Their bytes give way first when memory is short.
func (d *Decoder) Settle(base int64, count int) {
	if d.cfg.Stored == d.cfg.Symbols || count <= 0 || count > d.cfg.Symbols || d.spans == len(d.settled) {
		return
	}
	d.settled[(d.settle+d.spans)%len(d.settled)] = span{base, int32(count)}
	d.spans++
}

// Source takes in the payload of media packet seq, received first hand or resent. Borrows payload.
// A symbol given here is not reported by Recovered.
func (d *Decoder) Source(seq int64, payload []byte) DropReason {
	r := d.source(seq, payload)
	d.count(r, &d.stats.Sources)
	return r
}

// Repair takes in a repair symbol of this row over the media packets base..base+count-1. Borrows payload.
// Afterwards, call Recovered until it has no more.
func (d *Decoder) Repair(base int64, count, row int, payload []byte) DropReason {
	r := d.repair(base, count, row, payload)
	d.count(r, &d.stats.Repairs)
	return r
}

// Recovered pops a media packet that was solved and not received, oldest call first. It lends payload until the next
// call of any other method. ok is false when there is none.
func (d *Decoder) Recovered() (seq int64, payload []byte, ok bool) {
	for d.head < len(d.solved) {
		seq = d.solved[d.head]
		d.head++
		if s := d.slot(seq); s.seq == seq && s.state == known {
			return seq, s.payload(), true
		}
	}
	d.solved, d.head = d.solved[:0], 0
	return 0, nil, false
}

// Expire says that media packets before seq are of no use to the receiver any more. They are not reported when they
// are solved later, but stay in the equations of younger packets.
func (d *Decoder) Expire(before int64) { d.floor = max(d.floor, before) }

func (d *Decoder) count(r DropReason, kept *uint64) {
	if r == Kept {
		*kept++
	} else {
		d.stats.Dropped[r]++
	}
}
