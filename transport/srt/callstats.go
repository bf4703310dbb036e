package srt

import "time"

// CallerStats explains a Caller. Payloads: Taken = Unsent + Queued + Sent, and Sent = Acked + Dropped + InFlight.
type CallerStats struct {
	Latency time.Duration // agreed on
	RTT     time.Duration // as the peer's ACKs say; before the first one, the handshake's
	RTTVar  time.Duration
	Least   time.Duration // shortest RTT of the last 10 to 20 s
	Filter  string        // agreed on; empty: none

	Taken   uint64 // payloads
	Refused uint64 // not taken: no connection
	TooLong uint64 // not taken: longer than Longest
	NoRoom  uint64 // not taken: the buffer was full
	Unsent  uint64 // waited until they could not arrive in time
	Queued  int    // wait

	Sent        uint64 // packets, once each
	SentBytes   uint64 // their payloads
	Acked       uint64
	Dropped     uint64 // not acknowledged when they could no longer arrive in time
	InFlight    int
	Resent      uint64 // packets sent again
	ResentBytes uint64
	Copies      uint64 // of Resent: second copies, where no third asking could be in time
	Timeouts    uint64 // of Resent: nobody had asked
	Lost        uint64 // packets that were asked for, once each
	Asked       uint64 // packets named in NAKs
	Suppressed  uint64 // of Asked: the last resend could not have arrived when they were asked for
	Starved     uint64 // times that resends waited for their budget
	Parity      uint64 // packets of the packet filter
	ParityBytes uint64

	ACKs, NAKs uint64 // received; light ACKs are not counted
	DropReqs   uint64 // sent
	Available  int    // packets the peer has room for
	Rate       uint32 // received by the peer, packets/s
	ByteRate   uint32 // bytes/s
	Capacity   uint32 // of the link, packets/s, as the peer estimates it
	Drops      Drops  // datagrams of the peer
}

// Stats is a snapshot.
func (c *Caller) Stats() CallerStats {
	s := c.stats
	s.Latency, s.RTT, s.RTTVar, s.Queued, s.InFlight, s.Available = c.latency, c.rtt, c.rttV, c.queue.len(), int(c.next-c.first), int(c.window)
	s.Least = c.least.minimum()
	if c.filtered {
		s.Filter = c.filter.String()
	}
	return s
}
