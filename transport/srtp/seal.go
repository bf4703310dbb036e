package srtp

import "encoding/binary"

// maxIndex bounds the packets of one key: ours, 2^47, half of RFC 7714 §6's 2^48. Rekeying happens at 2^27.
const maxIndex = 1 << 47

// A Sealer protects the packets of one direction of one path. It is owned by one goroutine.
type Sealer struct {
	s         *suite
	nextRTP   int64 // the least index that may be sealed next
	nextRTCP  uint32
	nonce     [nonceSize]byte
	aad       [rtcpHeader + 4]byte
	sealedNow int64 // packets under the current key
}

// NewSealer derives the session keys of the first epoch.
func NewSealer(k Keys) (*Sealer, error) {
	s, err := newSuite(k)
	if err != nil {
		return nil, err
	}
	return &Sealer{s: s}, nil
}

// SetKeys changes to the next epoch's keys. Indexes go on; the caller changes the SSRC's epoch bits.
func (c *Sealer) SetKeys(k Keys) error {
	s, err := newSuite(k)
	if err != nil {
		return err
	}
	c.s, c.sealedNow = s, 0
	return nil
}

// Sealed is how many packets the current keys have sealed: rekey at 2^27 (RFC 9001 Appendix B gives 2^28 for 2 kB packets).
func (c *Sealer) Sealed() int64 { return c.sealedNow }

// SealRTP seals in place the plain RTP packet b[at:], whose header is 12 bytes, under index
// (ROC ‖ SEQ, low 16 bits equal to the header's), and appends the tag. index must increase.
func (c *Sealer) SealRTP(b []byte, at int, index int64) ([]byte, error) {
	if len(b)-at < rtpHeader {
		return b, ErrShort
	}
	if index < c.nextRTP || index >= maxIndex {
		return b, ErrExhausted
	}
	c.nextRTP = index + 1
	c.sealedNow++
	head := b[at : at+rtpHeader]
	rtpNonce(&c.nonce, &c.s.rtpSalt, binary.BigEndian.Uint32(head[8:]), index)
	return c.s.rtp.Seal(b[:at+rtpHeader], c.nonce[:], b[at+rtpHeader:], head), nil
}

// SealRTCP seals in place the plain RTCP packet b[at:] and appends tag and index.
func (c *Sealer) SealRTCP(b []byte, at int) ([]byte, error) {
	if len(b)-at < rtcpHeader {
		return b, ErrShort
	}
	if c.nextRTCP >= eFlag {
		return b, ErrExhausted
	}
	index := c.nextRTCP
	c.nextRTCP++
	c.sealedNow++
	ssrc := binary.BigEndian.Uint32(b[at+4:])
	rtcpNonce(&c.nonce, &c.s.rtcpSalt, ssrc, index)
	copy(c.aad[:], b[at:at+rtcpHeader]) // RFC 7714 §9.2: header ‖ ESRTCP word
	binary.BigEndian.PutUint32(c.aad[rtcpHeader:], index|eFlag)
	b = c.s.rtcp.Seal(b[:at+rtcpHeader], c.nonce[:], b[at+rtcpHeader:], c.aad[:])
	return binary.BigEndian.AppendUint32(b, index|eFlag), nil
}
