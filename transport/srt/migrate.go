package srt

import (
	"net/netip"
	"time"
)

// Constants of address migration; ours.
const (
	probeEvery   = 50 * time.Millisecond
	stampOff     = time.Second     // of a packet from elsewhere, from the time it should come
	candidateFor = 2 * time.Second // without an answer, what comes from there is dropped again
)

// candidate is an address from which a connection's packets have started to come: its caller's NAT or network may have changed.
type candidate struct {
	addr   netip.AddrPort
	since  time.Duration
	probed time.Duration
	number uint32 // of the ACK that was sent there; 0: none
}

// elsewhere takes a packet for the connection from another address than its peer's; false: it is none of ours.
//
// A caller of libsrt does not know that it has moved. What it sends is taken meanwhile, for as long as candidateFor; everything we
// send keeps going to the old address until an ACKACK comes from the new one with the number of an ACK that only went there: whoever
// sends it reads what we send to it. Bytes sent there are at most three times those received (an ACK of 44 for a keepalive of
// 16, at most one each probeEvery).
func (c *Conn) elsewhere(now time.Duration, from netip.AddrPort, h *Header, b, body []byte) bool {
	if c.ending != nil || c.crypt == nil && !c.l.cfg.MigrateClear {
		return false
	}
	k := &c.candidate
	switch {
	case h.Control && h.Type == ACKACK && k.number != 0 && from == k.addr && h.Info == k.number:
		c.move(from)
		c.handle(now, h, b, body)
		return true
	case h.Control && h.Type != Keepalive:
		return false
	case !h.Control:
		if seq := unwrap31(c.high, h.Seq); seq < c.high-flowWindow || seq >= c.next+flowWindow {
			return false
		}
		if off := now - c.clock.local(now, h.Timestamp); off.Abs() > stampOff+c.latency {
			return false // who has not seen the stream does not know its clock
		}
	}
	if k.addr != from {
		if k.addr.IsValid() && now-k.since < candidateFor {
			return false // one at a time
		}
		*k = candidate{addr: from, since: now, probed: now - probeEvery}
	}
	if now-k.since >= 2*candidateFor {
		*k = candidate{addr: from, since: now, probed: now - probeEvery} // another attempt
	} else if now-k.since >= candidateFor {
		return false
	}
	if now-k.probed >= probeEvery {
		k.probed = now
		for k.number = 0; k.number == 0; {
			k.number = c.l.rand.Uint32()
		}
		c.acks.add(ackRecord{k.number, now, c.contiguous()})
		c.l.respond(from, c.ackInfo(c.header(nil, now, ACK, 0, k.number), c.contiguous()))
	}
	if !h.Control {
		c.handle(now, h, b, body)
	}
	return true
}

// move makes an address the peer's.
func (c *Conn) move(to netip.AddrPort) {
	if k := (peerKey{c.peer, c.them}); c.l.peers[k] == c {
		delete(c.l.peers, k)
	}
	c.peer, c.candidate = to, candidate{}
	c.l.peers[peerKey{to, c.them}] = c
	c.stats.Moves++
}
