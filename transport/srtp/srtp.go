// Package srtp seals and opens RTP and RTCP packets with AEAD_AES_128_GCM
// (RFC 7714) on the standard library: key derivation (RFC 3711 §4.3), replay
// windows, recovery of the rollover counter, change of keys by epoch.
//
//	SRTP    | RTP header (12, clear)  | ciphertext | tag (16) |
//	nonce   = salt XOR ( 00 00 | SSRC (4) | ROC (4) | SEQ (2) )          RFC 7714 §8.1
//
//	SRTCP   | RTCP header (8, clear)  | ciphertext | tag (16) | E=1 | index (31) |
//	nonce   = salt XOR ( 00 00 | SSRC (4) | 00 00 | 0 | index (31) )     RFC 7714 §9.1
//
// The low four bits of the SSRC are the key epoch (package wire), so a packet
// says itself which key opens it. Packet indexes go on across epochs.
//
// A nonce must never be used twice with one key. A Sealer therefore refuses an
// index that does not increase: a resend is a new packet with a new index.
//
// What it leaves to others: where keys come from (the TLS exporter, package
// quiclink) and what is inside (package wire).
package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
)

// Sizes. RFC 7714 §12, §14.2.
const (
	TagSize      = 16
	RTPOverhead  = TagSize
	RTCPOverhead = TagSize + 4
	KeySize      = 16
	SaltSize     = 12

	rtpHeader  = 12
	rtcpHeader = 8
	nonceSize  = 12
)

// Epochs is how many key epochs can be told apart on the wire.
const Epochs = 16

// Errors. Errors of Open are reasons to drop and count a packet; nothing in it may be believed.
var (
	ErrShort     = errors.New("srtp: packet too short")
	ErrAuth      = errors.New("srtp: authentication failed")
	ErrReplayed  = errors.New("srtp: replayed or too old")
	ErrNoKey     = errors.New("srtp: no key for this epoch")
	ErrExhausted = errors.New("srtp: packet index must increase and fit")
)

// Keys is the master key and salt of one direction, path and epoch.
type Keys struct {
	Key  [KeySize]byte
	Salt [SaltSize]byte
}

// suite is what one epoch's master key turns into.
type suite struct {
	rtp, rtcp         cipher.AEAD
	rtpSalt, rtcpSalt [nonceSize]byte
}

func newSuite(k Keys) (*suite, error) {
	var s suite
	var key [KeySize]byte
	for _, part := range []struct {
		label byte
		aead  *cipher.AEAD
	}{{labelRTPKey, &s.rtp}, {labelRTCPKey, &s.rtcp}} {
		if err := derive(key[:], k.Key[:], k.Salt[:], part.label); err != nil {
			return nil, fmt.Errorf("srtp: derive keys: %w", err)
		}
		aead, err := newGCM(key[:])
		if err != nil {
			return nil, err
		}
		*part.aead = aead
	}
	if err := derive(s.rtpSalt[:], k.Key[:], k.Salt[:], labelRTPSalt); err != nil {
		return nil, fmt.Errorf("srtp: derive salt: %w", err)
	}
	if err := derive(s.rtcpSalt[:], k.Key[:], k.Salt[:], labelRTCPSalt); err != nil {
		return nil, fmt.Errorf("srtp: derive salt: %w", err)
	}
	return &s, nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("srtp: cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("srtp: cipher: %w", err)
	}
	return aead, nil
}

// rtpNonce is RFC 7714 §8.1; index is ROC ‖ SEQ.
func rtpNonce(n *[nonceSize]byte, salt *[nonceSize]byte, ssrc uint32, index int64) {
	*n = [nonceSize]byte{}
	binary.BigEndian.PutUint32(n[2:], ssrc)
	binary.BigEndian.PutUint32(n[6:], uint32(index>>16))
	binary.BigEndian.PutUint16(n[10:], uint16(index))
	for i := range n {
		n[i] ^= salt[i]
	}
}

// rtcpNonce is RFC 7714 §9.1.
func rtcpNonce(n *[nonceSize]byte, salt *[nonceSize]byte, ssrc, index uint32) {
	*n = [nonceSize]byte{}
	binary.BigEndian.PutUint32(n[2:], ssrc)
	binary.BigEndian.PutUint32(n[8:], index&0x7fffffff)
	for i := range n {
		n[i] ^= salt[i]
	}
}

// eFlag marks an encrypted SRTCP packet, RFC 3711 §3.4. We never send or accept one without.
const eFlag = 1 << 31
