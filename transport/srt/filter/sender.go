package filter

import "encoding/binary"

// Sender makes control packets. It belongs to one goroutine.
type Sender struct {
	cfg  Config
	size int // longest payload that is sent; every control packet has 4 bytes more
	row  group
	cols []group
	next int64
	out  []Control
}

// Control is a control packet to be sent, at once after the packet of its index.
type Control struct {
	Index     int64 // of the last packet of its group
	Timestamp uint32
	Body      []byte
}

// NewSender makes one for payloads of at most size bytes.
func NewSender(cfg Config, size int) *Sender {
	s := &Sender{cfg: cfg, size: min(size, MaxPayload)}
	if cfg.hasCols() {
		s.cols = make([]group, cfg.Cols)
	}
	return s
}

// Data takes a packet at its first transmission, borrowed; never a retransmission. Indices must grow. A group that misses one
// has no control packet.
func (s *Sender) Data(p *Packet) {
	if p.Index < s.next || len(p.Payload) > s.size {
		return
	}
	s.next = p.Index + 1
	// Columns before rows where both end with the same packet.
	if s.cfg.hasCols() {
		if col, id, at, ok := s.cfg.place(p.Index); ok {
			s.feed(&s.cols[col], id, at, s.cfg.height(), byte(col), p)
		}
	}
	if s.cfg.hasRows() {
		s.feed(&s.row, p.Index/int64(s.cfg.Cols), int(p.Index%int64(s.cfg.Cols)), s.cfg.Cols, 0xFF, p)
	}
}

func (s *Sender) feed(g *group, id int64, at, size int, name byte, p *Packet) {
	if !g.used || g.id != id {
		g.reset(id)
	}
	if g.add(at, p); g.count < size {
		return
	}
	body := make([]byte, headerLen, headerLen+s.size)
	body[0], body[1] = name, g.key
	binary.BigEndian.PutUint16(body[2:], g.length)
	s.out = append(s.out, Control{Index: p.Index, Timestamp: g.time, Body: append(body, g.sum[:s.size]...)})
	g.reset(id + 1)
}

// Next returns the next control packet to send.
func (s *Sender) Next() (Control, bool) {
	if len(s.out) == 0 {
		return Control{}, false
	}
	c := s.out[0]
	s.out = s.out[1:]
	return c, true
}
