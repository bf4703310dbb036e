package fec

// The decoder's window: what moves it on, whose bytes give way when memory is short, and where buffers are used again.

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

func (d *Decoder) index(seq int64) int { return int(seq & int64(len(d.ring)-1)) }

func (d *Decoder) slot(seq int64) *decoderSlot { return &d.ring[d.index(seq)] }

func (d *Decoder) inWindow(seq int64) bool {
	return seq <= d.newest && seq > d.newest-int64(len(d.ring))
}
