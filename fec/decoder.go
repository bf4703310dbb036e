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

// maxSeq keeps sums of sequence numbers and counts far from overflow.
const maxSeq = 1 << 62

func (d *Decoder) source(seq int64, payload []byte) DropReason {
	n := LengthBytes + len(payload)
	switch {
	case seq < 0 || seq > maxSeq:
		return DropRange
	case len(payload) == 0 || n > d.cfg.SymbolBytes:
		return DropLength
	case d.newest >= 0 && seq <= d.newest-int64(len(d.ring)):
		return DropOld
	}
	d.advance(seq)
	s := d.slot(seq)
	if s.state == known || s.state == spent {
		return DropDuplicate
	}
	d.longest = max(d.longest, n)
	was := s.state
	if was == pending { // its equation is about the other unknowns now
		d.unlist(s)
		d.spare = append(d.spare, d.row.coef)
		s.equation, d.row = equation{symbol: d.row.symbol}, s.equation
	} else {
		s.symbol = d.take()
	}
	s.reserve(n, d.longest)
	s.setPayload(payload)
	s.state = known
	if was == pending {
		// The coefficient of s itself is 1, and it has at least one other unknown, or it would have been solved.
		d.row.coef[d.index(seq)] = 0
		d.add(&d.row.symbol, 1, &s.symbol)
		d.insert(seq + 1)
		return Kept
	}
	at := d.index(seq)
	for i := len(d.eqs) - 1; i >= 0; i-- { // downwards: solve moves the last entry to place i
		if q := &d.ring[d.eqs[i]]; q.coef[at] != 0 {
			d.add(&q.symbol, q.coef[at], &s.symbol)
			q.coef[at] = 0
			d.solve(q)
		}
	}
	return Kept
}

func (d *Decoder) repair(base int64, count, row int, payload []byte) DropReason {
	last := base + int64(count) - 1
	switch {
	case count < 1 || count > MaxCount || row < 0 || row >= MaxRows || base < 0 || base > maxSeq:
		return DropRange
	case len(payload) < LengthBytes || len(payload) > d.cfg.SymbolBytes:
		return DropLength
	case d.newest < 0 || last > d.newest+MaxCount:
		return DropAhead
	case base <= max(last, d.newest)-int64(len(d.ring)):
		return DropOld
	}
	unknown, gone := last > d.newest, false
	for seq := base; seq <= min(last, d.newest); seq++ {
		switch s := d.slot(seq); {
		case s.state == spent:
			gone = true
		case s.state != known:
			unknown = true
		case s.n > len(payload):
			return DropLength
		}
	}
	if !unknown {
		return DropNotNeeded
	}
	if gone {
		return DropOld
	}
	d.advance(last)
	d.longest = max(d.longest, len(payload))
	d.row.reserve(len(payload), d.longest)
	d.row.set(payload)
	for seq := base; seq <= last; seq++ {
		switch s := d.slot(seq); s.state {
		case known:
			d.add(&d.row.symbol, Coef(row, seq), &s.symbol)
		default:
			d.row.coef[d.index(seq)] ^= Coef(row, seq)
		}
	}
	// The unknowns of equations appear in no other equation, so each is eliminated once and for all.
	for seq := base; seq <= last; seq++ {
		if c := d.row.coef[d.index(seq)]; c != 0 {
			if s := d.slot(seq); s.state == pending {
				d.combine(&d.row, c, &s.equation)
			}
		}
	}
	return d.insert(base)
}

// insert makes d.row, which has no unknown before from and none of another equation's, an equation of its own.
func (d *Decoder) insert(from int64) DropReason {
	for from <= d.newest && d.row.coef[d.index(from)] == 0 {
		from++
	}
	if from > d.newest {
		if !isZero(d.row.buf[:d.row.n]) {
			return DropConflict
		}
		return DropDependent
	}
	if len(d.eqs) == d.cfg.Equations && !d.giveWay(from) {
		clear(d.row.coef)
		return DropFull
	}
	buf := d.take() // before anything is solved, lest that gives way
	at := d.index(from)
	if c := d.row.coef[at]; c != 1 {
		inv := inverse(c)
		d.row.scale(inv)
		kernel.GalMulSlice(inv, d.row.coef, d.row.coef)
	}
	for i := len(d.eqs) - 1; i >= 0; i-- {
		if q := &d.ring[d.eqs[i]]; q.coef[at] != 0 {
			d.combine(&q.equation, q.coef[at], &d.row)
			d.solve(q)
		}
	}
	s := d.slot(from)
	s.equation, d.row = d.row, equation{symbol: buf, coef: d.coefficients()}
	s.state = pending
	s.at = int32(len(d.eqs))
	d.eqs = append(d.eqs, int32(at))
	d.solve(s)
	return Kept
}

// solve turns an equation with a single unknown, which is its own, into the symbol.
func (d *Decoder) solve(s *decoderSlot) {
	if !single(s.coef) {
		return
	}
	d.unlist(s)
	d.release(s)
	p := s.payload()
	if len(p) == 0 {
		d.drop(s, missing)
		d.stats.Corrupt++
		return
	}
	s.cut(LengthBytes + len(p))
	s.state = known
	if s.seq < d.floor {
		d.stats.Late++
		return
	}
	d.stats.Recovered++
	if len(d.solved) == cap(d.solved) { // popped ones in front, or the caller does not pop: the oldest goes
		d.solved = d.solved[:copy(d.solved, d.solved[max(d.head, 1):])]
		d.head = 0
	}
	d.solved = append(d.solved, s.seq)
}

// advance moves the window so that it ends at seq or later.
func (d *Decoder) advance(seq int64) {
	if seq <= d.newest {
		return
	}
	first := seq - int64(len(d.ring)) + 1
	if d.newest >= 0 {
		first = max(first, d.newest+1)
	}
	// Oldest first: when an unknown goes, the equations that hold it are its own or, older, gone before.
	for ; first <= seq; first++ {
		s := d.slot(first)
		switch s.state {
		case pending:
			d.abandon(s)
		case known:
			d.drop(s, missing)
		}
		s.seq, s.state = first, missing
	}
	d.newest = seq
}

// giveWay abandons the equation of the oldest unknown if it is older than seq, the unknown of a new equation.
func (d *Decoder) giveWay(seq int64) bool {
	oldest := seq
	for _, i := range d.eqs {
		oldest = min(oldest, d.ring[i].seq)
	}
	if oldest == seq {
		return false
	}
	d.abandon(d.slot(oldest))
	return true
}

func (d *Decoder) abandon(s *decoderSlot) {
	d.unlist(s)
	d.release(s)
	d.drop(s, missing)
	d.stats.Abandoned++
}

// take finds a buffer for a symbol or an equation. While all that may be are in use, known symbols give way.
func (d *Decoder) take() symbol {
	for d.held >= d.cfg.Stored && d.evict() {
	}
	d.held++
	if n := len(d.free); n > 0 {
		s := d.free[n-1]
		d.free = d.free[:n-1]
		return s
	}
	return symbol{}
}

// drop takes the buffer from a place.
func (d *Decoder) drop(s *decoderSlot, state slotState) {
	d.free = append(d.free, s.symbol)
	s.symbol = symbol{}
	s.state = state
	d.held--
}

// evict frees buffers of known symbols: the oldest that has expired, else those settled first, else the oldest. It reports
// false when there is none, which cannot be while there are fewer equations than buffers. Were the settled ones first, frames
// that are lost for good would keep their places, and more would be lost for want of them.
func (d *Decoder) evict() bool {
	was := d.held
	if d.evictTo(min(d.floor, d.newest+1)) {
		return true
	}
	for d.spans > 0 && d.held == was {
		run := d.settled[d.settle]
		d.settle = (d.settle + 1) % len(d.settled)
		d.spans--
		for seq := run.base; seq < run.base+int64(run.count); seq++ {
			if s := d.slot(seq); s.seq == seq && s.state == known {
				d.drop(s, spent)
			}
		}
	}
	if d.held < was || d.evictTo(d.newest+1) {
		return true
	}
	d.low = 0
	return d.evictTo(d.newest + 1)
}

// evictTo frees the buffer of the oldest known symbol before end.
func (d *Decoder) evictTo(end int64) bool {
	for d.low = max(d.low, d.newest-int64(len(d.ring))+1); d.low < end; d.low++ {
		if s := d.slot(d.low); s.seq == d.low && s.state == known {
			d.drop(s, spent)
			return true
		}
	}
	return false
}

func (d *Decoder) unlist(s *decoderSlot) {
	moved := d.eqs[len(d.eqs)-1]
	d.eqs[s.at] = moved
	d.ring[moved].at = s.at
	d.eqs = d.eqs[:len(d.eqs)-1]
}

func (d *Decoder) release(s *decoderSlot) {
	clear(s.coef)
	d.spare = append(d.spare, s.coef)
	s.coef = nil
}

func (d *Decoder) coefficients() []byte {
	if n := len(d.spare); n > 0 {
		row := d.spare[n-1]
		d.spare = d.spare[:n-1]
		return row
	}
	return make([]byte, len(d.ring))
}

func (d *Decoder) add(dst *symbol, c byte, src *symbol) {
	dst.reserve(src.n, d.longest)
	dst.add(c, src)
}

func (d *Decoder) combine(dst *equation, c byte, src *equation) {
	d.add(&dst.symbol, c, &src.symbol)
	kernel.GalMulSliceXor(c, src.coef, dst.coef)
}

func (d *Decoder) index(seq int64) int { return int(seq & int64(len(d.ring)-1)) }

func (d *Decoder) slot(seq int64) *decoderSlot { return &d.ring[d.index(seq)] }

func (d *Decoder) inWindow(seq int64) bool {
	return seq <= d.newest && seq > d.newest-int64(len(d.ring))
}
