package transport

import "fmt"

// DropReason says why a datagram or a part of one was dropped. Nothing is
// dropped without being counted under one of these.
type DropReason uint8

// Reasons.
const (
	DropMalformed     DropReason = iota // does not parse
	DropUnauthentic                     // the tag does not verify, or the key epoch is unknown
	DropReplayed                        // seen before, or too old to tell
	DropDuplicate                       // authentic, but the packet is here already
	DropLate                            // its frame was given up or delivered before
	DropOutOfRange                      // sequence or repair range absurdly far away
	DropUnknown                         // a payload type of a later version
	DropNoRoom                          // a bound on memory was reached
	DropLyingReport                     // feedback about packets never sent
	DropRepairInvalid                   // a repair that leads to something that is no packet
	dropReasons
)

var dropNames = [dropReasons]string{
	"malformed", "unauthentic", "replayed", "duplicate", "late", "out_of_range",
	"unknown", "no_room", "lying_report", "repair_invalid",
}

func (r DropReason) String() string {
	if int(r) < len(dropNames) {
		return dropNames[r]
	}
	return "unknown_reason"
}

// Drops counts by reason.
type Drops [dropReasons]uint64

// Total sums all reasons.
func (d *Drops) Total() (n uint64) {
	for _, v := range d {
		n += v
	}
	return n
}

// Stats explains a session. The sum rule, in source packets (the pieces of
// frames, each counted once however often it was sent):
//
//	sent = delivered + recovered + late + lost + in flight
//
// A receiver knows only the last four terms' split below its playout cursor, so
// its Sent is what it has accounted for; Combine adds the sender's view.
type Stats struct {
	Sent      uint64 // source packets put on the wire or given up by the sender
	Delivered uint64 // arrived at first sending and in time
	Recovered uint64 // in time thanks to a resend or a repair
	Late      uint64 // arrived after their frame had been given up
	Lost      uint64 // never arrived
	InFlight  uint64 // not yet accounted for

	RecoveredByResend uint64
	RecoveredByRepair uint64

	FramesSent      uint64       // written by the application
	FramesDelivered uint64       // handed over whole and in time
	FramesLost      uint64       // given up: something was missing at the deadline
	FramesDropped   FrameClasses // sender: of those that were given up there, also before they were taken in

	BytesSent     uint64 // UDP payload bytes, all kinds
	BytesReceived uint64
	SourceBytes   uint64 // UDP payload bytes of first sendings
	Datagrams     uint64 // sent, all kinds
	Resends       uint64 // source packets sent again
	Repairs       uint64 // repair symbols sent or received
	Probes        uint64
	Feedback      uint64 // reports sent or received
	FeedbackBytes uint64 // of them, UDP payload bytes; only of the end that sends them
	Marked        uint64 // packets that arrived with congestion experienced (RFC 3168), of all kinds: the sender's as it was told

	Drops Drops
}

// FrameClasses counts frames by what they are to their neighbours.
type FrameClasses [4]uint64

// Classes of frames, in the order of package fec's.
const (
	ClassReference = iota
	ClassKey
	ClassAudio
	ClassDroppable
)

// Combine joins a sender's and its receiver's snapshots into one that obeys the
// sum rule: what the sender sent and the receiver has not accounted for is in flight.
func Combine(sender, receiver Stats) Stats {
	s := receiver
	s.Sent = sender.Sent
	s.InFlight = sender.Sent - (receiver.Delivered + receiver.Recovered + receiver.Late + receiver.Lost)
	s.FramesSent, s.FramesDropped = sender.FramesSent, sender.FramesDropped
	s.BytesSent, s.SourceBytes, s.Datagrams = sender.BytesSent, sender.SourceBytes, sender.Datagrams
	s.Resends, s.Probes, s.Repairs = sender.Resends, sender.Probes, sender.Repairs
	return s
}

// Check returns nil when the sum rule holds, and says what is off otherwise.
func (s *Stats) Check() error {
	sum := s.Delivered + s.Recovered + s.Late + s.Lost + s.InFlight
	if sum != s.Sent || s.InFlight > s.Sent {
		return fmt.Errorf("transport: sent %d ≠ delivered %d + recovered %d + late %d + lost %d + in flight %d",
			s.Sent, s.Delivered, s.Recovered, s.Late, s.Lost, int64(s.InFlight))
	}
	if s.RecoveredByResend+s.RecoveredByRepair != s.Recovered {
		return fmt.Errorf("transport: recovered %d ≠ by resend %d + by repair %d",
			s.Recovered, s.RecoveredByResend, s.RecoveredByRepair)
	}
	return nil
}
