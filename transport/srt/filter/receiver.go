package filter

import "encoding/binary"

// Receiver rebuilds packets. It belongs to one goroutine.
type Receiver struct {
	cfg   Config
	rows  []*group // by number, modulo
	cols  []*group // 4 groups of each column
	ready []ref    // groups that lack one packet
	high  int64
}

type ref struct {
	g   *group
	col int // -1: a row
}

const colGroups = 4

// NewReceiver makes one.
func NewReceiver(cfg Config) *Receiver {
	r := &Receiver{cfg: cfg}
	if cfg.hasRows() {
		r.rows = make([]*group, max(4*cfg.height(), 16))
	}
	if cfg.hasCols() {
		r.cols = make([]*group, colGroups*cfg.Cols)
	}
	return r
}

// Config returns what it was made with.
func (r *Receiver) Config() *Config { return &r.cfg }

// row returns the group of a row's number; nil: it is gone.
func (r *Receiver) row(id int64) *group { return get(r.rows, int(id%int64(len(r.rows))), id) }

func (r *Receiver) column(col int, id int64) *group {
	return get(r.cols, int(id%colGroups)*r.cfg.Cols+col, id)
}

func get(groups []*group, at int, id int64) *group {
	g := groups[at]
	switch {
	case g == nil:
		g = new(group)
		groups[at] = g
		g.reset(id)
	case g.id < id:
		g.reset(id)
	case g.id > id:
		return nil
	}
	return g
}

// Data takes a packet that arrived for the first time, or was rebuilt. It borrows p.
func (r *Receiver) Data(p *Packet) {
	if p.Index < 0 {
		return
	}
	r.high = max(r.high, p.Index)
	if r.cfg.hasRows() {
		if g := r.row(p.Index / int64(r.cfg.Cols)); g != nil && !g.done && g.add(int(p.Index%int64(r.cfg.Cols)), p) {
			r.check(g, -1)
		}
	}
	if r.cfg.hasCols() {
		if col, id, at, ok := r.cfg.place(p.Index); ok {
			if g := r.column(col, id); g != nil && !g.done && g.add(at, p) {
				r.check(g, col)
			}
		}
	}
}

// Control takes a control packet with the sequence number of index. It borrows body; false: it makes no sense.
func (r *Receiver) Control(index int64, timestamp uint32, body []byte) bool {
	if len(body) <= headerLen || len(body) > headerLen+MaxPayload || index < 0 || index > r.high+int64(2*r.cfg.Cols*r.cfg.height()) {
		return false
	}
	var g *group
	col := int(body[0])
	switch {
	case col == 0xFF:
		if col = -1; !r.cfg.hasRows() {
			return false
		}
		g = r.row(index / int64(r.cfg.Cols))
	default:
		at, id, _, ok := r.cfg.place(index)
		if !r.cfg.hasCols() || !ok || at != col {
			return false
		}
		g = r.column(col, id)
	}
	if g == nil || g.parity {
		return true // too old, or a copy
	}
	g.parity = true
	g.mix(timestamp, body[1], binary.BigEndian.Uint16(body[2:]), body[headerLen:])
	r.check(g, col)
	return true
}

func (r *Receiver) check(g *group, col int) {
	size := r.cfg.Cols
	if col >= 0 {
		size = r.cfg.height()
	}
	if g.parity && !g.done && g.count == size-1 {
		r.ready = append(r.ready, ref{g, col})
	}
}

// Next returns the next packet that was rebuilt, and lends its payload until the next call. Give it to Data if it is kept:
// that may complete the group that crosses.
func (r *Receiver) Next() (p Packet, ok bool) {
	for len(r.ready) > 0 {
		n := len(r.ready) - 1
		g, col := r.ready[n].g, r.ready[n].col
		r.ready = r.ready[:n]
		size := r.cfg.Cols
		if col >= 0 {
			size = r.cfg.height()
		}
		if !g.parity || g.done || g.count != size-1 {
			continue // the missing one has come, or the group has made room for another
		}
		g.done = true
		at := int64(g.missing(size))
		p = Packet{Timestamp: g.time, Key: g.key}
		if col < 0 {
			p.Index = g.id*int64(r.cfg.Cols) + at
		} else {
			p.Index = r.cfg.base(col) + (g.id*int64(size)+at)*int64(r.cfg.Cols)
		}
		if int(g.length) > g.size || g.length == 0 || g.key > 2 {
			continue // no packet can have been like that
		}
		p.Payload = g.sum[:g.length]
		return p, true
	}
	return p, false
}
