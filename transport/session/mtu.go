package session

import (
	"github.com/fairlead-live/fairlead/transport/arq"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// A black hole drops long datagrams without a word (RFC 8899 §4.3): so many long ones in a row are lost, and short ones sent
// between them arrive, which tells it from an outage. Ours: at 20 % of random loss, ten in a row are one in ten million.
const (
	longBytes   = 1200 + ipUDP
	longLost    = 10
	shortsAmong = 3
)

// blackHole counts what became of long and short datagrams since a long one arrived last.
type blackHole struct {
	lost, among int
	arrived     bool // a short one, since the last long one was lost
	found       bool // long ones are not worth sending again
}

func (b *blackHole) note(e *arq.Event) {
	switch long := e.Size > longBytes; {
	case e.Outcome == arq.Certain: // it was counted when it was presumed
	case long && e.Outcome != arq.Lost:
		*b = blackHole{found: b.found}
	case long:
		b.lost++
		if b.arrived {
			b.among, b.arrived = b.among+1, false
		}
	case e.Outcome == arq.Acked:
		b.arrived = b.lost > 0
	}
}

// BlackHole reports, once, that datagrams longer than 1200 bytes do not arrive where shorter ones do: SetMTU is due. Those
// that have been lost are not sent again.
func (s *Sender) BlackHole() bool {
	found := s.hole.lost >= longLost && s.hole.among >= shortsAmong
	if found {
		s.hole = blackHole{found: true}
	}
	return found
}

// swallowed reports whether a datagram with so many bytes of symbol would go into a black hole.
func (s *Sender) swallowed(symbol int) bool {
	return s.hole.found && symbol > s.mtu-packetExtra-wire.RepairHeaderSize
}
