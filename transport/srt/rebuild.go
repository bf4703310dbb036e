package srt

import (
	"time"

	"github.com/fairlead-live/fairlead/transport/srt/filter"
)

// nearest is the last packet accepted: what parity does not carry is taken from it.
type nearest struct {
	seq       int64
	messageNo uint32
	order     bool
}

// messageAt is the message number of a packet: a live sender counts packets from 1 to 2^26 - 1 and around, and 0 is parity.
func (n nearest) messageAt(seq int64) uint32 {
	const cycle = maxMessageNo
	return uint32(((int64(n.messageNo)-1+seq-n.seq)%cycle+cycle)%cycle) + 1
}

// rebuild takes over what parity brings back. AES-GCM authenticates the whole header, so it is rebuilt too.
func (c *Conn) rebuild(now time.Duration) {
	for p, ok := c.fec.Next(); ok; p, ok = c.fec.Next() {
		seq := c.start() + p.Index
		if seq < c.next || seq >= c.next+flowWindow || len(c.ring.slots) == 0 {
			continue
		}
		if s := c.ring.at(seq); s.known && s.seq == seq {
			continue
		}
		h := Header{
			Seq: uint32(seq) & maxSeq, Position: 3, Order: c.near.order, Key: p.Key, MessageNo: c.near.messageAt(seq), Timestamp: p.Timestamp, Dest: c.id,
		}
		c.scratch = h.Append(c.scratch[:0])
		h.Resent = true // it is no sign of reordering
		c.stats.Rebuilt++
		c.accept(now, seq, &h, c.scratch, p.Payload)
	}
}

// leaveToParity reports whether, and until when, a missing packet is left to parity: while it may still be rebuilt, and there is time to ask
// three times for it if it is not. (libsrt waits for a later column series, asks once, and never again.)
func (c *Conn) leaveToParity(now time.Duration, seq int64, useful time.Duration) (until time.Duration, ok bool) {
	if c.fec == nil || c.fec.Config().ARQ != filter.OnRequest || c.fec.Config().Closed(seq-c.start(), c.reach-1-c.start()) {
		return 0, false
	}
	until = useful - c.rtt.smoothed - 2*c.answerAfter() - c.copyAfter() - lastMargin
	return min(until, now+parityLook), until > now
}
