package srt

import (
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport/srt/filter"
)

// Constants of pacing without a limit; ours.
const (
	// paceFactor is how many times the input's rate a burst leaves at: a key frame of half a second's bits takes a sixth of one.
	paceFactor = 3
	paceLeast  = 2 * congestion.Mbps
	// paceWithin is the part of the latency after which what waits has left: the rate is at least as much as that takes.
	paceWithin = 4
)

// AppendDatagram writes the next datagram to the peer; false: there is none now.
func (c *Caller) AppendDatagram(dst []byte, now time.Time) ([]byte, bool) {
	return c.append(dst, c.at(now))
}

func (c *Caller) append(dst []byte, now time.Duration) ([]byte, bool) {
	switch {
	case c.shutdowns > 0:
		c.shutdowns--
		return c.word(dst, now, Shutdown, 0, 0), true
	case c.state == ended:
		return dst, false
	case c.state != connected:
		if now-c.began >= c.cfg.Timeout {
			c.end(ErrNobody)
			return dst, false
		}
		if now < c.again {
			return dst, false
		}
		return c.call(dst, now), true
	case now-c.heard >= idleAfter:
		c.shutdowns = 1
		c.end(ErrQuiet)
		return c.append(dst, now)
	}
	c.age(now)
	if c.rto <= now {
		c.timedOut(now)
	}
	if out, ok := c.feedback(dst, now); ok {
		return out, true
	}
	if out, ok := c.media(dst, now); ok {
		return out, true
	}
	if now-c.spoke >= keepaliveEvery {
		return c.word(dst, now, Keepalive, 0, 0), true
	}
	return dst, false
}

// feedback writes control packets, which wait for nothing.
func (c *Caller) feedback(dst []byte, now time.Duration) ([]byte, bool) {
	switch {
	case len(c.ackacks) > 0:
		n := c.ackacks[0]
		c.ackacks = c.ackacks[:copy(c.ackacks, c.ackacks[1:])]
		return c.word(dst, now, ACKACK, n, 0), true
	case c.dropTo >= c.dropFrom:
		first, last := uint32(c.dropFrom)&maxSeq, uint32(c.dropTo)&maxSeq
		c.dropFrom, c.dropTo = 0, -1
		c.stats.DropReqs++
		return appendWords(c.header(dst, now, DropReq, 0, 0), first, last), true
	case c.seal.announce(now, c.rtt):
		return append(c.header(dst, now, User, extKMReq, 0), c.seal.announced...), true
	}
	return dst, false
}

// media writes the next data packet that may leave now: resends, then parity, then what is new.
func (c *Caller) media(dst []byte, now time.Duration) ([]byte, bool) {
	if c.paired() {
		return c.fresh(dst, now), true
	}
	if c.pace.Next() > now {
		return dst, false
	}
	if !c.neverResends() {
		if out, ok := c.resend(dst, now); ok {
			return out, true
		}
	}
	if len(c.parity) > 0 {
		k := c.parity[0]
		c.parity = c.parity[:copy(c.parity, c.parity[1:])]
		h := Header{Seq: uint32(k.Index+int64(c.isn)) & maxSeq, Position: 3, Key: c.seal.key(), Timestamp: k.Timestamp, Dest: c.them}
		start := len(dst)
		dst = append(h.Append(dst), k.Body...)
		c.stats.Parity++
		c.stats.ParityBytes += uint64(len(k.Body))
		c.sentOne(now, len(dst)-start)
		return dst, true
	}
	if c.queue.len() > 0 && c.inFlight() < c.window && c.ring.reach(c.first, c.next+1) {
		return c.fresh(dst, now), true
	}
	return dst, false
}

// neverResends: the filter's agreement says that nothing is asked for.
func (c *Caller) neverResends() bool { return c.filtered && c.filter.ARQ == filter.Never }

// paired reports whether the next packet follows the one before at once: each 16th and the one after it measure the link.
func (c *Caller) paired() bool {
	return c.next&15 == 1 && c.pairing && c.queue.len() > 0 && c.inFlight() < c.window && c.ring.reach(c.first, c.next+1)
}

// fresh sends a packet for the first time: it gets its numbers and is encrypted.
func (c *Caller) fresh(dst []byte, now time.Duration) []byte {
	c.seal.refresh(now)
	o := c.queue.pop()
	seq := c.next
	c.next++
	if c.msgNo = (c.msgNo + 1) & maxMessageNo; c.msgNo == 0 {
		c.msgNo = 1 // 0 is parity
	}
	o.msgNo, o.key = c.msgNo, c.seal.key()
	c.pairing = seq&15 == 0
	if c.seal != nil {
		h := c.dataHeader(seq, &o)
		c.scratch = h.Append(c.scratch[:0])
		o.n = int32(len(c.seal.sealPayload(c.scratch, o.data[:o.n])))
	}
	*c.ring.at(seq) = o
	at := c.ring.at(seq)
	c.stats.Sent++
	c.stats.SentBytes += uint64(o.n)
	c.earn(int(o.n) + wireOverhead)
	if c.fec != nil {
		c.fec.Data(&filter.Packet{Index: seq - int64(c.isn) - 1<<31, Timestamp: stamp(o.born), Key: o.key, Payload: o.data[:o.n]})
		for k, ok := c.fec.Next(); ok; k, ok = c.fec.Next() {
			c.parity = append(c.parity, k)
		}
	}
	dst = c.transmit(dst, now, seq, at)
	if c.rto == forever {
		c.arm(now)
	}
	return dst
}

// stamp is a time as in a header.
func stamp(t time.Duration) uint32 { return uint32(t / time.Microsecond) }

func (c *Caller) dataHeader(seq int64, o *outgoing) Header {
	return Header{Seq: uint32(seq) & maxSeq, Position: 3, Key: o.key, Resent: o.times > 0, MessageNo: o.msgNo, Timestamp: stamp(o.born), Dest: c.them}
}

// transmit writes a packet of the ring.
func (c *Caller) transmit(dst []byte, now time.Duration, seq int64, o *outgoing) []byte {
	h := c.dataHeader(seq, o)
	if h.Resent {
		c.stats.Resent++
		c.stats.ResentBytes += uint64(o.n)
	}
	o.last = now
	o.times = min(o.times, 254) + 1
	dst = append(h.Append(dst), o.data[:o.n]...)
	c.sentOne(now, HeaderLen+int(o.n))
	if h.Resent && seq == c.first {
		c.arm(now)
	}
	return dst
}

// sentOne tells the pacer.
func (c *Caller) sentOne(now time.Duration, n int) {
	c.spoke = now
	if r := c.rate(now); r > 0 {
		c.pace.Sent(now, n+28, r)
	}
}

// rate is how fast packets leave now; 0: at once.
func (c *Caller) rate(now time.Duration) congestion.Bitrate {
	switch in := c.input.rate; {
	case c.cfg.MaxBW > 0:
		return c.cfg.MaxBW
	case c.cfg.MaxBW == Relative:
		if c.cfg.InputBW > 0 {
			in = c.cfg.InputBW
		}
		return in + in*congestion.Bitrate(c.cfg.Overhead)/100
	case in == 0:
		return 0
	default:
		within := c.latency / paceWithin
		if c.queue.len() > 0 {
			within = max(within-(now-c.queue.first().born), within/8)
		}
		waiting := (c.queue.len() + c.wanted.n + len(c.parity)) * (filteredPayload + wireOverhead)
		return max(paceFactor*in, paceLeast, congestion.Bitrate(float64(8*waiting)/within.Seconds()))
	}
}

// header starts a control packet.
func (c *Caller) header(dst []byte, now time.Duration, t ControlType, subtype uint16, info uint32) []byte {
	c.spoke = now
	h := Header{Control: true, Type: t, Subtype: subtype, Info: info, Timestamp: stamp(now), Dest: c.them}
	return h.Append(dst)
}

// word is a control packet with a body of one word.
func (c *Caller) word(dst []byte, now time.Duration, t ControlType, info, body uint32) []byte {
	return appendWords(c.header(dst, now, t, 0, info), body)
}

// NextTimeout is when to drive it next without input; zero: never.
func (c *Caller) NextTimeout() time.Time {
	switch {
	case c.epoch.IsZero() || c.shutdowns > 0:
		return c.epoch
	case c.state == ended:
		return time.Time{}
	case c.state != connected:
		return c.epoch.Add(min(c.again, c.began+c.cfg.Timeout))
	}
	at := min(c.heard+idleAfter, c.spoke+keepaliveEvery, c.rto, c.seal.due())
	if len(c.ackacks) > 0 || c.dropTo >= c.dropFrom {
		return c.epoch
	}
	if len(c.copies) > 0 {
		at = min(at, max(c.pace.Next(), c.copies[0].at))
	}
	if c.paired() || c.queue.len() > 0 && c.inFlight() < c.window || len(c.parity) > 0 || c.wanted.n > 0 && c.budget >= maxDatagram+wireOverhead {
		at = min(at, c.pace.Next())
	}
	return c.epoch.Add(at)
}
