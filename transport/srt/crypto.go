package srt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"errors"
)

// Ciphers of a KM message, draft §3.2.2; GCM by libsrt 1.5.4.
const (
	cipherCTR = 2
	cipherGCM = 4
)

const (
	kmHeaderLen  = 16
	saltLen      = 16
	gcmTagLen    = 16
	kekRounds    = 2048 // draft §6.1.4
	keyEven      = 1
	keyOdd       = 2
	kmSign       = 0x2029 // draft §3.2.2
	gcmLeastPeer = 0x010504
)

var (
	errKM       = errors.New("srt: malformed key material")
	errKMCipher = errors.New("srt: unknown cipher")
	errSecret   = errors.New("srt: wrong passphrase")
)

// decryptor holds the stream keys of one direction. Scratch lives here, so that a packet allocates nothing.
type decryptor struct {
	passphrase string
	gcm        bool
	keys       [3]streamKey // by KK

	iv  [16]byte
	aad [HeaderLen]byte
	pad [maxDatagram]byte
}

type streamKey struct {
	salt  [saltLen]byte
	block cipher.Block
	aead  cipher.AEAD
}

// setKM takes a KM message: it unwraps the keys in it with the passphrase.
func (d *decryptor) setKM(km []byte) error {
	if len(km) < kmHeaderLen+saltLen || km[0] != 0x12 || binary.BigEndian.Uint16(km[1:]) != kmSign {
		return errKM
	}
	kk, algo, auth, keyLen := km[3]&3, km[8], km[9], 4*int(km[15])
	if kk == 0 || int(km[14]) != saltLen/4 || keyLen != 16 && keyLen != 24 && keyLen != 32 || binary.BigEndian.Uint32(km[4:]) != 0 {
		return errKM
	}
	if !(algo == cipherCTR && auth == 0 || algo == cipherGCM && auth == 1) {
		return errKMCipher
	}
	n := 1
	if kk == 3 {
		n = 2
	}
	wrapped := km[kmHeaderLen+saltLen:]
	if len(wrapped) != 8+n*keyLen {
		return errKM
	}
	salt := [saltLen]byte(km[kmHeaderLen:])
	// Draft §6.1.4: the salt of the KEK is the last 64 bits of the salt.
	kek, err := pbkdf2.Key(sha1.New, d.passphrase, salt[8:], kekRounds, keyLen)
	if err != nil {
		return errKM
	}
	keys, err := unwrapKey(kek, wrapped)
	if err != nil {
		return err
	}
	for bit := uint8(keyEven); bit <= keyOdd; bit++ {
		if kk&bit == 0 {
			continue
		}
		k := streamKey{salt: salt}
		if k.block, err = aes.NewCipher(keys[:keyLen]); err != nil {
			return errKM
		}
		if algo == cipherGCM {
			if k.aead, err = cipher.NewGCM(k.block); err != nil {
				return errKM
			}
		}
		d.keys[bit] = k
		keys = keys[keyLen:]
	}
	d.gcm = algo == cipherGCM
	return nil
}

// open decrypts a payload in place. header: the 16 bytes of the packet. False: no such key, or it is not authentic.
func (d *decryptor) open(kk uint8, header, payload []byte) ([]byte, bool) {
	if kk != keyEven && kk != keyOdd || d.keys[kk].block == nil {
		return nil, false
	}
	k := &d.keys[kk]
	if k.aead != nil {
		// libsrt 1.5.4: IV = salt[0:12] XOR (8 zero bytes, sequence number), AAD = the header with R cleared.
		copy(d.iv[:12], k.salt[:12])
		subtle.XORBytes(d.iv[8:12], d.iv[8:12], header[:4])
		copy(d.aad[:], header)
		d.aad[4] &^= 0x04
		out, err := k.aead.Open(payload[:0], d.iv[:12], payload, d.aad[:])
		return out, err == nil
	}
	// Draft §6.2.2: IV = (the salt's 112 bits XOR the sequence number) and 16 bits of zero.
	copy(d.iv[:14], k.salt[:14])
	d.iv[14], d.iv[15] = 0, 0
	subtle.XORBytes(d.iv[10:14], d.iv[10:14], header[:4])
	// Block by block, as a cipher.Stream would be an allocation for each packet.
	for at, n := 0, uint16(0); at < len(payload); at, n = at+16, n+1 {
		pad := d.pad[at : at+16 : at+16]
		copy(pad, d.iv[:])
		binary.BigEndian.PutUint16(pad[14:], n)
		k.block.Encrypt(pad, pad)
	}
	subtle.XORBytes(payload, payload, d.pad[:])
	return payload, true
}

// unwrapKey undoes RFC 3394 §2.2.2.
func unwrapKey(kek, wrapped []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil || len(wrapped) < 16 || len(wrapped)%8 != 0 {
		return nil, errKM
	}
	n := len(wrapped)/8 - 1
	var b [16]byte
	copy(b[:8], wrapped)
	r := append([]byte(nil), wrapped[8:]...)
	for j := 5; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			a := binary.BigEndian.Uint64(b[:8]) ^ uint64(n*j+i)
			binary.BigEndian.PutUint64(b[:8], a)
			copy(b[8:], r[8*(i-1):8*i])
			block.Decrypt(b[:], b[:])
			copy(r[8*(i-1):], b[8:])
		}
	}
	if subtle.ConstantTimeCompare(b[:8], []byte("\xa6\xa6\xa6\xa6\xa6\xa6\xa6\xa6")) != 1 {
		return nil, errSecret
	}
	return r, nil
}
