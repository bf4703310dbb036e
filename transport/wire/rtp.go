package wire

import "encoding/binary"

// Sizes and numbers of the RTP framing.
const (
	RTPHeaderSize = 12
	PayloadType   = 96 // first of the dynamic ones, RFC 3551 §6
	EpochBits     = 4  // low bits of the SSRC
	MaxTag        = 1<<(32-EpochBits) - 1
)

// RTP is the clear header of a media packet.
type RTP struct {
	Sequence uint16 // transport sequence number, low 16 bits
	SendTime uint32 // µs, sender's clock, low 32 bits
	SSRC     uint32 // SSRC(tag, epoch)
}

// SSRC joins a path's tag (28 bits) with the key epoch.
func SSRC(tag uint32, epoch uint32) uint32 { return tag<<EpochBits | epoch&(1<<EpochBits-1) }

// IsMedia reports whether the datagram b is RTP or RTCP and not QUIC (RFC 9443 §3: first byte 128..191).
func IsMedia(b []byte) bool { return len(b) > 0 && b[0] >= 128 && b[0] <= 191 }

// IsRTCP reports whether the RTP or RTCP packet b is RTCP (RFC 5761 §4: second byte 192..223).
func IsRTCP(b []byte) bool { return len(b) > 1 && b[1] >= 192 && b[1] <= 223 }

// Tag returns the path tag of a media datagram: what a relay looks the session up by, never the address.
func Tag(b []byte) (tag uint32, ok bool) {
	at := 8
	if IsRTCP(b) {
		at = 4
	}
	if !IsMedia(b) || len(b) < at+4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(b[at:]) >> EpochBits, true
}

// AppendRTP appends the header.
func AppendRTP(dst []byte, h RTP) []byte {
	dst = append(dst, 0x80, PayloadType)
	dst = binary.BigEndian.AppendUint16(dst, h.Sequence)
	dst = binary.BigEndian.AppendUint32(dst, h.SendTime)
	return binary.BigEndian.AppendUint32(dst, h.SSRC)
}

// ParseRTP parses the header and returns what follows it, a view into b. Our sender uses no padding,
// extension, contributing source or marker, so a packet with one of them is malformed.
func ParseRTP(b []byte) (h RTP, rest []byte, err error) {
	if len(b) < RTPHeaderSize || b[0] != 0x80 || b[1] != PayloadType {
		return RTP{}, nil, ErrMalformed
	}
	return RTP{
		Sequence: binary.BigEndian.Uint16(b[2:]),
		SendTime: binary.BigEndian.Uint32(b[4:]),
		SSRC:     binary.BigEndian.Uint32(b[8:]),
	}, b[RTPHeaderSize:], nil
}
