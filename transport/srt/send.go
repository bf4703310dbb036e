package srt

import "time"

// AppendDatagram writes the next datagram to Peer; false: there is none now.
func (c *Conn) AppendDatagram(dst []byte, now time.Time) ([]byte, bool) {
	return c.append(dst, c.l.at(now))
}

func (c *Conn) append(dst []byte, now time.Duration) ([]byte, bool) {
	switch {
	case c.shutdown:
		c.shutdown = false
		return c.control(dst, now, Shutdown, 0, 0, 0), true
	case c.ending != nil:
		return dst, false
	case now-c.heard >= idleAfter:
		c.ending = ErrSilent
		return c.control(dst, now, Shutdown, 0, 0, 0), true
	case len(c.kmResponse) > 0:
		dst = c.header(dst, now, User, extKMRsp, 0)
		dst = append(dst, c.kmResponse...)
		c.kmResponse = c.kmResponse[:0]
		return dst, true
	}
	if c.losses.due <= now {
		start := len(dst)
		dst = c.header(dst, now, NAK, 0, 0)
		if dst = c.ask(dst, now, MaxPayload); len(dst) > start+HeaderLen {
			c.stats.NAKs++
			return dst, true
		}
		dst = dst[:start]
	}
	if c.ackAt <= now {
		if out, ok := c.fullACK(dst, now); ok {
			return out, true
		}
	}
	if c.light {
		c.light = false
		dst = c.header(dst, now, ACK, 0, 0)
		return appendWords(dst, uint32(c.contiguous())&maxSeq), true
	}
	if c.greet || now-c.spoke >= keepaliveEvery {
		c.greet = false
		return c.control(dst, now, Keepalive, 0, 0, 0), true
	}
	return dst, false
}

// header starts a control packet.
func (c *Conn) header(dst []byte, now time.Duration, t ControlType, subtype uint16, info uint32) []byte {
	c.spoke = now
	h := Header{Control: true, Type: t, Subtype: subtype, Info: info, Timestamp: uint32((now - c.began) / time.Microsecond), Dest: c.them}
	return h.Append(dst)
}

// control is one with a body of one word.
func (c *Conn) control(dst []byte, now time.Duration, t ControlType, subtype uint16, info, body uint32) []byte {
	return appendWords(c.header(dst, now, t, subtype, info), body)
}

// contiguous is the first number that is still wanted. Of a group it is no more than what has come over this member: a sender of
// libsrt hangs up on an ACK for what it has not sent there.
func (c *Conn) contiguous() int64 {
	if len(c.losses.list) > 0 {
		return max(min(c.losses.list[0].seq, c.reach), c.acked)
	}
	return min(c.high, c.reach)
}

// advanced schedules full ACKs of all members: what is wanted first may have changed.
func (c *Conn) advanced(now time.Duration) {
	for _, m := range c.members {
		if m.wantACK(now); m != c {
			m.l.touch(m)
		}
	}
}

// wantACK schedules a full ACK, no earlier than ackEvery after the last one.
func (c *Conn) wantACK(now time.Duration) {
	c.ackAt = min(c.ackAt, max(now, c.ackedAt+ackEvery))
}

// fullACK acknowledges, when that says something new; the same again when the peer has not confirmed it within RTT + 4 RTTVar.
func (c *Conn) fullACK(dst []byte, now time.Duration) ([]byte, bool) {
	next := c.contiguous()
	if next == c.acked {
		if c.confirmed >= next {
			c.ackAt = forever
			return dst, false
		}
		if again := c.ackedAt + c.rtt.smoothed + 4*c.rtt.variance; again > now {
			c.ackAt = again
			return dst, false
		}
	}
	if c.ackNumber++; c.ackNumber == 0 {
		c.ackNumber = 1 // 0 is a light ACK
	}
	c.acks.add(ackRecord{c.ackNumber, now, next})
	c.acked, c.ackedAt, c.sinceACK, c.light = next, now, 0, false
	c.ackAt = now + ackEvery // then: whether the peer has confirmed, and what is new
	c.stats.ACKs++
	return c.ackInfo(c.header(dst, now, ACK, 0, c.ackNumber), next), true
}

// ackInfo writes the body of a full ACK.
func (c *Conn) ackInfo(dst []byte, next int64) []byte {
	a := ACKInfo{
		Next: uint32(next) & maxSeq, RTT: uint32(c.rtt.smoothed / time.Microsecond), RTTVar: uint32(c.tellVariance() / time.Microsecond),
		// Never 0, which stops a sender of libsrt for good; draft §3.2.4 counts packets.
		Available: uint32(max(flowWindow-(c.high-c.next), 2)),
		Rate:      c.rates.rate, Capacity: c.rates.linkCapacity(), ByteRate: c.rates.byteRate,
	}
	return a.Append(dst)
}
