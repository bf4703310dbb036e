package srt

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/fairlead-live/fairlead/bench/sim"
	"github.com/fairlead-live/fairlead/transport/srt/filter"
)

// caller is a simple SRT caller with the habits of libsrt 1.5: it repeats its handshake each 250 ms, keeps what it sent for a
// second more than the latency, answers full ACKs, and resends on a NAK what it has not resent within RTT - 4 RTTVar.
type caller struct {
	id, isn  uint32
	streamID string
	latency  time.Duration
	km       []byte
	filter   string
	flags    uint32
	group    []byte
	version  uint32
	seal     func(header, payload []byte) []byte

	began     time.Time
	state     int // 0: induction, 1: conclusion, 2: connected, 3: refused
	cookie    uint32
	code      uint32
	them      uint32
	again     time.Time
	connected time.Time
	granted   uint16 // latency in the response, ms

	next    uint32
	stamp   uint32        // added to every timestamp
	waits   time.Duration // between the conclusion's stamp and its leaving
	sent    map[uint32]*sentPacket
	order   []uint32
	out     [][]byte
	resends int
	first   int
	rtt     rtt
	acks    []ACKInfo
	naks    int
	acked   int64
	bye     bool
	parity  *filter.Sender
	msgNo   uint32
}

type sentPacket struct {
	b      []byte
	at     time.Time
	resent time.Time
}

func newCaller(id, isn uint32, streamID string, latency time.Duration) *caller {
	return &caller{id: id, isn: isn, streamID: streamID, latency: latency, flags: 0xBF, version: 0x010501, sent: map[uint32]*sentPacket{}, next: isn}
}

func (c *caller) timestamp(now time.Time) uint32 {
	return uint32(now.Sub(c.began)/time.Microsecond) + c.stamp
}

func (c *caller) handshake(now time.Time) []byte {
	h := handshake{version: 4, extension: 2, isn: c.isn, mtu: 1500, window: 8192, kind: typeInduction, id: c.id}
	if c.state == 1 {
		h.version, h.kind, h.cookie, h.extension = 5, typeConclusion, c.cookie, hasHS|hasConfig
		ms := uint16(c.latency / time.Millisecond)
		h.hs, h.hsType, h.srtVersion, h.flags, h.recvDelay, h.sendDelay = true, extHSReq, c.version, c.flags, ms, ms
		h.streamID, h.filter = []byte(c.streamID), []byte(c.filter)
		if h.km, h.kmType = c.km, extKMReq; h.km != nil {
			h.extension |= hasKM
			h.keyLen = 2
		}
	}
	p := Header{Control: true, Type: Handshake, Timestamp: c.timestamp(now)}
	if c.state == 1 {
		p.Timestamp -= stamp(c.waits)
	}
	b := h.append(p.Append(nil))
	if c.group != nil && c.state == 1 {
		b = append(appendWords(b, extGroup<<16|uint32(len(c.group)/4)), c.group...)
	}
	return b
}

func (c *caller) HandleDatagram(now time.Time, b []byte) {
	h, body, ok := ParseHeader(b)
	if !ok || !h.Control || h.Dest != c.id {
		return
	}
	switch h.Type {
	case Handshake:
		var r handshake
		if r.parse(body) != nil {
			return
		}
		switch {
		case r.kind == typeInduction && c.state == 0 && r.extension == magic:
			c.state, c.cookie, c.again = 1, r.cookie, now
		case r.kind == typeConclusion && c.state == 1:
			c.state, c.them, c.connected, c.granted = 2, r.id, now, r.recvDelay
		case r.kind >= 1000 && r.kind != typeConclusion && c.state == 1:
			c.state, c.code = 3, r.kind
		}
	case ACK:
		a, _ := ParseACK(body)
		c.acked = max(c.acked, unwrap31(int64(c.next), a.Next))
		if h.Info == 0 {
			return
		}
		c.acks = append(c.acks, a)
		p := Header{Control: true, Type: ACKACK, Info: h.Info, Timestamp: c.timestamp(now), Dest: c.them}
		c.out = append(c.out, appendWords(p.Append(nil), 0))
		c.rtt.smoothed, c.rtt.variance = time.Duration(a.RTT)*time.Microsecond, time.Duration(a.RTTVar)*time.Microsecond
	case NAK:
		c.naks++
		for {
			first, last, rest, ok := NextRange(body)
			if !ok {
				return
			}
			body = rest
			for s := first; ; s = (s + 1) & maxSeq {
				if p := c.sent[s]; p != nil && now.Sub(p.resent) >= c.rtt.smoothed-4*c.rtt.variance {
					p.resent = now
					p.b[4] |= 0x04
					c.resends++
					c.out = append(c.out, append([]byte(nil), p.b...))
				}
				if s == last {
					break
				}
			}
		}
	}
}

// push sends a payload.
func (c *caller) push(now time.Time, payload []byte) {
	c.msgNo++
	h := Header{Seq: c.next, Position: 3, MessageNo: c.msgNo, Timestamp: c.timestamp(now), Dest: c.them}
	if c.seal != nil {
		h.Key = keyEven
	}
	b := h.Append(nil)
	if c.seal != nil {
		payload = c.seal(b, payload)
	}
	b = append(b, payload...)
	c.sent[c.next] = &sentPacket{b: b, at: now}
	c.order = append(c.order, c.next)
	c.next = (c.next + 1) & maxSeq
	c.first++
	c.out = append(c.out, append([]byte(nil), b...))
	if c.parity != nil {
		index := int64((c.next - 1 - c.isn) & maxSeq)
		c.parity.Data(&filter.Packet{Index: index, Timestamp: h.Timestamp, Key: b[4] >> 3 & 3, Payload: b[HeaderLen:]})
		for k, ok := c.parity.Next(); ok; k, ok = c.parity.Next() {
			p := Header{Seq: uint32(int64(c.isn)+k.Index) & maxSeq, Position: 3, Key: b[4] >> 3 & 3, Timestamp: k.Timestamp, Dest: c.them}
			c.out = append(c.out, append(p.Append(nil), k.Body...))
		}
	}
	for len(c.order) > 0 && now.Sub(c.sent[c.order[0]].at) > c.latency+time.Second {
		delete(c.sent, c.order[0])
		c.order = c.order[1:]
	}
}

// protect asks for a packet filter.
func (c *caller) protect(s string) {
	cfg, err := filter.Parse(s)
	if err != nil {
		panic(err)
	}
	c.filter, c.parity = s, filter.NewSender(cfg, 1316+gcmTagLen)
}

func (c *caller) hangUp(now time.Time) {
	p := Header{Control: true, Type: Shutdown, Timestamp: c.timestamp(now), Dest: c.them}
	c.out = append(c.out, appendWords(p.Append(nil), 0))
	c.bye = true
}

func (c *caller) AppendDatagram(dst []byte, now time.Time) ([]byte, bool) {
	if c.began.IsZero() {
		c.began = now
	}
	if c.state < 2 && !now.Before(c.again) {
		c.again = now.Add(250 * time.Millisecond)
		return append(dst, c.handshake(now)...), true
	}
	if len(c.out) == 0 {
		return dst, false
	}
	b := c.out[0]
	c.out = c.out[1:]
	return append(dst, b...), true
}

func (c *caller) NextTimeout() time.Time {
	if c.state < 2 && !c.began.IsZero() {
		return c.again
	}
	return time.Time{}
}

// server is a Listener as a node of a world with one link: it accepts everybody and keeps what comes out.
type server struct {
	l      *Listener
	admit  func(*Request) RejectCode
	conn   *Conn
	conns  []*Conn
	got    []payload
	err    error
	out    [][]byte
	onPop  func(now time.Time, b []byte)
	maxBuf int
	sendTo func([]byte, netip.AddrPort)
	reach  func() netip.AddrPort // if set: what goes to another address is lost
}

type payload struct {
	n  uint32
	at time.Time
}

func newServer(cfg Config) *server {
	cfg.Secret[0] = 1
	return &server{l: NewListener(cfg)}
}

func (s *server) HandleDatagram(time.Time, []byte) { panic("not called") }

func (s *server) HandleArrival(now time.Time, b []byte, a sim.Arrival) {
	s.l.HandleDatagram(now, a.From, b)
}

// drive follows the driving rule of the package.
func (s *server) drive(now time.Time) {
	for c := s.l.Next(now); c != nil; c = s.l.Next(now) {
		s.maxBuf = max(s.maxBuf, c.buffered)
		for {
			b, ok := c.PopPayload(now)
			if !ok {
				break
			}
			if s.onPop != nil {
				s.onPop(now, b)
			}
			s.got = append(s.got, payload{binary.BigEndian.Uint32(b), now})
		}
		for b, ok := c.AppendDatagram(nil, now); ok; b, ok = c.AppendDatagram(nil, now) {
			s.send(b, c.Peer())
		}
		if err := c.Err(); err != nil {
			s.err = err
		}
	}
	for r, ok := s.l.NextRequest(); ok; r, ok = s.l.NextRequest() {
		if s.admit != nil {
			if code := s.admit(r); code != 0 {
				s.l.Reject(now, r, code)
				continue
			}
		}
		if s.conn = s.l.Accept(now, r); s.conn != nil {
			s.conns = append(s.conns, s.conn)
		}
	}
	for b, to, ok := s.l.AppendDatagram(nil, now); ok; b, to, ok = s.l.AppendDatagram(nil, now) {
		s.send(b, to)
	}
}

func (s *server) send(b []byte, to netip.AddrPort) {
	if s.sendTo != nil {
		s.sendTo(b, to)
		return
	}
	if s.reach == nil || to == s.reach() {
		s.out = append(s.out, b)
	}
}

func (s *server) AppendDatagram(dst []byte, now time.Time) ([]byte, bool) {
	if len(s.out) == 0 {
		s.drive(now)
	}
	if len(s.out) == 0 {
		return dst, false
	}
	b := s.out[0]
	s.out = s.out[1:]
	return append(dst, b...), true
}

func (s *server) NextTimeout() time.Time { return s.l.NextTimeout() }
