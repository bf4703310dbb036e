package srtp

import (
	"crypto/aes"
	"crypto/cipher"
)

// Labels of the key derivation, RFC 3711 §4.3.2 (AEAD needs no authentication keys).
const (
	labelRTPKey   = 0
	labelRTPSalt  = 2
	labelRTCPKey  = 3
	labelRTCPSalt = 5
)

// derive fills out with n bytes of AES-CM key stream for label: RFC 3711 §4.3.1 and §4.3.3 with a
// key derivation rate of zero. salt is the master salt, 12 or 14 bytes; RFC 7714 §11 appends zeros
// to its 96 bits to make 112.
func derive(out []byte, key []byte, salt []byte, label byte) error {
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	var iv [aes.BlockSize]byte
	copy(iv[:14], salt)
	iv[7] ^= label // the label sits above the 48-bit index, which is zero here
	clear(out)
	cipher.NewCTR(block, iv[:]).XORKeyStream(out, out)
	return nil
}
