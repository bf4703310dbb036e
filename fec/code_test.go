package fec

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

// mulSlow multiplies in GF(2^8) modulo 0x11D bit by bit: the reference.
func mulSlow(a, b byte) byte {
	var p uint16
	for i := range 8 {
		if b>>i&1 != 0 {
			p ^= uint16(a) << i
		}
	}
	for i := 15; i >= 8; i-- {
		if p>>i&1 != 0 {
			p ^= 0x11d << (i - 8)
		}
	}
	return byte(p)
}

func TestFieldIsTheOneOfTheComment(t *testing.T) {
	in := make([]byte, 256)
	for i := range in {
		in[i] = byte(i)
	}
	out := make([]byte, 256)
	for c := range 256 {
		if c > 0 && mulSlow(byte(c), inverse(byte(c))) != 1 {
			t.Fatalf("inverse(%d) = %d", c, inverse(byte(c)))
		}
		clear(out)
		kernel.GalMulSliceXor(byte(c), in, out)
		for i, got := range out {
			if want := mulSlow(byte(c), byte(i)); got != want {
				t.Fatalf("%d·%d = %d, want %d", c, i, got, want)
			}
		}
	}
	for row := range MaxRows {
		for seq := range int64(300) {
			if x := mulSlow(Coef(row, seq), byte(128+row)^byte(seq%128)); x != 1 {
				t.Fatalf("Coef(%d, %d) = %d is no inverse", row, seq, Coef(row, seq))
			}
		}
	}
}

func TestSingle(t *testing.T) {
	coef := make([]byte, 256)
	for i := range coef {
		coef[i] = byte(i) | 1
		if !single(coef) {
			t.Fatalf("one at %d: not single", i)
		}
		for j := range coef {
			if j == i {
				continue
			}
			coef[j] = 128
			if single(coef) {
				t.Fatalf("two at %d, %d: single", i, j)
			}
			coef[j] = 0
		}
		coef[i] = 0
	}
}

// TestGoldenRepairs pins repair symbols byte for byte for encoders in other languages: testdata/repairs.txt explains
// itself. -update rewrites it.
func TestGoldenRepairs(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Repair symbols over GF(2^8)/0x11D, coef = 1/((128+row) xor (seq mod 128)).\n" +
		"# source SEQ PAYLOAD; repair BASE COUNT ROW SYMBOL; all bytes in hex. A source symbol is the 16-bit length of\n" +
		"# the payload, the payload, and zeros up to the longest symbol of the range.\n")
	for _, start := range []int64{0, 125, 65533, 1<<32 - 2} {
		e, err := NewEncoder(Config{})
		if err != nil {
			t.Fatal(err)
		}
		lengths := []int{5, 1, 12, 3, 8, 64}
		for i, n := range lengths {
			p := make([]byte, n)
			for j := range p {
				p[j] = byte(17*i + 29*j + int(start%251) + 1)
			}
			seq := start + int64(i)
			if !e.Put(seq, p) {
				t.Fatalf("Put(%d) refused", seq)
			}
			fmt.Fprintf(&b, "source %d %x\n", seq, p)
		}
		for count := 1; count <= 6; count++ {
			for _, row := range []int{0, 1, 2, 3, 127} {
				r, ok := e.AppendRepair(nil, start, count, row)
				if !ok {
					t.Fatalf("AppendRepair(%d, %d, %d) refused", start, count, row)
				}
				fmt.Fprintf(&b, "repair %d %d %d %x\n", start, count, row, r)
			}
		}
	}
	path := filepath.Join("testdata", "repairs.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Error("repair symbols differ from testdata/repairs.txt")
	}
}

// TestGoldenByHand checks one golden line against the slow multiplication, so that the file is right and not only stable.
func TestGoldenByHand(t *testing.T) {
	e, _ := NewEncoder(Config{})
	a, b := []byte{0xaa, 0xbb, 0xcc}, []byte{0x11}
	e.Put(127, a)
	e.Put(128, b)
	got, ok := e.AppendRepair(nil, 127, 2, 5)
	if !ok {
		t.Fatal("refused")
	}
	sa, sb := append([]byte{0, 3}, a...), append([]byte{0, 1}, b...)
	sb = append(sb, 0, 0)
	ca, cb := inverse(133^127), inverse(133) // columns 127 and 0
	want := make([]byte, 5)
	for i := range want {
		want[i] = mulSlow(ca, sa[i]) ^ mulSlow(cb, sb[i])
	}
	if !bytes.Equal(got, want) {
		t.Errorf("repair = %s, want %s", hex.EncodeToString(got), hex.EncodeToString(want))
	}
}
