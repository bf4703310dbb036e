package rtmp

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"testing"
)

func randomBytes(seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, RandomSize)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func TestHandshakeForms(t *testing.T) {
	for _, d := range []Digest{DigestNone, DigestFirst, DigestSecond} {
		for seed := range uint64(20) {
			c0c1 := AppendC0C1(nil, 77, d, randomBytes(seed))
			if len(c0c1) != 1537 || c0c1[0] != 3 {
				t.Fatalf("%v: C0C1 of %d bytes", d, len(c0c1))
			}
			s, got, err := AppendS0S1S2(nil, c0c1, 99, randomBytes(seed+100))
			if err != nil || got != d || len(s) != 1+2*1536 {
				t.Fatalf("%v: the server sees %v, %v and answers %d bytes", d, got, err, len(s))
			}
			c2, err := AppendC2(nil, s[:1537], 111, randomBytes(seed))
			if err != nil || len(c2) != 1536 {
				t.Fatalf("%v: C2 of %d bytes, %v", d, len(c2), err)
			}
			s1, s2 := s[1:1537], s[1537:]
			if d == DigestNone {
				if !bytes.Equal(s2[8:], c0c1[9:]) || !bytes.Equal(s2[:4], c0c1[1:5]) || !bytes.Equal(c2[8:], s1[8:]) {
					t.Fatalf("simple: S2 and C2 do not echo")
				}
				continue
			}
			_, clientSum := findDigest(clientKeyPart, c0c1[1:])
			layout, serverSum := findDigest(serverKeyPart, s1)
			if layout != d {
				t.Fatalf("server answers in layout %v, want %v", layout, d)
			}
			checkProof(t, s2, serverKey, clientSum)
			checkProof(t, c2, clientKey, serverSum)
		}
	}
}

// checkProof verifies a digest packet 2 the way the other side's documentation puts it.
func checkProof(t *testing.T, p, key, sum []byte) {
	t.Helper()
	h := hmac.New(sha256.New, key)
	h.Write(sum)
	h2 := hmac.New(sha256.New, h.Sum(nil))
	h2.Write(p[:1536-32])
	if !hmac.Equal(h2.Sum(nil), p[1536-32:]) {
		t.Fatalf("proof does not verify")
	}
}

func TestHandshakeRefusesOtherProtocols(t *testing.T) {
	for _, first := range []string{"GET / HTTP/1.1", "\x16\x03\x01", "\x06", "\x08", "\x00"} {
		_, _, err := NewServer(ServerConfig{Random: randomBytes(1)}).Feed([]byte(first))
		if !errors.Is(err, ErrProtocol) {
			t.Errorf("%q: err = %v, want ErrProtocol", first, err)
		}
	}
}

func FuzzHandshake(f *testing.F) {
	f.Add(AppendC0C1(nil, 1, DigestFirst, randomBytes(1)))
	f.Add(AppendC0C1(nil, 1, DigestSecond, randomBytes(2)))
	f.Add(AppendC0C1(nil, 1, DigestNone, randomBytes(3)))
	random := randomBytes(4)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 1537 {
			return
		}
		s, _, err := AppendS0S1S2(nil, b[:1537], 5, random)
		if err != nil {
			return
		}
		if c2, err := AppendC2(nil, s[:1537], 6, random); err != nil || len(c2) != 1536 {
			t.Fatalf("our own S0S1 is refused: %v", err)
		}
		if c2, err := AppendC2(nil, b[:1537], 6, random); err != nil || len(c2) != 1536 {
			t.Fatalf("S0S1: %v", err)
		}
	})
}
