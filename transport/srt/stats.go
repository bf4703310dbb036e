package srt

import "time"

// DropReason says why a datagram was dropped. Nothing is dropped without being counted under one of these.
type DropReason uint8

// Reasons.
const (
	DropMalformed   DropReason = iota // does not parse
	DropUnknown                       // a control type that means nothing here
	DropNoConn                        // for a socket that is not there
	DropWrongSource                   // for a connection, from another address than its peer's, and no sign that it moved
	DropCookie                        // a conclusion whose cookie is not ours, or is old
	DropNoRoom                        // a bound on memory was reached
	DropOutOfRange                    // a sequence number further ahead than the ring reaches
	DropDuplicate                     // here already
	DropBelated                       // delivered or given up before
	DropUndecrypted                   // no such key, or not authentic
	DropFilter                        // parity of the packet filter: no media, evaluated when a filter was agreed on
	dropReasons
)

var dropNames = [dropReasons]string{"malformed", "unknown", "no_conn", "wrong_source", "cookie", "no_room", "out_of_range", "duplicate", "belated",
	"undecrypted", "filter"}

func (r DropReason) String() string {
	if r < dropReasons {
		return dropNames[r]
	}
	return "unknown_reason"
}

// Drops counts by reason.
type Drops [dropReasons]uint64

// add sums up the counters.
func (s *Stats) add(o *Stats) {
	for _, p := range [...][2]*uint64{
		{&s.Received, &o.Received}, {&s.ReceivedBytes, &o.ReceivedBytes}, {&s.Resent, &o.Resent}, {&s.Missing, &o.Missing}, {&s.Reordered, &o.Reordered},
		{&s.Recovered, &o.Recovered}, {&s.Rebuilt, &o.Rebuilt}, {&s.Delivered, &o.Delivered}, {&s.Skipped, &o.Skipped}, {&s.Asked, &o.Asked},
		{&s.NotAsked, &o.NotAsked}, {&s.ACKs, &o.ACKs}, {&s.NAKs, &o.NAKs}, {&s.Moves, &o.Moves},
	} {
		*p[0] += *p[1]
	}
	for i, n := range o.Drops {
		s.Drops[i] += n
	}
}

// Stats explains a connection. Data packets: Received + Rebuilt = Delivered + Buffered + the sum of Drops.
type Stats struct {
	Latency time.Duration // negotiated
	Wanted  time.Duration // what the peer wanted the receiver to have, in its ms
	RTT     time.Duration
	RTTVar  time.Duration
	Hold    time.Duration // reorder hold now
	Drift   time.Duration // of the sender's clock, corrected so far

	Received      uint64 // data packets, all
	ReceivedBytes uint64 // their payloads
	Resent        uint64 // of Received: marked as retransmissions
	Missing       uint64 // found missing at first
	Reordered     uint64 // of these: came late by themselves
	Recovered     uint64 // of these: came as a resend, or were rebuilt
	Rebuilt       uint64 // by parity
	Delivered     uint64
	Skipped       uint64 // sequence numbers given up: holes in the stream
	Buffered      int    // packets that wait for their time
	Asked         uint64 // packets named in NAKs
	NotAsked      uint64 // packets no NAK was sent for, as they could not have come in time
	ACKs, NAKs    uint64 // sent; light ACKs are not counted
	Moves         uint64 // to another address
	Drops         Drops
}
