package fec

// Elimination: what a symbol or an equation does to the equations that are there. Decoder's comment says what holds between them.

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

func (d *Decoder) add(dst *symbol, c byte, src *symbol) {
	dst.reserve(src.n, d.longest)
	dst.add(c, src)
}

func (d *Decoder) combine(dst *equation, c byte, src *equation) {
	d.add(&dst.symbol, c, &src.symbol)
	kernel.GalMulSliceXor(c, src.coef, dst.coef)
}
