package fec

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// pair is an encoder with n random payloads, and an empty decoder.
type pair struct {
	e        *Encoder
	d        *Decoder
	payloads map[int64][]byte
}

func newPair(t testing.TB, cfg Config, r *rand.Rand, start int64, n, maxLen int) *pair {
	t.Helper()
	e, err := NewEncoder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{e, d, map[int64][]byte{}}
	for i := range n {
		b := make([]byte, 1+r.IntN(maxLen))
		for j := range b {
			b[j] = byte(r.Uint32())
		}
		seq := start + int64(i)
		p.payloads[seq] = b
		if !e.Put(seq, b) {
			t.Fatalf("Put(%d) refused", seq)
		}
	}
	return p
}

func (p *pair) repair(t testing.TB, base int64, count, row int) DropReason {
	t.Helper()
	b, ok := p.e.AppendRepair(nil, base, count, row)
	if !ok {
		t.Fatalf("AppendRepair(%d, %d, %d) refused", base, count, row)
	}
	return p.d.Repair(base, count, row, b)
}

// drain pops what was recovered, checks it against what was sent, and returns the sequence numbers.
func (p *pair) drain(t testing.TB) []int64 {
	t.Helper()
	var got []int64
	for {
		seq, b, ok := p.d.Recovered()
		if !ok {
			return got
		}
		if !bytes.Equal(b, p.payloads[seq]) {
			t.Fatalf("recovered %d = %x, want %x", seq, b, p.payloads[seq])
		}
		if slices.Contains(got, seq) {
			t.Fatalf("%d is recovered twice", seq)
		}
		got = append(got, seq)
	}
}

// checkSum is the books of the decoder: every repair that was kept has become something.
func checkSum(t testing.TB, d *Decoder) {
	t.Helper()
	s := d.Stats()
	if s.Repairs != s.Recovered+s.Late+s.Corrupt+s.Abandoned+uint64(d.Pending()) {
		t.Fatalf("repairs %d ≠ recovered %d + late %d + corrupt %d + abandoned %d + pending %d",
			s.Repairs, s.Recovered, s.Late, s.Corrupt, s.Abandoned, d.Pending())
	}
}

func TestEveryPatternOfSmallBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	largest := 12
	if testing.Short() {
		largest = 9
	}
	for k := 1; k < largest; k++ {
		for m := 1; k+m <= largest; m++ {
			for lost := range uint32(1) << (k + m) {
				start := 1 + int64(r.IntN(1<<17))
				p := newPair(t, Config{Symbols: 128, SymbolBytes: 64}, r, start, k, 20)
				row := r.IntN(128)
				p.d.Source(start-1, []byte{1}) // the stream has begun
				received, missing := 0, 0
				for i := range k {
					if lost>>i&1 != 0 {
						missing++
						continue
					}
					received++
					p.d.Source(start+int64(i), p.payloads[start+int64(i)])
				}
				for i := range m {
					if lost>>(k+i)&1 == 0 {
						received++
						p.repair(t, start, k, (row+i)%128)
					}
				}
				got := p.drain(t)
				want := 0
				if received >= k {
					want = missing
				}
				if len(got) != want {
					t.Fatalf("k %d m %d lost %b: recovered %v, want %d", k, m, lost, got, want)
				}
				checkSum(t, p.d)
			}
		}
	}
}

// TestRandomBlocks: any e ≤ 128 losses in any range are mended by e repairs with any different rows, mixed in any order.
func TestRandomBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	rounds := 1500
	if testing.Short() {
		rounds = 60
	}
	for range rounds {
		k := 1 + r.IntN(128)
		start := 1 + r.Int64N(1<<32)
		p := newPair(t, Config{}, r, start, k, 40)
		p.d.Source(start-1, []byte{1})
		e := 1 + r.IntN(k)
		perm := r.Perm(k)
		rows := r.Perm(128)
		type arrival struct {
			seq int64
			row int
		}
		var in []arrival
		for _, i := range perm[e:] {
			in = append(in, arrival{start + int64(i), -1})
		}
		for _, row := range rows[:e] {
			in = append(in, arrival{0, row})
		}
		r.Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
		for _, a := range in {
			if a.row >= 0 {
				if why := p.repair(t, start, k, a.row); why != Kept {
					t.Fatalf("k %d e %d row %d: %v", k, e, a.row, why)
				}
			} else if why := p.d.Source(a.seq, p.payloads[a.seq]); why != Kept {
				t.Fatalf("k %d e %d source: %v", k, e, why)
			}
		}
		if got := p.drain(t); len(got) != e {
			t.Fatalf("k %d e %d: recovered %d", k, e, len(got))
		}
		checkSum(t, p.d)
		if p.d.Pending() != 0 {
			t.Fatalf("%d equations are left over", p.d.Pending())
		}
		for _, row := range rows[:e] {
			if why := p.repair(t, start, k, row); why != DropNotNeeded {
				t.Fatalf("a repair nobody needs: %v", why)
			}
		}
	}
}

func TestStory(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	p := newPair(t, Config{}, r, 100, 100, 50)
	d := p.d
	if why := p.repair(t, 100, 4, 0); why != DropAhead {
		t.Errorf("a repair before the first source symbol: %v", why)
	}
	for _, seq := range []int64{100, 102, 103} {
		d.Source(seq, p.payloads[seq])
	}
	p.repair(t, 100, 6, 7) // 101, 104, 105 are missing
	if why := p.repair(t, 100, 6, 7); why != DropDependent {
		t.Errorf("the same repair again: %v", why)
	}
	if got := p.drain(t); got != nil {
		t.Errorf("recovered %v from one equation with three unknowns", got)
	}
	d.Source(101, p.payloads[101]) // a late original, the oldest unknown of the equation
	p.repair(t, 104, 3, 8)         // 104, 105, 106: parity that begins elsewhere
	p.repair(t, 100, 6, 9)         // parity grows
	if got := p.drain(t); !slices.Equal(got, []int64{104, 105, 106}) && len(got) != 3 {
		t.Errorf("recovered %v, want 104, 105, 106", got)
	}
	if why := d.Source(105, p.payloads[105]); why != DropDuplicate {
		t.Errorf("an original after its recovery: %v", why)
	}
	// Expired: solved for the sake of others, not reported.
	d.Source(110, p.payloads[110])
	d.Expire(109)
	p.repair(t, 107, 3, 10)
	p.repair(t, 107, 3, 11)
	p.repair(t, 107, 3, 12)
	if got := p.drain(t); !slices.Equal(got, []int64{109}) {
		t.Errorf("recovered %v, want 109 only", got)
	}
	s := d.Stats()
	if s.Recovered != 4 || s.Late != 2 || s.Dropped[DropAhead] != 1 || s.Dropped[DropDependent] != 1 || s.Dropped[DropDuplicate] != 1 {
		t.Errorf("stats = %+v", s)
	}
	checkSum(t, d)
}

func TestDropsHaveReasons(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	p := newPair(t, Config{Symbols: 128, SymbolBytes: 128}, r, 0, 100, 100)
	d := p.d
	for seq := range int64(50) {
		d.Source(seq, p.payloads[seq])
	}
	one := []byte{0, 1, 2, 3}
	for _, c := range []struct {
		why  string
		got  DropReason
		want DropReason
	}{
		{"count 0", d.Repair(10, 0, 0, one), DropRange},
		{"count 129", d.Repair(10, 129, 0, one), DropRange},
		{"row 128", d.Repair(10, 1, 128, one), DropRange},
		{"row -1", d.Repair(10, 1, -1, one), DropRange},
		{"base -1", d.Repair(-1, 2, 0, one), DropRange},
		{"base of all bits", d.Repair(1<<63-1, 2, 0, one), DropRange},
		{"no bytes", d.Repair(10, 1, 0, nil), DropLength},
		{"too many bytes", d.Repair(10, 1, 0, make([]byte, 129)), DropLength},
		{"shorter than what it covers", d.Repair(0, 51, 0, one), DropLength},
		{"far ahead", d.Repair(1000, 1, 0, one), DropAhead},
		{"just too far ahead", d.Repair(51, 128, 0, one), DropAhead},
		{"nothing missing", d.Repair(10, 3, 0, make([]byte, 128)), DropNotNeeded},
		{"source -1", d.Source(-1, one), DropRange},
		{"source of all bits", d.Source(1<<63-1, one), DropRange},
		{"empty source", d.Source(60, nil), DropLength},
		{"long source", d.Source(60, make([]byte, 127)), DropLength},
		{"source again", d.Source(3, one), DropDuplicate},
		{"a source far ahead moves the window", d.Source(500, one), Kept},
		{"and then the rest is old", d.Source(372, one), DropOld},
		{"repairs too", d.Repair(372, 2, 0, one), DropOld},
		{"just not", d.Repair(373, 2, 0, one), Kept},
		{"which contradicts", d.Repair(373, 2, 0, []byte{0, 1, 2, 4}), DropConflict},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.why, c.got, c.want)
		}
	}
	s := d.Stats()
	total := uint64(0)
	for r, n := range s.Dropped {
		total += n
		if n > 0 && DropReason(r).String() == "unknown" {
			t.Errorf("reason %d has no name", r)
		}
	}
	if total != 20 || s.Dropped[Kept] != 0 {
		t.Errorf("dropped = %v", s.Dropped)
	}
	if len(dropNames) != DropReasons {
		t.Errorf("%d names for %d reasons", len(dropNames), DropReasons)
	}
	checkSum(t, d)
}

// TestFalseRepairs: what a liar sends is caught by the length and the padding, or by contradiction, and is counted.
func TestFalseRepairs(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	delivered := uint64(0)
	for range 2000 {
		p := newPair(t, Config{Symbols: 128, SymbolBytes: 128}, r, 1, 20, 100)
		p.d.Source(0, []byte{1})
		for seq := int64(1); seq <= 20; seq++ {
			if seq != 7 {
				p.d.Source(seq, p.payloads[seq])
			}
		}
		false1 := make([]byte, 102+r.IntN(20))
		for i := range false1 {
			false1[i] = byte(r.Uint32())
		}
		p.d.Repair(1, 20, r.IntN(128), false1)
		if _, _, ok := p.d.Recovered(); ok {
			delivered++
		}
		s := p.d.Stats()
		if s.Recovered+s.Corrupt != 1 {
			t.Fatalf("stats = %+v", s)
		}
		checkSum(t, p.d)
	}
	if delivered > 4 { // a length of 16 random bits fits, with no padding to betray it, about once in 65536/1
		t.Errorf("%d of 2000 random repairs were delivered", delivered)
	}
}

func TestMemoryBoundHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	cfg := Config{}
	for name, feed := range map[string]func(d *Decoder, i int){
		"repairs only": func(d *Decoder, i int) {
			d.Repair(int64(i/2), 1+r.IntN(128), r.IntN(128), make([]byte, 1472))
		},
		"every second source": func(d *Decoder, i int) {
			d.Source(int64(2*i), make([]byte, 1470))
			d.Repair(int64(max(0, 2*i-127)), 128, i%128, make([]byte, 1472))
		},
		"random everything": func(d *Decoder, i int) {
			if r.IntN(2) == 0 {
				d.Source(int64(i+r.IntN(300)), make([]byte, 1+r.IntN(1470)))
			}
			d.Repair(int64(i+r.IntN(300)), 1+r.IntN(128), r.IntN(128), make([]byte, 2+r.IntN(1470)))
		},
	} {
		d, _ := NewDecoder(cfg)
		d.Source(0, []byte{1})
		for i := range 3000 {
			feed(d, i)
			if i%100 == 0 {
				checkSum(t, d)
			}
		}
		if got, bound := memoryOf(d), cfg.DecoderBytes(); got > bound {
			t.Errorf("%s: %d bytes, bound %d", name, got, bound)
		} else {
			t.Logf("%s: %d KiB of %d; %+v", name, got>>10, bound>>10, d.Stats())
		}
	}
}

func memoryOf(d *Decoder) int {
	n := len(d.row.buf) + len(d.row.coef) + cap(d.solved)*8 + cap(d.eqs)*4 + cap(d.settled)*16
	for i := range d.free {
		n += len(d.free[i].buf)
	}
	for i := range d.ring {
		n += len(d.ring[i].buf) + len(d.ring[i].coef) + 72
	}
	for _, c := range d.spare {
		n += len(c)
	}
	return n
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte{0, 0, 0, 5, 1, 0, 4, 3, 9, 1, 2, 3})
	f.Add([]byte{0, 10, 0, 0, 12, 0, 1, 8, 5, 1, 1, 8, 5, 2, 1, 8, 5, 3, 0, 9, 0, 2, 50})
	f.Add([]byte{1, 255, 127, 127, 3, 200, 255, 1, 0, 127, 0})
	f.Add([]byte{0, 1, 1, 0, 2, 3, 255, 4, 6, 0, 128, 127, 9, 5, 2, 200})
	// Each op: a kind, then its arguments. Sources and true repairs come from one encoder, lies from the input; while
	// nothing was a lie, what is recovered must be what was sent.
	f.Fuzz(func(t *testing.T, in []byte) {
		r := rand.New(rand.NewPCG(1, uint64(len(in))))
		p := newPair(t, Config{Symbols: 128, SymbolBytes: 96, Equations: 16}, r, 0, 128, 90)
		honest := true
		next := func() int {
			if len(in) == 0 {
				return 0
			}
			b := in[0]
			in = in[1:]
			return int(b)
		}
		for len(in) > 0 {
			switch next() % 6 {
			case 0:
				seq := int64(next() % 128)
				p.d.Source(seq, p.payloads[seq])
			case 1, 2:
				base, count := next()%128, next()
				count = 1 + count%(128-base)
				p.repair(t, int64(base), count, next()%128)
			case 3: // a lie
				honest = false
				base := int64(int8(next())) << (next() % 64)
				n := next()
				p.d.Repair(base, next(), next()-5, in[:min(n, len(in))])
			case 4:
				honest = false
				base := int64(next())<<(next()%64) - 3
				n := next()
				p.d.Source(base, in[:min(n, len(in))])
			case 5:
				p.d.Expire(int64(next()))
			}
			for {
				seq, b, ok := p.d.Recovered()
				if !ok {
					break
				}
				if honest && !bytes.Equal(b, p.payloads[seq]) {
					t.Fatalf("recovered %d = %x, want %x", seq, b, p.payloads[seq])
				}
			}
			checkSum(t, p.d)
		}
		if s := p.d.Stats(); honest && (s.Corrupt > 0 || s.Dropped[DropConflict] > 0) {
			t.Fatalf("honest input, but %+v", s)
		}
		if got := memoryOf(p.d); got > (Config{Symbols: 128, SymbolBytes: 96, Equations: 16}).DecoderBytes() {
			t.Fatalf("%d bytes are above the bound", got)
		}
	})
}
