package fec

import (
	"bytes"
	"testing"
)

func TestConfigNamesTheField(t *testing.T) {
	for _, c := range []Config{{Symbols: 100}, {Symbols: 64}, {Symbols: 8192}, {SymbolBytes: 10}, {SymbolBytes: 70000}, {Equations: 500}, {Equations: -1}} {
		if c.Validate() == nil {
			t.Errorf("%+v is accepted", c)
		}
		if _, err := NewEncoder(c); err == nil {
			t.Errorf("NewEncoder(%+v) is accepted", c)
		}
		if _, err := NewDecoder(c); err == nil {
			t.Errorf("NewDecoder(%+v) is accepted", c)
		}
	}
	var c Config
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if e, d := c.EncoderBytes(), c.DecoderBytes(); e > 400<<10 || d > 432<<10 {
		t.Errorf("default bounds = %d KiB, %d KiB, want ≤ 400, 432", e>>10, d>>10)
	} else {
		t.Logf("default bounds: encoder %d KiB, decoder %d KiB", e>>10, d>>10)
	}
}

func TestEncoderRing(t *testing.T) {
	e, err := NewEncoder(Config{Symbols: 128, SymbolBytes: 64})
	if err != nil {
		t.Fatal(err)
	}
	if e.Put(-1, []byte{1}) || e.Put(0, nil) || e.Put(0, make([]byte, 63)) {
		t.Error("negative, empty or long payload is accepted")
	}
	for seq := range int64(200) {
		if !e.Put(seq, bytes.Repeat([]byte{byte(seq)}, int(seq%60)+1)) {
			t.Fatalf("Put(%d) refused", seq)
		}
	}
	for _, c := range []struct {
		why   string
		base  int64
		count int
		row   int
		want  bool
	}{
		{"oldest kept", 72, 128, 0, true},
		{"one too old", 71, 2, 0, false},
		{"past the newest", 199, 2, 0, false},
		{"newest", 199, 1, 127, true},
		{"no row 128", 199, 1, 128, false},
		{"no row -1", 199, 1, -1, false},
		{"empty", 199, 0, 0, false},
		{"too wide", 72, 129, 0, false},
	} {
		got, ok := e.AppendRepair([]byte("head"), c.base, c.count, c.row)
		if ok != c.want || string(got[:4]) != "head" || !ok && len(got) != 4 {
			t.Errorf("%s: AppendRepair = %d bytes, %v, want %v", c.why, len(got), ok, c.want)
		}
	}
	if p := e.Payload(150); len(p) != 31 || p[0] != 150 {
		t.Errorf("Payload(150) = %v", p)
	}
	if e.Payload(71) != nil || e.Payload(200) != nil || e.Payload(-1) != nil {
		t.Error("a payload outside the ring is lent")
	}
	if !e.Put(205, []byte{1}) || e.Covers(199, 1) || e.Covers(204, 2) || !e.Covers(205, 1) {
		t.Error("a gap does not start the ring anew")
	}
}

func TestNextRowComesRound(t *testing.T) {
	e, _ := NewEncoder(Config{})
	for i := range 300 {
		if got := e.NextRow(); got != i%128 {
			t.Fatalf("row %d of the sequence = %d", i, got)
		}
	}
}
