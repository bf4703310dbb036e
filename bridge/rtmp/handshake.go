package rtmp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

const (
	handshakeVersion = 3    // RTMP 1.0 §5.2.2
	handshakeSize    = 1536 // C1, S1, C2, S2 (RTMP 1.0 §5.2.3)

	// RandomSize is how many random bytes a handshake is made of (RTMP 1.0 §5.2.3); they need not be secret.
	RandomSize = handshakeSize - 8
)

// The digest ("complex") handshake is not in RTMP 1.0. Flash Player 9.0.124 asks for it, and servers that see a
// digest in C1 answer in kind. The keys and layouts are public knowledge, as in nginx-rtmp, SRS and librtmp.
const digestSize = sha256.Size

var (
	keySuffix = []byte{
		0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57,
		0x6e, 0xec, 0x5d, 0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
	}
	clientKeyPart = []byte("Genuine Adobe Flash Player 001")
	serverKeyPart = []byte("Genuine Adobe Flash Media Server 001")
	clientKey     = append(clientKeyPart[:len(clientKeyPart):len(clientKeyPart)], keySuffix...)
	serverKey     = append(serverKeyPart[:len(serverKeyPart):len(serverKeyPart)], keySuffix...)

	// A version in bytes 4 to 7 says that a digest is inside: those of a Flash Player and of a media server.
	clientVersion = [4]byte{0x80, 0, 7, 2}
	serverVersion = [4]byte{4, 5, 0, 1}
)

// Digest says where a handshake packet has its digest.
type Digest uint8

// The two layouts: the block with the digest stands first or second.
const (
	DigestNone   Digest = iota // the simple handshake of RTMP 1.0 §5.2
	DigestFirst                // "schema 1" of nginx-rtmp and SRS: digest block at byte 8
	DigestSecond               // "schema 0": digest block at byte 772
)

func (d Digest) String() string { return [...]string{"simple", "digest first", "digest second"}[d] }

// at returns where in a packet p of handshakeSize the digest of layout d stands.
func (d Digest) at(p []byte) int {
	block := 8
	if d == DigestSecond {
		block = 772
	}
	// Four bytes whose sum is the offset behind them; 728 = 764 - 4 - 32.
	return block + 4 + (int(p[block])+int(p[block+1])+int(p[block+2])+int(p[block+3]))%728
}

// digest is the HMAC over p without the digestSize bytes at off.
func digest(key, p []byte, off int) [digestSize]byte {
	h := hmac.New(sha256.New, key)
	h.Write(p[:off])
	h.Write(p[off+digestSize:])
	return [digestSize]byte(h.Sum(nil))
}

// findDigest returns which layout p has, and its digest (lends it).
func findDigest(key, p []byte) (Digest, []byte) {
	if [4]byte(p[4:8]) == [4]byte{} {
		return DigestNone, nil
	}
	for _, d := range []Digest{DigestFirst, DigestSecond} {
		off := d.at(p)
		want := digest(key, p, off)
		if got := p[off : off+digestSize]; hmac.Equal(got, want[:]) {
			return d, got
		}
	}
	return DigestNone, nil
}

// appendPacket1 appends C1 or S1: time, version or zero, random bytes, and the digest when d asks for one.
func appendPacket1(dst []byte, time uint32, d Digest, version [4]byte, key, random []byte) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, time)
	if d == DigestNone {
		version = [4]byte{}
	}
	dst = append(dst, version[:]...)
	dst = append(dst, random[:RandomSize]...)
	if d != DigestNone {
		p := dst[start:]
		off := d.at(p)
		sum := digest(key, p, off)
		copy(p[off:], sum[:])
	}
	return dst
}

// appendPacket2 appends C2 or S2: the peer's packet echoed (§5.2.4), or, where that one has a digest, random bytes
// whose last 32 prove that the digest was read.
func appendPacket2(dst, peer []byte, peerDigest []byte, time uint32, key, random []byte) []byte {
	start := len(dst)
	if peerDigest == nil {
		dst = append(dst, peer[:4]...)                 // "the timestamp sent by the peer"
		dst = binary.BigEndian.AppendUint32(dst, time) // "at which the previous packet was read"
		return append(dst, peer[8:handshakeSize]...)   // "random data echo"
	}
	dst = append(dst, random[:handshakeSize-digestSize-8]...)
	dst = append(dst, random[:8]...)
	h := hmac.New(sha256.New, key)
	h.Write(peerDigest)
	proof := hmac.New(sha256.New, h.Sum(nil))
	proof.Write(dst[start:])
	return proof.Sum(dst)
}

// AppendC0C1 appends what a client sends first. time: milliseconds, any zero. random: RandomSize bytes (borrows it).
func AppendC0C1(dst []byte, time uint32, d Digest, random []byte) []byte {
	return appendPacket1(append(dst, handshakeVersion), time, d, clientVersion, clientKeyPart, random)
}

// AppendC2 appends what a client sends when it has S0 and S1 (borrows them). It checks the version alone: servers
// that answer a digest with anything at all are in use, and a proof from a server guards nothing.
func AppendC2(dst, s0s1 []byte, time uint32, random []byte) ([]byte, error) {
	if s0s1[0] != handshakeVersion {
		return dst, fmt.Errorf("%w: handshake version %d, want 3", ErrProtocol, s0s1[0])
	}
	s1 := s0s1[1 : 1+handshakeSize]
	_, sum := findDigest(serverKeyPart, s1)
	return appendPacket2(dst, s1, sum, time, clientKey, random), nil
}

// AppendS0S1S2 appends a server's whole side of the handshake when it has C0 and C1 (borrows them): with the digest
// in the client's layout when C1 has a valid one, else the simple form.
func AppendS0S1S2(dst, c0c1 []byte, time uint32, random []byte) ([]byte, Digest, error) {
	if c0c1[0] != handshakeVersion {
		return dst, DigestNone, fmt.Errorf("%w: handshake version %d, want 3", ErrProtocol, c0c1[0])
	}
	c1 := c0c1[1 : 1+handshakeSize]
	d, sum := findDigest(clientKeyPart, c1)
	dst = appendPacket1(append(dst, handshakeVersion), time, d, serverVersion, serverKeyPart, random)
	return appendPacket2(dst, c1, sum, time, serverKey, random), d, nil
}
