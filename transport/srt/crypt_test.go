package srt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"encoding/binary"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/sim"
)

const secret = "sixteen letters!"

// wrapKey is RFC 3394 §2.2.1.
func wrapKey(kek, keys []byte) []byte {
	block, _ := aes.NewCipher(kek)
	n := len(keys) / 8
	a := bytes.Repeat([]byte{0xA6}, 8)
	r := bytes.Clone(keys)
	for j := range 6 {
		for i := 1; i <= n; i++ {
			b := append(bytes.Clone(a), r[8*(i-1):8*i]...)
			block.Encrypt(b, b)
			a = binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(b)^uint64(n*j+i))
			copy(r[8*(i-1):], b[8:])
		}
	}
	return append(a, r...)
}

// keyMessage is a KM message with the keys of kk.
func keyMessage(kk, algo, auth byte, salt, keys []byte, n int) []byte {
	km := append([]byte{0x12, 0x20, 0x29, kk, 0, 0, 0, 0, algo, auth, 2, 0, 0, 0, saltLen / 4, byte(n / 4)}, salt...)
	kek, _ := pbkdf2.Key(sha1.New, secret, salt[8:], kekRounds, n)
	return append(km, wrapKey(kek, keys)...)
}

// sealer encrypts as the draft and libsrt 1.5.4 say, by other means than the receiver.
func sealer(gcm bool, salt, key []byte, kk byte) func(header, payload []byte) []byte {
	block, _ := aes.NewCipher(key)
	return func(header, payload []byte) []byte {
		header[4] = header[4]&^0x18 | kk<<3
		iv := make([]byte, 16)
		if gcm {
			copy(iv[8:], header[:4])
			for i := range 12 {
				iv[i] ^= salt[i]
			}
			a, _ := cipher.NewGCM(block)
			return a.Seal(nil, iv[:12], payload, header)
		}
		copy(iv[10:], header[:4])
		for i := range 14 {
			iv[i] ^= salt[i]
		}
		out := make([]byte, len(payload))
		cipher.NewCTR(block, iv).XORKeyStream(out, payload)
		return out
	}
}

// Both ciphers, a key refresh to the odd key in the middle, and loss.
func TestEncryptedStream(t *testing.T) {
	salt := []byte("0123456789abcdef")
	for _, c := range []struct {
		name       string
		gcm        bool
		algo, auth byte
		key        int
	}{{"CTR 128", false, cipherCTR, 0, 16}, {"CTR 256", false, cipherCTR, 0, 32}, {"GCM 128", true, cipherGCM, 1, 16}} {
		w := sim.New(1)
		even, odd := bytes.Repeat([]byte{1}, c.key), bytes.Repeat([]byte{2}, c.key)
		tx := newCaller(7, 1000, "k", 200*time.Millisecond)
		tx.version = gcmLeastPeer
		tx.km = keyMessage(1, c.algo, c.auth, salt, even, c.key)
		r := newRun(w, both(lossy(10*time.Millisecond, 0.03)), tx, Config{Passphrase: secret})
		bad := 0
		if c.gcm { // what parity rebuilds must authenticate
			tx.protect("fec,cols:4,rows:3,arq:never")
		}
		r.rx.onPop = func(_ time.Time, b []byte) {
			if len(b) != 1316 || !bytes.Equal(b[4:], make([]byte, 1312)) {
				bad++
			}
		}
		tx.seal = sealer(c.gcm, salt, even, keyEven)
		r.stream(500 * time.Millisecond)
		h := Header{Control: true, Type: User, Subtype: extKMReq, Dest: tx.them, Timestamp: tx.timestamp(r.link.A.Now())}
		for range 5 {
			tx.out = append(tx.out, append(h.Append(nil), keyMessage(3, c.algo, c.auth, salt, append(bytes.Clone(even), odd...), c.key)...))
		}
		r.stream(100 * time.Millisecond)
		tx.seal = sealer(c.gcm, salt, odd, keyOdd)
		r.stream(500 * time.Millisecond)
		w.Run(time.Second)
		s := r.rx.conns[0].Stats()
		if c.gcm && s.Rebuilt < 5 {
			t.Errorf("%s: only %d rebuilt", c.name, s.Rebuilt)
		}
		if bad > 0 || r.missing(t) > 0 && !c.gcm || r.missing(t) > 0.005 || s.Drops[DropUndecrypted] > 0 {
			t.Errorf("%s: %d bad, missing %v, %+v", c.name, bad, r.missing(t), s)
		}
	}
}

func TestKeyMaterialRefusals(t *testing.T) {
	salt, key := []byte("0123456789abcdef"), bytes.Repeat([]byte{1}, 16)
	good := keyMessage(1, cipherCTR, 0, salt, key, 16)
	for _, c := range []struct {
		why  string
		km   []byte
		want error
	}{
		{"short", good[:20], errKM},
		{"no key", keyMessage(0, cipherCTR, 0, salt, key, 16), errKM},
		{"one key of two", keyMessage(3, cipherCTR, 0, salt, key, 16), errKM},
		{"another cipher", keyMessage(1, 9, 0, salt, key, 16), errKMCipher},
		{"GCM without its tag", keyMessage(1, cipherGCM, 0, salt, key, 16), errKMCipher},
	} {
		d := decryptor{passphrase: secret}
		if err := d.setKM(c.km); err != c.want {
			t.Errorf("%s: got %v, want %v", c.why, err, c.want)
		}
	}
}
