package quiclink

import (
	"errors"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/fairlead-live/fairlead/transport/srtp"
)

const (
	// baseMTU passes every path that QUIC does: RFC 9000 §14.
	baseMTU = 1200
	// maxMTU is the most QUIC looks for: Ethernet's 1500 without an IPv6 and a UDP header. The relay's buffers have that size.
	maxMTU = 1452
	// quicOverhead is what quic-go takes off the path MTU for the longest DATAGRAM frame it promises (connection.go,
	// estimateMaxPayloadSize: type byte, the longest connection ID, tag). TestQUICTellsThePathMTU pins it.
	quicOverhead = 1 + 20 + 16
	// distrust is how long datagrams stay short after long ones did not get through: RFC 8899 §5.1.1, PMTU_RAISE_TIMER.
	distrust = 10 * time.Minute
	// insideLess is how much shorter a media datagram is that fits into a DATAGRAM frame, where it needs no tag of its own: what was sent beside
	// QUIC can be sent again inside it, should the network block the one in the middle of a stream.
	insideLess = quicOverhead - srtp.TagSize
)

// mtu follows the path MTU that QUIC discovers for the addresses media shares with it (RFC 8899: it probes with padded
// packets, with DF set where the system can). Media knows better in two cases: the system refuses a datagram (EMSGSIZE), or
// long ones vanish where short ones arrive, a black hole.
type mtu struct {
	now   int
	path  int       // what QUIC found
	most  int       // what the relay takes
	trust time.Time // long datagrams are not trusted before
}

// pathMTU returns the path MTU as far as QUIC knows it.
func pathMTU(conn *quic.Conn) int {
	e, ok := errors.AsType[*quic.DatagramTooLargeError](conn.SendDatagram(oversize[:]))
	if !ok {
		return baseMTU
	}
	return int(e.MaxDatagramPayloadSize) + quicOverhead
}

// oversize fits no packet; SendDatagram says what would.
var oversize [4096]byte

// lookAtMTU lets frames use what the path takes.
func (s *sending) lookAtMTU() {
	if s.frames != nil {
		return
	}
	n := baseMTU
	if !s.moving && s.now.After(s.mtu.trust) {
		s.mtu.path = min(maxMTU, pathMTU(s.conn))
		n = max(baseMTU, min(s.mtu.most, s.mtu.path-insideLess))
	}
	s.setMTU(n)
}

func (s *sending) setMTU(n int) {
	if n != s.mtu.now {
		s.mtu.now = n
		s.tx.SetMTU(n)
	}
}

// shrink goes back to what passes everywhere.
func (s *sending) shrink() {
	if s.mtu.now > baseMTU {
		s.client.cfg.Logger.Warn("long datagrams do not get through", "bytes", s.mtu.now)
		s.mtu.trust = s.now.Add(distrust)
		s.setMTU(baseMTU)
	}
}

// tooLong reports whether the system refused a datagram for its length.
func tooLong(err error) bool { return errors.Is(err, syscall.EMSGSIZE) }
