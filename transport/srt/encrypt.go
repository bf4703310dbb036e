package srt

import (
	"bytes"
	"crypto/aes"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// Packets one key is used for, and how long before its end the next one is announced: libsrt's SRTO_KMREFRESHRATE and
// SRTO_KMPREANNOUNCE. Variables for the tests.
var (
	keyRefresh  = 1 << 24
	keyAnnounce = 1 << 12
)

// keyTries is how often new keys are announced; ours. Without an answer the old key stays.
const keyTries = 10

// encryptor encrypts with keys of its own making. The zero key number says unencrypted.
type encryptor struct {
	decryptor // holds the keys: CTR is the same both ways
	keyLen    int
	salt      [saltLen]byte
	raw       [3][]byte // by KK
	active    uint8
	used      int // packets with the active key
	rand      *rand.Rand

	announced []byte // a KM message that waits for its answer
	at        time.Duration
	tries     int
	agreed    bool // the next key is known to the peer
}

func newEncryptor(passphrase string, keyLen int, gcm bool, r *rand.Rand) (*encryptor, error) {
	s := &encryptor{decryptor: decryptor{passphrase: passphrase, gcm: gcm}, keyLen: keyLen, active: keyEven, rand: r}
	s.random(s.salt[:])
	return s, s.fresh(keyEven)
}

func (s *encryptor) random(b []byte) {
	for i := range b {
		b[i] = byte(s.rand.Uint32())
	}
}

// fresh makes a new key of number kk.
func (s *encryptor) fresh(kk uint8) error {
	s.raw[kk] = make([]byte, s.keyLen)
	s.random(s.raw[kk])
	return s.setKM(s.message(nil))
}

// overhead is how many bytes a sealed payload is longer.
func (s *encryptor) overhead() int {
	if s != nil && s.gcm {
		return gcmTagLen
	}
	return 0
}

// message writes a KM message with every key there is, draft §3.2.2.
func (s *encryptor) message(dst []byte) []byte {
	kk, keys := uint8(0), []byte(nil)
	for bit := uint8(keyEven); bit <= keyOdd; bit++ {
		if s.raw[bit] != nil {
			kk |= bit
			keys = append(keys, s.raw[bit]...)
		}
	}
	algo, auth := byte(cipherCTR), byte(0)
	if s.gcm {
		algo, auth = cipherGCM, 1
	}
	const streamSRT = 2 // SE: SRT, draft §3.2.2
	dst = append(dst, 0x12, kmSign>>8, kmSign&0xFF, kk, 0, 0, 0, 0, algo, auth, streamSRT, 0, 0, 0, saltLen/4, byte(s.keyLen/4))
	dst = append(dst, s.salt[:]...)
	kek, err := pbkdf2.Key(sha1.New, s.passphrase, s.salt[8:], kekRounds, s.keyLen)
	if err != nil {
		return nil // its lengths are right
	}
	return append(dst, wrapKeys(kek, keys)...)
}

// key is the KK of the next packet.
func (s *encryptor) key() uint8 {
	if s == nil {
		return 0
	}
	return s.active
}

// sealPayload encrypts in place; payload has room for the tag behind it. header: the 16 bytes of the packet.
func (s *encryptor) sealPayload(header, payload []byte) []byte {
	s.used++
	k := &s.keys[s.active]
	if k.aead == nil {
		out, _ := s.open(s.active, header, payload)
		return out
	}
	copy(s.iv[:12], k.salt[:12])
	subtle.XORBytes(s.iv[8:12], s.iv[8:12], header[:4])
	copy(s.aad[:], header)
	s.aad[4] &^= 0x04
	return k.aead.Seal(payload[:0], s.iv[:12], payload, s.aad[:])
}

// refresh makes the next key in time, and changes to it when the peer has it. Draft §6.1.6.
func (s *encryptor) refresh(now time.Duration) {
	if s == nil || s.used < keyRefresh-keyAnnounce {
		return
	}
	other := s.active ^ (keyEven | keyOdd)
	switch {
	case s.used >= keyRefresh && s.agreed:
		s.active, s.used, s.agreed = other, 0, false
	case s.tries == 0 && !s.agreed:
		if s.fresh(other) == nil {
			s.announced, s.at, s.tries = s.message(nil), now, 1
		}
	}
}

// announce reports whether the message is to be sent now; the next time is a good round trip later.
func (s *encryptor) announce(now, rtt time.Duration) bool {
	if s == nil || s.announced == nil || now < s.at {
		return false
	}
	if s.tries++; s.tries > keyTries {
		s.announced, s.used, s.tries = nil, 0, 0 // later again
		return false
	}
	s.at = now + rtt*3/2 + 50*time.Millisecond
	return true
}

// due is when announce has something to do.
func (s *encryptor) due() time.Duration {
	if s == nil || s.announced == nil {
		return forever
	}
	return s.at
}

// confirmed takes the answer to an announcement.
func (s *encryptor) confirmed(km []byte) {
	if s.announced != nil && bytes.Equal(km, s.announced) {
		s.announced, s.agreed, s.tries = nil, true, 0
	}
}

// wrapKeys is RFC 3394 §2.2.1.
func wrapKeys(kek, keys []byte) []byte {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil
	}
	n := len(keys) / 8
	r := append([]byte(nil), keys...)
	b := [16]byte{0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6}
	for j := range 6 {
		for i := range n {
			copy(b[8:], r[8*i:])
			block.Encrypt(b[:], b[:])
			copy(r[8*i:], b[8:])
			binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(b[:8])^uint64(n*j+i+1))
		}
	}
	return append(append([]byte(nil), b[:8]...), r...)
}
