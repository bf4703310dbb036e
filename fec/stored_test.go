package fec

import (
	"math/rand/v2"
	"testing"
)

// A decoder that remembers 512 symbols and keeps 320: frames of 14 packets with a fifth lost, mended after 200 packets and
// again after 400. What it recovers is what was sent, and frames that are whole give way before those that are not.
func TestDecoderShortOfMemory(t *testing.T) {
	for _, settle := range []bool{true, false} {
		r := rand.New(rand.NewPCG(7, 9))
		cfg := Config{Symbols: 512, Stored: 320, SymbolBytes: 128, Equations: 64}
		e, err := NewEncoder(cfg)
		if err != nil {
			t.Fatal(err)
		}
		d, err := NewDecoder(cfg)
		if err != nil {
			t.Fatal(err)
		}
		const k, frames = 14, 400
		sent := make([][]byte, k*frames)
		missing := func(f int) (n int) {
			for i := range k {
				if !d.Known(int64(f*k + i)) {
					n++
				}
			}
			return n
		}
		take := func() {
			for {
				seq, p, ok := d.Recovered()
				if !ok {
					return
				}
				if string(p) != string(sent[seq]) {
					t.Fatalf("packet %d is another", seq)
				}
			}
		}
		var buf []byte
		mend := func(f int) {
			if f < 0 {
				return
			}
			for range missing(f) {
				row := e.NextRow()
				buf, _ = e.AppendRepair(buf[:0], int64(f*k), k, row)
				if r.Float64() > 0.2 {
					d.Repair(int64(f*k), k, row, buf)
					take()
				}
			}
			if settle && missing(f) == 0 {
				d.Settle(int64(f*k), k)
			}
		}
		whole := 0
		for f := range frames {
			for i := range k {
				p := make([]byte, 20+r.IntN(80))
				for j := range p {
					p[j] = byte(r.Uint32())
				}
				sent[f*k+i] = p
				e.Put(int64(f*k+i), p)
				if r.Float64() > 0.2 {
					d.Source(int64(f*k+i), p)
				}
			}
			if settle && missing(f) == 0 {
				d.Settle(int64(f*k), k)
			}
			mend(f - 14)
			mend(f - 28)
			if f >= 30 && missing(f-30) == 0 {
				whole++
			}
			if got, bound := memoryOf(d), cfg.DecoderBytes(); got > bound {
				t.Fatalf("%d bytes, bound %d", got, bound)
			}
		}
		t.Logf("settled %v: %d of %d frames whole, %+v", settle, whole, frames-30, d.Stats())
		// Of frames sent twice without a reserve a tenth is not whole; without Settle the second time comes too late.
		if settle && whole < (frames-30)*85/100 {
			t.Errorf("%d of %d frames whole", whole, frames-30)
		}
	}
}
