package srt

import (
	"errors"
	"net/netip"
	"time"

	"github.com/fairlead-live/fairlead/transport/srt/filter"
)

// Why a connection ended.
var (
	ErrClosed   = errors.New("srt: closed")
	ErrShutdown = errors.New("srt: the caller hung up")
	ErrSilent   = errors.New("srt: nothing heard of the caller for 5 s")
	ErrTaken    = errors.New("srt: the caller connected anew")
)

// Constants of a connection.
const (
	ackEvery       = 10 * time.Millisecond // draft §4.8.1
	lightACKEvery  = 64                    // packets; draft §4.8.1
	keepaliveEvery = time.Second           // of silence on our side; libsrt COMM_KEEPALIVE_PERIOD
	idleAfter      = 5 * time.Second       // libsrt SRTO_PEERIDLETIMEO
)

// forever is a time that does not come.
const forever = time.Duration(1<<63 - 1)

// Conn is the receiving side of one connection, which may be a member of a group. It belongs to the Listener that made it, and to its
// goroutine.
type Conn struct {
	*stream  // its own, or the group's
	l        *Listener
	peer     netip.AddrPort
	id, them uint32 // socket ids
	isn      uint32
	streamID string
	response []byte // to the conclusion, in case it is repeated
	crypt    *decryptor
	began    time.Duration
	wanted   time.Duration
	origin   int64 // the number of its first packet
	reach    int64 // the number after the highest one that came over it
	weight   uint16

	rtt   rtt
	rates rates
	// arrivals since TakeArrivals; nil: nobody asks
	arrivals []Arrival
	fec      *filter.Receiver // nil: no packet filter was agreed on
	near     nearest

	acks         journal
	ackNumber    uint32
	ackAt        time.Duration // when the next full ACK may go out; forever: nothing to acknowledge
	acked        int64         // last number acknowledged, and whether the peer knows
	ackedAt      time.Duration
	confirmed    int64
	sinceACK     int
	light, greet bool
	heard, spoke time.Duration
	carried      time.Duration // when data came over it last
	unique       uint64        // packets that it was the first to bring
	allowed      float64       // copies that may be asked for
	kmResponse   []byte
	scratch      []byte // a rebuilt header
	candidate    candidate

	ending   error // no more comes in; what is here is still delivered in its time
	shutdown bool  // to be sent
	stats    Stats

	due   time.Duration // in the listener's heap
	index int
	dirty bool
}

func newConn(l *Listener, now time.Duration) *Conn {
	return &Conn{l: l, began: now, rtt: newRTT(), ackAt: forever, heard: now, spoke: now, index: -1}
}

// begin sets the number of its first packet.
func (c *Conn) begin(isn uint32, origin int64) {
	c.isn = isn
	c.origin, c.reach, c.acked, c.confirmed = origin, origin, origin, origin
}

// Peer is where its datagrams go.
func (c *Conn) Peer() netip.AddrPort { return c.peer }

// StreamID is what the caller said it wants.
func (c *Conn) StreamID() string { return c.streamID }

// Err is nil while payloads may still come, and then says why no more do.
func (c *Conn) Err() error {
	if c.over() && !c.others() {
		return c.ending
	}
	return nil
}

// over reports whether it is to be removed: it has ended, and what waits is another member's to deliver, or nobody's.
func (c *Conn) over() bool {
	return c.ending != nil && (c.buffered == 0 || errors.Is(c.ending, ErrClosed) || c.others())
}

// Close ends the connection, with its whole group, and tells the peer; what waits is not delivered. Drain it and the Listener once more.
func (c *Conn) Close() {
	for _, m := range c.members {
		if m.ending == nil || !errors.Is(m.ending, ErrClosed) {
			m.shutdown = m.ending == nil
			m.ending = ErrClosed
			m.l.touch(m)
		}
	}
}

// Stats is a snapshot: of a group, with the sums of all its members and the RTT of the quickest one.
func (c *Conn) Stats() Stats {
	s := c.past
	fast := c
	for _, m := range c.members {
		s.add(&m.stats)
		if m.rtt.smoothed < fast.rtt.smoothed || fast.ending != nil {
			fast = m
		}
	}
	s.Wanted = c.wanted
	s.Latency, s.RTT, s.RTTVar, s.Hold, s.Drift, s.Buffered = c.latency, fast.rtt.smoothed, fast.rtt.variance, fast.holdNow(), c.clock.drift, c.buffered
	return s
}

// Silence is how long nothing has come of the peer, control packets included: of a group, of any member.
func (c *Conn) Silence(now time.Time) time.Duration {
	if errors.Is(c.ending, ErrShutdown) { // it has said that it ends: no path swallows it
		return 0
	}
	heard := c.heard
	for _, m := range c.members {
		heard = max(heard, m.heard)
	}
	return c.l.at(now) - heard
}

// handle takes a packet that is for this connection and from its peer.
func (c *Conn) handle(now time.Duration, h *Header, b, body []byte) {
	if c.ending != nil {
		if !h.Control {
			c.stats.Received++
			c.drop(DropBelated)
		}
		return
	}
	c.heard = now
	if !h.Control {
		c.handleData(now, h, b, body)
		return
	}
	switch h.Type {
	case ACKACK:
		r, ok := c.acks.take(h.Info)
		if !ok || now <= r.at {
			return // an answer to an old ACK, or a second one
		}
		c.rtt.sample(now, now-r.at)
		// Over the links of SRTLA (package srtla gives a group port 0) a long round trip went there and back over different ones, and its half
		// says nothing.
		if c.lead() == c && (c.peer.Port() != 0 || now-r.at <= c.rtt.minimum()*5/4+driftSpread) {
			c.clock.sample(now, h.Timestamp, now-r.at)
		}
		c.confirmed = max(c.confirmed, r.next)
	case DropReq:
		first, last, ok := parseDropReq(body)
		if !ok {
			c.l.drop(DropMalformed)
			return
		}
		if c.others() {
			return // another member may have it
		}
		from := unwrap31(c.high, first)
		to := from + int64((last-first)&maxSeq)
		// Numbers that nothing has been seen of are no business of a DROPREQ: what follows them will show the gap.
		if c.losses.forget(max(from, c.next), min(to, c.high-1)) > 0 {
			c.wantACK(now)
		}
	case Shutdown:
		c.ending = ErrShutdown
		if !c.others() {
			c.losses.list = c.losses.list[:0]
		}
		c.ackAt, c.light = forever, false
	case User:
		c.handleKM(h, body)
	case Keepalive:
		// Ours goes along, so that an idle connection wakes the loop once a period.
		c.greet = now-c.spoke >= keepaliveEvery/2
	case Congestion, PeerError, ACK, NAK:
	default:
		c.l.drop(DropUnknown)
	}
}

// handleKM takes new keys, draft §6.1.6, and answers with the same message, or with the state "bad secret".
func (c *Conn) handleKM(h *Header, body []byte) {
	if h.Subtype != extKMReq || len(body) > 128 {
		c.l.drop(DropUnknown)
		return
	}
	if c.crypt == nil {
		c.kmResponse = appendWords(c.kmResponse[:0], 3) // SRT_KM_S_NOSECRET
		return
	}
	if err := c.crypt.setKM(body); err != nil {
		c.l.drop(DropMalformed)
		c.kmResponse = appendWords(c.kmResponse[:0], 4) // SRT_KM_S_BADSECRET
		return
	}
	c.kmResponse = append(c.kmResponse[:0], body...)
}

// drop counts a data packet that is not kept.
func (c *Conn) drop(r DropReason) { c.stats.Drops[r]++ }

// handleData takes a data packet.
func (c *Conn) handleData(now time.Duration, h *Header, b, body []byte) {
	c.carried = now
	c.pauses.packet(now)
	c.stats.Received++
	c.stats.ReceivedBytes += uint64(len(body))
	if h.Resent {
		c.stats.Resent++
	}
	c.allowed = min(c.allowed+copyShare, copyMost)
	seq := unwrap31(c.high, h.Seq)
	if h.MessageNo == 0 {
		c.drop(DropFilter)
		if c.fec != nil && seq < c.reach+flowWindow && c.fec.Control(seq-c.start(), h.Timestamp, body) {
			c.rebuild(now)
		}
		return
	}
	c.rates.add(now, seq, len(body)+HeaderLen+28, h.Resent)
	c.record(now, h, seq, len(body)+HeaderLen+28)
	if seq-c.next < flowWindow {
		c.reach = max(c.reach, seq+1)
	}
	if len(c.members) > 1 {
		c.wantACK(now) // that another member was first is no news to this one's sender
	}
	if c.accept(now, seq, h, b[:HeaderLen], body) && c.fec != nil {
		c.rebuild(now)
	}
}

// start is the number of its first packet.
func (c *Conn) start() int64 { return c.origin }

// accept keeps a data packet, if it is wanted.
func (c *Conn) accept(now time.Duration, seq int64, h *Header, header, body []byte) bool {
	switch {
	case seq < c.next:
		c.drop(DropBelated)
		return false
	case len(body) > maxDatagram:
		c.drop(DropMalformed)
		return false
	case seq-c.next >= flowWindow || !c.ring.reach(c.next, seq):
		c.drop(DropOutOfRange)
		return false
	}
	s := c.ring.at(seq)
	if s.known && s.seq == seq {
		if !h.Resent && s.gap > 0 { // overtaken by its own resend: still a sign of how late packets come
			c.hold.overtaken(now - s.gap)
			s.gap = 0
		}
		c.drop(DropDuplicate)
		return false
	}
	data := c.l.pool.get()
	if data == nil {
		c.drop(DropNoRoom)
		return false
	}
	n := copy(data[:], body)
	if h.Key != 0 || c.crypt != nil {
		var ok bool
		var plain []byte
		if c.crypt != nil {
			plain, ok = c.crypt.open(h.Key, header, data[:n])
		}
		if !ok {
			c.l.pool.put(data)
			c.drop(DropUndecrypted)
			return false
		}
		n = len(plain)
	}
	if !c.first {
		c.first = true
		if off := now - c.clock.local(now, h.Timestamp); off.Abs() > rebaseAfter {
			c.clock.base += off // its handshake was stamped by another clock than its data
		}
	}
	*s = slot{data: data, n: int32(n), known: true, seq: seq, play: c.clock.local(now, h.Timestamp) + c.clock.late + c.latency}
	c.buffered++
	if c.fec != nil {
		c.fec.Data(&filter.Packet{Index: seq - c.start(), Timestamp: h.Timestamp, Key: h.Key, Payload: body})
	}
	c.place(now, h, seq, s)
	c.wantACK(now)
	if c.sinceACK++; c.sinceACK%lightACKEvery == 0 {
		c.light = true
	}
	c.ready = min(c.ready, s.play)
	c.unique++
	c.near = nearest{seq, h.MessageNo, h.Order}
	return true
}

// place does what a packet means for the list of losses.
func (c *Conn) place(now time.Duration, h *Header, seq int64, s *slot) {
	if !h.Resent {
		c.hold.packet()
		if c.kind == 0 && c.peer.Port() != 0 { // links of a group have ways of different length
			c.clock.late += c.settling.packet(now, c.clock.local(now, h.Timestamp)+c.clock.drift+c.clock.late-now, h.Timestamp)
		}
	}
	if seq >= c.high {
		if seq > c.high {
			c.losses.add(now, c.high, seq)
			c.stats.Missing += uint64(seq - c.high)
		}
		c.high = seq + 1
		return
	}
	m, ok := c.losses.remove(seq)
	if ok {
		c.advanced(now)
	}
	switch {
	case !ok:
	case h.Resent:
		c.stats.Recovered++
		s.gap = m.found
	default:
		c.stats.Reordered++
		c.hold.overtaken(now - m.found)
	}
}

// PopPayload lends the next payload that is due, until the next call; gaps before it are given up (too-late packet drop,
// draft §4.6).
func (c *Conn) PopPayload(now time.Time) ([]byte, bool) { return c.pop(c.l.at(now)) }

func (c *Conn) pop(now time.Duration) ([]byte, bool) {
	if c.lent != nil {
		c.l.pool.put(c.lent)
		c.lent = nil
	}
	if c.buffered == 0 || errors.Is(c.ending, ErrClosed) {
		c.ready = forever
		return nil, false
	}
	seq := c.next
	s := c.ring.at(seq)
	for !s.known || s.seq != seq || s.data == nil {
		seq++
		s = c.ring.at(seq)
	}
	if c.ready = s.play; !c.flush && s.play+c.clock.drift > now+c.l.early {
		return nil, false
	}
	if seq > c.next {
		c.stats.Skipped += uint64(seq - c.next)
		c.losses.forget(c.next, seq-1)
		c.advanced(now)
	}
	c.next = seq + 1
	c.buffered--
	c.stats.Delivered++
	c.lent, s.data = s.data, nil
	return c.lent[:s.n], true
}

// timeout is when it is to be driven next.
func (c *Conn) timeout() time.Duration {
	if c.over() {
		return 0 // at once: it is to be removed
	}
	if c.ending != nil {
		return c.ready + c.clock.drift - c.l.early
	}
	at := min(c.heard+idleAfter, c.spoke+keepaliveEvery, c.ackAt, c.losses.due)
	if c.buffered > 0 {
		at = min(at, c.ready+c.clock.drift-c.l.early)
	}
	return at
}

// release gives back what is held, when nobody else is there to deliver it.
func (c *Conn) release() {
	if c.leave(); len(c.members) > 0 {
		return
	}
	if c.lent != nil {
		c.l.pool.put(c.lent)
		c.lent = nil
	}
	for i := range c.ring.slots {
		if s := &c.ring.slots[i]; s.data != nil {
			c.l.pool.put(s.data)
			s.data = nil
		}
	}
	c.ring.slots, c.buffered = nil, 0
}
