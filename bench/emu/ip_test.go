package emu

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

// packet4 is an IPv4 packet with a UDP datagram, checksums right.
func packet4(tos byte) []byte {
	b := []byte{0x45, tos, 0, 32, 0, 1, 0, 0, 64, 17, 0, 0, 10, 99, 0, 1, 10, 99, 0, 2, 0x10, 0, 0x20, 0, 0, 12, 0, 0, 'd', 'a', 't', 'a'}
	binary.BigEndian.PutUint16(b[10:], ^sum(b[:20]))
	binary.BigEndian.PutUint16(b[26:], ^sum(pseudo(b), b[20:]))
	return b
}

// packet6 is an IPv6 packet with an ICMPv6 echo request, checksum right.
func packet6(ecn byte) []byte {
	b := append([]byte{0x60, ecn << 4, 0, 0, 0, 8, 58, 64}, make([]byte, 32)...)
	copy(b[8:], nearAddr(0, true).AsSlice())
	copy(b[24:], farAddr(true).AsSlice())
	b = append(b, 128, 0, 0, 0, 1, 2, 3, 4)
	binary.BigEndian.PutUint16(b[42:], ^sum(pseudo(b), b[40:]))
	return b
}

func pseudo(b []byte) []byte {
	if b[0]>>4 == 4 {
		n := len(b) - 20
		return append(append([]byte{}, b[12:20]...), 0, b[9], byte(n>>8), byte(n))
	}
	n := len(b) - 40
	return append(append([]byte{}, b[8:40]...), 0, 0, byte(n>>8), byte(n), 0, 0, 0, b[6])
}

// sum is the Internet checksum's sum, the slow and obvious way (RFC 1071 §1): 0xffff over a right packet.
func sum(parts ...[]byte) uint16 {
	var s uint32
	for _, p := range parts {
		for i, v := range p {
			if i%2 == 0 {
				s += uint32(v) << 8
			} else {
				s += uint32(v)
			}
		}
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

func right(b []byte) bool {
	if b[0]>>4 == 4 {
		return sum(b[:20]) == 0xffff && sum(pseudo(b), b[20:]) == 0xffff
	}
	return sum(pseudo(b), b[40:]) == 0xffff
}

func TestChecksumsStayRight(t *testing.T) {
	for path := range uint32(300) {
		for _, b := range [][]byte{packet4(byte(path)), packet6(byte(path & 3))} {
			if !right(b) {
				t.Fatal("the test's own packet is wrong")
			}
			six := b[0]>>4 == 6
			setAddr(b, source, nearAddr(path, six))
			if isECT(b) {
				setCE(b)
			}
			if !right(b) || addrOf(b, source) != nearAddr(path, six) {
				t.Fatalf("path %d: % x", path, b)
			}
			setAddr(b, source, nearAddr(path, !six)) // another family: untouched
			if addrOf(b, source) != nearAddr(path, six) {
				t.Fatal("an address of another family was written")
			}
		}
	}
}

func TestOnlyECNCapablePacketsAreMarked(t *testing.T) {
	for ecn, want := range []bool{false, true, true, true} {
		for _, b := range [][]byte{packet4(0xb8 | byte(ecn)), packet6(byte(ecn))} {
			if isECT(b) != want {
				t.Errorf("ECN %d: isECT = %v, want %v", ecn, !want, want)
			}
		}
	}
	b := packet4(0xb8 | 2)
	setCE(b)
	if b[1] != 0xb8|3 {
		t.Errorf("TOS %#x, want the class kept and CE", b[1])
	}
}

func FuzzPacketsAreNeverTrusted(f *testing.F) {
	f.Add(packet4(1), byte(3))
	f.Add(packet6(2), byte(3))
	f.Add([]byte{0x4f}, byte(1))
	f.Add(bytes.Repeat([]byte{0x45}, 20), byte(0))
	f.Add(append(packet4(0)[:20], 1), byte(9))
	f.Add([]byte{}, byte(0))
	f.Fuzz(func(t *testing.T, b []byte, path byte) {
		was := len(b)
		if isECT(b) {
			setCE(b)
		}
		for _, which := range []int{source, destination} {
			for _, six := range []bool{false, true} {
				to := nearAddr(uint32(path), six)
				setAddr(b, which, to)
				if a := addrOf(b, which); a.IsValid() && a.Is6() == six && a != to {
					t.Errorf("address %v, want %v", a, to)
				}
			}
		}
		if len(b) != was {
			t.Error("the length changed")
		}
	})
}

func TestAddressesOfPathsDiffer(t *testing.T) {
	seen := map[netip.Addr]uint32{farAddr(false): 999, farAddr(true): 999}
	for path := range uint32(256) {
		for _, six := range []bool{false, true} {
			a := nearAddr(path, six)
			if other, ok := seen[a]; ok {
				t.Fatalf("paths %d and %d share %v", path, other, a)
			}
			seen[a] = path
		}
	}
}
