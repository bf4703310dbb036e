package fec

import "fmt"

// An Encoder keeps the newest source symbols of a stream and makes repair symbols over any run of them.
//
// It is owned by one goroutine and allocates only until its buffers have grown to the longest payload.
type Encoder struct {
	cfg     Config
	ring    []encoderSlot
	acc     symbol
	longest int
	next    int64 // the sequence number after the newest; -1 before the first
	oldest  int64 // the oldest of the gapless run that ends before next
	row     int
}

type encoderSlot struct {
	seq int64
	symbol
}

// NewEncoder returns an empty encoder, or what is wrong with the configuration.
func NewEncoder(cfg Config) (*Encoder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("fec: encoder: %w", err)
	}
	cfg = cfg.withDefaults()
	e := &Encoder{cfg: cfg, ring: make([]encoderSlot, cfg.Symbols), next: -1}
	for i := range e.ring {
		e.ring[i].seq = -1
	}
	return e, nil
}

// Put stores the payload of media packet seq. Sequence numbers rise by one; after a gap or a step back the
// encoder starts anew and forgets what it had. Borrows payload.
//
// It reports false, and stores nothing, for a payload that is empty or longer than SymbolBytes - LengthBytes and for
// seq < 0.
func (e *Encoder) Put(seq int64, payload []byte) bool {
	n := LengthBytes + len(payload)
	if seq < 0 || len(payload) == 0 || n > e.cfg.SymbolBytes {
		return false
	}
	if seq != e.next {
		e.oldest = seq
	}
	e.next = seq + 1
	e.oldest = max(e.oldest, e.next-int64(len(e.ring)))
	e.longest = max(e.longest, n)
	s := &e.ring[seq&int64(len(e.ring)-1)]
	s.seq = seq
	s.reserve(n, e.longest)
	s.setPayload(payload)
	return true
}

// Payload lends the payload of media packet seq, until it is overwritten by the Symbols-th packet after it; nil when
// it has left the ring. Retransmissions are made from it.
func (e *Encoder) Payload(seq int64) []byte {
	if !e.Covers(seq, 1) {
		return nil
	}
	return e.ring[seq&int64(len(e.ring)-1)].payload()
}

// Covers reports whether the whole range is still in the ring, so that AppendRepair will work.
func (e *Encoder) Covers(base int64, count int) bool {
	return count >= 1 && base >= e.oldest && base <= e.next-int64(count)
}

// NextRow returns the rows 0..127 in turn. Repairs made with it never share a row within 128, so over one range they
// are MDS.
func (e *Encoder) NextRow() int {
	row := e.row
	e.row = (e.row + 1) % MaxRows
	return row
}

// AppendRepair appends the repair symbol of this row over the media packets base..base+count-1 to dst. It is as long
// as the longest source symbol in the range. It reports false, and returns dst as it was, when a symbol has left the
// ring or was never put, or count or row is out of range.
//
// Cost: about 63 ns per symbol of the range for 1200 bytes.
func (e *Encoder) AppendRepair(dst []byte, base int64, count, row int) ([]byte, bool) {
	if count > MaxCount || row < 0 || row >= MaxRows || !e.Covers(base, count) {
		return dst, false
	}
	e.acc.reserve(e.longest, e.longest)
	e.acc.cut(0)
	mask := int64(len(e.ring) - 1)
	for seq := base; seq < base+int64(count); seq++ {
		e.acc.add(Coef(row, seq), &e.ring[seq&mask].symbol)
	}
	return append(dst, e.acc.buf[:e.acc.n]...), true
}
