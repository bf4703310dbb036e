package emu

import (
	"encoding/binary"
	"net/netip"
)

// isECT says whether an IP packet's sender speaks ECN (RFC 3168 §5: ECT or CE), so that it can bear a mark.
func isECT(b []byte) bool {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		return b[1]&3 != 0
	case len(b) >= 40 && b[0]>>4 == 6:
		return b[1]>>4&3 != 0 // the traffic class straddles bytes 0 and 1; ECN is its low end
	}
	return false
}

// setCE marks an IP packet as having met congestion. isECT must hold.
func setCE(b []byte) {
	if b[0]>>4 == 6 {
		b[1] |= 3 << 4
		return
	}
	old := binary.BigEndian.Uint16(b)
	b[1] |= 3
	fixSum(b[10:12], old, binary.BigEndian.Uint16(b))
}

// fixSum changes an Internet checksum for a word of what it covers: RFC 1624 §3, HC' = ~(~HC + ~m + m').
func fixSum(sum []byte, was, is uint16) {
	s := uint32(^binary.BigEndian.Uint16(sum)) + uint32(^was) + uint32(is)
	s = s&0xffff + s>>16
	s = s&0xffff + s>>16
	binary.BigEndian.PutUint16(sum, ^uint16(s))
}

// An address of an IP packet.
const (
	source      = 0
	destination = 1
)

// addrOf returns the source or destination of an IP packet; the zero Addr when it is none.
func addrOf(b []byte, which int) netip.Addr {
	switch at, n := addrAt(b, which); n {
	case 4:
		return netip.AddrFrom4([4]byte(b[at:]))
	case 16:
		return netip.AddrFrom16([16]byte(b[at:]))
	}
	return netip.Addr{}
}

func addrAt(b []byte, which int) (at, n int) {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		return 12 + 4*which, 4
	case len(b) >= 40 && b[0]>>4 == 6:
		return 8 + 16*which, 16
	}
	return 0, 0
}

// setAddr replaces the source or destination of an IP packet, as a NAT does, and corrects the checksums of IPv4, TCP,
// UDP and ICMPv6. It does nothing to a packet of another family than to.
func setAddr(b []byte, which int, to netip.Addr) {
	at, n := addrAt(b, which)
	is := to.AsSlice()
	if n == 0 || n != len(is) {
		return
	}
	sum := transportSum(b)
	for i := 0; i < n; i += 2 {
		old, now := binary.BigEndian.Uint16(b[at+i:]), binary.BigEndian.Uint16(is[i:])
		if n == 4 {
			fixSum(b[10:12], old, now)
		}
		if sum != nil {
			fixSum(sum, old, now)
		}
	}
	copy(b[at:], is)
}

// transportSum is the checksum that covers the packet's addresses; nil when there is none in this packet.
func transportSum(b []byte) []byte {
	var proto byte
	head := 40
	if b[0]>>4 == 4 {
		if binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return nil // a later fragment
		}
		proto, head = b[9], 4*int(b[0]&15)
	} else {
		proto = b[6]
	}
	offset := 0
	switch {
	case proto == 6:
		offset = 16
	case proto == 17:
		offset = 6
	case proto == 58 && head == 40 && b[0]>>4 == 6:
		offset = 2
	default:
		return nil
	}
	if head < 20 || len(b) < head+offset+2 {
		return nil
	}
	sum := b[head+offset : head+offset+2]
	if proto == 17 && sum[0]|sum[1] == 0 {
		return nil // RFC 768: no checksum
	}
	return sum
}

// nearAddr is the address under which the far side sees the near one on a path: 0 first, then one more each handover.
func nearAddr(path uint32, six bool) netip.Addr {
	if six {
		return netip.AddrFrom16([16]byte{0xfd, 0x99, 6: byte(path >> 8), 7: byte(path), 15: 1})
	}
	return netip.AddrFrom4([4]byte{10, 99, byte(path), 1})
}

func farAddr(six bool) netip.Addr {
	if six {
		return netip.AddrFrom16([16]byte{0xfd, 0x99, 15: 2})
	}
	return netip.AddrFrom4([4]byte{10, 99, 0, 2})
}
