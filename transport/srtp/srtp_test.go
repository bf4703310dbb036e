package srtp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RFC 7714 gives session keys, so its vectors go in below the key derivation.
func rfcSuite(t testing.TB) *suite {
	t.Helper()
	key := unhex(t, "000102030405060708090a0b0c0d0e0f")
	s := &suite{}
	var err error
	if s.rtp, err = newGCM(key); err != nil {
		t.Fatal(err)
	}
	s.rtcp = s.rtp
	copy(s.rtpSalt[:], "Quid pro quo")
	copy(s.rtcpSalt[:], "Quid pro quo")
	return s
}

func opener(s *suite) *Opener {
	o := NewOpener()
	for i := range o.suites {
		o.suites[i] = s
	}
	return o
}

// RFC 3711 Appendix B.3.
func TestKeyDerivationVector(t *testing.T) {
	key, salt := unhex(t, "e1f97a0d3e018be0d64fa32c06de4139"), unhex(t, "0ec675ad498afeebb6960b3aabe6")
	for _, c := range []struct {
		label byte
		want  string
	}{
		{labelRTPKey, "c61e7a93744f39ee10734afe3ff7a087"},
		{labelRTPSalt, "30cbbc08863d8c85d49db34a9ae1"},
		{1, "cebe321f6ff7716b6fd4ab49af256a156d38baa4"},
	} {
		out := make([]byte, len(c.want)/2)
		if err := derive(out, key, salt, c.label); err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(out); got != c.want {
			t.Errorf("label %d: got %s, want %s", c.label, got, c.want)
		}
	}
}

// RFC 7714 §16.1: "Gallia est omnis divisa in partes tres".
func TestRTPVector(t *testing.T) {
	plain := unhex(t, "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573")
	sealed := "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce"
	s := rfcSuite(t)
	var nonce [nonceSize]byte
	rtpNonce(&nonce, &s.rtpSalt, 0x5501a0b2, 0xf17b)
	if got := hex.EncodeToString(nonce[:]); got != "51753c6580c2726f20718414" {
		t.Errorf("nonce = %s", got)
	}
	c := &Sealer{s: s}
	got, err := c.SealRTP(append([]byte("dgram"), plain...), 5, 0xf17b)
	if err != nil || hex.EncodeToString(got[5:]) != sealed {
		t.Errorf("sealed = %x, %v\nwant %s", got[5:], err, sealed)
	}
	o := opener(s)
	o.rtp.highest = 0xf000
	out, index, err := o.OpenRTP(nil, unhex(t, sealed), false)
	if err != nil || index != 0xf17b || !bytes.Equal(out, plain[12:]) {
		t.Errorf("opened = %q at %x, %v", out, index, err)
	}
}

// RFC 7714 §17.1.
func TestRTCPVector(t *testing.T) {
	plain := unhex(t, "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef")
	sealed := "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4"
	s := rfcSuite(t)
	c := &Sealer{s: s, nextRTCP: 0x5d4}
	got, err := c.SealRTCP(bytes.Clone(plain), 0)
	if err != nil || hex.EncodeToString(got) != sealed {
		t.Errorf("sealed = %x, %v\nwant %s", got, err, sealed)
	}
	out, err := opener(s).OpenRTCP(nil, unhex(t, sealed))
	if err != nil || !bytes.Equal(out, plain) {
		t.Errorf("opened = %x, %v", out, err)
	}
}

func keys(n byte) (k Keys) {
	for i := range k.Key {
		k.Key[i] = n + byte(i)
	}
	for i := range k.Salt {
		k.Salt[i] = n * byte(i+3)
	}
	return k
}

func pair(t testing.TB) (*Sealer, *Opener) {
	t.Helper()
	c, err := NewSealer(keys(1))
	if err != nil {
		t.Fatal(err)
	}
	o := NewOpener()
	if err := o.SetKeys(0, keys(1)); err != nil {
		t.Fatal(err)
	}
	return c, o
}

func rtp(index int64, ssrc uint32, payload string) []byte {
	b := []byte{0x80, 96}
	b = binary.BigEndian.AppendUint16(b, uint16(index))
	b = binary.BigEndian.AppendUint32(b, 77)
	b = binary.BigEndian.AppendUint32(b, ssrc)
	return append(b, payload...)
}

func seal(t testing.TB, c *Sealer, index int64, ssrc uint32) []byte {
	t.Helper()
	b, err := c.SealRTP(rtp(index, ssrc, "payload"), 0, index)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReplayWindow(t *testing.T) {
	c, o := pair(t)
	packets := map[int64][]byte{}
	for _, i := range []int64{0, 1, 2, 5, 900, 901, 4096, 4997, 10000, 40000, 65535, 65536, 70000} {
		packets[i] = seal(t, c, i, 0x10)
	}
	for _, step := range []struct {
		why   string
		index int64
		want  error
	}{
		{"first", 0, nil},
		{"again", 0, ErrReplayed},
		{"gap", 5, nil},
		{"filled later", 2, nil},
		{"and not twice", 2, ErrReplayed},
		{"jump within the window", 4096, nil},
		{"just outside of the window of 4096", 0, ErrReplayed},
		{"just inside", 1, nil},
		{"jump", 4997, nil},
		{"902 in: oldest that counts", 900 + 2 - 1, ErrReplayed},
		{"jump over the whole window", 10000, nil},
		{"old", 900, ErrReplayed},
		{"up to the wrap", 40000, nil},
		{"wrap", 65536, nil},
		{"back over the wrap", 65535, nil},
		{"on", 70000, nil},
	} {
		p, ok := packets[step.index]
		if !ok {
			fresh, _ := NewSealer(keys(1))
			p = seal(t, fresh, step.index, 0x10)
		}
		_, index, err := o.OpenRTP(nil, p, false)
		if !errors.Is(err, step.want) || err == nil && index != step.index {
			t.Errorf("%s: index %d: got %d, %v, want %v", step.why, step.index, index, err, step.want)
		}
	}
}

// After an outage of more than half a lap the tag decides which ROC it is.
func TestRolloverAfterOutage(t *testing.T) {
	c, o := pair(t)
	if _, _, err := o.OpenRTP(nil, seal(t, c, 60000, 0x10), true); err != nil {
		t.Fatal(err)
	}
	far := seal(t, c, 60000+65536+100, 0x10)
	if _, _, err := o.OpenRTP(nil, far, false); !errors.Is(err, ErrAuth) {
		t.Errorf("nearest ROC: got %v, want %v", err, ErrAuth)
	}
	if _, index, err := o.OpenRTP(nil, far, true); err != nil || index != 60000+65536+100 {
		t.Errorf("after an outage: got %d, %v", index, err)
	}
	if _, _, err := o.OpenRTP(nil, far, true); err == nil {
		t.Error("a replay passed because an outage was assumed")
	}
}

func TestSealerRefusesNonceReuse(t *testing.T) {
	c, _ := pair(t)
	seal(t, c, 7, 0x10)
	for _, i := range []int64{7, 6, -1, 1 << 48} {
		if _, err := c.SealRTP(rtp(i, 0x10, "x"), 0, i); !errors.Is(err, ErrExhausted) {
			t.Errorf("index %d: got %v, want %v", i, err, ErrExhausted)
		}
	}
}

func TestRekeyByEpoch(t *testing.T) {
	c, o := pair(t)
	old := seal(t, c, 0, 0x10)
	if err := c.SetKeys(keys(2)); err != nil {
		t.Fatal(err)
	}
	next := seal(t, c, 1, 0x11)
	if _, _, err := o.OpenRTP(nil, next, false); !errors.Is(err, ErrNoKey) {
		t.Errorf("before the key is known: got %v, want %v", err, ErrNoKey)
	}
	if err := o.SetKeys(1, keys(2)); err != nil {
		t.Fatal(err)
	}
	for _, p := range [][]byte{next, old} { // reordered across the change: both still open
		if _, _, err := o.OpenRTP(nil, p, false); err != nil {
			t.Errorf("after the change: %v", err)
		}
	}
	if err := o.SetKeys(2, keys(3)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.OpenRTP(nil, old, false); !errors.Is(err, ErrNoKey) {
		t.Errorf("two epochs later: got %v, want %v", err, ErrNoKey)
	}
}

// Whatever is changed in a packet, it does not open, and the opener is none the worse for it.
func TestTampered(t *testing.T) {
	c, o := pair(t)
	rng := rand.New(rand.NewPCG(1, 2))
	good := seal(t, c, 3, 0x10)
	rtcp, err := c.SealRTCP(unhex(t, "8fcd000200000010000000aa"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		b := bytes.Clone(good)
		b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
		if _, _, err := o.OpenRTP(nil, b, rng.IntN(2) == 0); err == nil {
			t.Fatalf("opened the tampered %x", b)
		}
		b = bytes.Clone(rtcp)
		b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
		if _, err := o.OpenRTCP(nil, b); err == nil {
			t.Fatalf("opened the tampered %x", b)
		}
	}
	for n := range good {
		if _, _, err := o.OpenRTP(nil, good[:n], false); err == nil {
			t.Fatalf("opened %d of %d bytes", n, len(good))
		}
	}
	if _, _, err := o.OpenRTP(nil, good, false); err != nil {
		t.Errorf("the good packet afterwards: %v", err)
	}
	if _, err := o.OpenRTCP(nil, rtcp); err != nil {
		t.Errorf("the good report afterwards: %v", err)
	}
	if _, err := o.OpenRTCP(nil, rtcp); !errors.Is(err, ErrReplayed) {
		t.Errorf("a replayed report: got %v, want %v", err, ErrReplayed)
	}
}

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Log("allocation counts mean nothing under the race detector")
		return
	}
	c, o := pair(t)
	buf := make([]byte, 0, 1500)
	out := make([]byte, 0, 1500)
	body := bytes.Repeat([]byte{5}, 1160)
	var index int64
	head := rtp(0, 0x10, "")
	report := unhex(t, "8fcd000200000010000000aa")
	if n := testing.AllocsPerRun(200, func() {
		binary.BigEndian.PutUint16(head[2:], uint16(index))
		buf = append(append(buf[:0], head...), body...)
		buf, _ = c.SealRTP(buf, 0, index)
		if _, _, err := o.OpenRTP(out[:0], buf, false); err != nil {
			t.Fatal(err)
		}
		index++
		buf, _ = c.SealRTCP(append(buf[:0], report...), 0)
		if _, err := o.OpenRTCP(out[:0], buf); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a packet, want 0", n)
	}
}

func FuzzOpen(f *testing.F) {
	c, _ := pair(f)
	f.Add(seal(f, c, 0, 0x10), false)
	f.Add(seal(f, c, 70000, 0x10), true)
	rtcp, _ := c.SealRTCP(unhex(f, "8fcd000200000010000000aa"), 0)
	f.Add(rtcp, false)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, b []byte, outage bool) {
		_, o := pair(t)
		if out, _, err := o.OpenRTP(nil, b, outage); err != nil && len(out) != 0 {
			t.Fatal("output beside an error")
		}
		if out, err := o.OpenRTCP(nil, b); err != nil && len(out) != 0 {
			t.Fatal("output beside an error")
		}
	})
}

func BenchmarkSealRTP(b *testing.B) {
	c, _ := pair(b)
	buf := make([]byte, 0, 1500)
	p := rtp(0, 0x10, string(make([]byte, 1160)))
	var i int64
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		binary.BigEndian.PutUint16(p[2:], uint16(i))
		buf, _ = c.SealRTP(append(buf[:0], p...), 0, i)
		i++
	}
}

func BenchmarkOpenRTP(b *testing.B) {
	c, o := pair(b)
	p, _ := c.SealRTP(rtp(0, 0x10, string(make([]byte, 1160))), 0, 0)
	out := make([]byte, 0, 1500)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		o.rtp = replay{highest: -1}
		if _, _, err := o.OpenRTP(out[:0], p, false); err != nil {
			b.Fatal(err)
		}
	}
}
