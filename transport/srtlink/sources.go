package srtlink

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/fairlead-live/fairlead/transport/udp"
)

// maxSources bounds how many peers' addresses are remembered, in each of two generations: those that something is sent to stay, however many
// handshakes others send. Answers to peers that are forgotten leave from the address the system prefers.
const maxSources = 4096

// sources remembers to which of our addresses a peer sent its handshake, on a socket that has them all: an answer from
// another one does not get through the peer's NAT.
type sources struct {
	on    bool
	by    map[netip.AddrPort][]byte // control data for sendmsg(2), as udp.Meta gives it
	older map[netip.AddrPort][]byte
}

func newSources(conn *net.UDPConn) sources {
	a, ok := conn.LocalAddr().(*net.UDPAddr)
	if !ok || !a.IP.IsUnspecified() {
		return sources{}
	}
	err4 := ipv4.NewPacketConn(conn).SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true)
	err6 := ipv6.NewPacketConn(conn).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
	return sources{on: err4 == nil || err6 == nil, by: map[netip.AddrPort][]byte{}}
}

// learn takes a datagram's control data, if it is a handshake: of SRT, or of an SRTLA link.
func (s *sources) learn(from netip.AddrPort, b, oob []byte) {
	if len(s.worth(b, oob)) == 0 {
		return
	}
	_, src := udp.Meta(nil, oob)
	s.keep(from, src)
}

// worth is the control data of a datagram if it is to be learnt from.
func (s *sources) worth(b, oob []byte) []byte {
	if !s.on || len(b) < 2 || !(b[0] == 0x80 && b[1] == 0 || b[0] == 0x92) {
		return nil
	}
	return oob
}

func (s *sources) keep(a netip.AddrPort, src []byte) {
	if len(s.by) >= maxSources {
		s.by, s.older = map[netip.AddrPort][]byte{}, s.by
	}
	s.by[a] = src
}

// of is the control data for a datagram to a.
func (s *sources) of(a netip.AddrPort) []byte {
	if !s.on {
		return nil
	}
	src, ok := s.by[a]
	if !ok {
		if src, ok = s.older[a]; ok {
			s.keep(a, src)
		}
	}
	return src
}
