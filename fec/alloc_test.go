package fec

import (
	"math/rand/v2"
	"testing"
)

// stream sends 14-packet frames of about 1200 bytes with 4 repairs each and loses one packet in ten.
type stream struct {
	e       *Encoder
	d       *Decoder
	r       *rand.Rand
	payload []byte
	repair  []byte
	seq     int64
	solved  int
}

func newStream(t testing.TB) *stream {
	t.Helper()
	e, err := NewEncoder(Config{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder(Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{e: e, d: d, r: rand.New(rand.NewPCG(1, 1)), payload: make([]byte, 1198)}
	s.d.Source(0, s.payload)
	s.e.Put(0, s.payload)
	s.seq = 1
	for range 2000 { // every buffer has grown
		s.frame(0.3)
	}
	return s
}

func (s *stream) frame(loss float64) {
	base := s.seq
	for range 14 {
		s.e.Put(s.seq, s.payload)
		if s.r.Float64() >= loss {
			s.d.Source(s.seq, s.payload)
		}
		s.seq++
	}
	for range 4 {
		row := s.e.NextRow()
		s.repair, _ = s.e.AppendRepair(s.repair[:0], base, 14, row)
		if s.r.Float64() >= loss {
			s.d.Repair(base, 14, row, s.repair)
		}
		for {
			if _, _, ok := s.d.Recovered(); !ok {
				break
			}
			s.solved++
		}
	}
}

func TestNoAllocationPerPacket(t *testing.T) {
	if raceEnabled {
		t.Log("not counted under the race detector")
		return
	}
	s := newStream(t)
	if n := testing.AllocsPerRun(2000, func() { s.frame(0.1) }); n != 0 {
		t.Errorf("%v allocations a frame, want 0", n)
	}
	if s.solved == 0 {
		t.Error("nothing was recovered")
	}
}

func BenchmarkKernel1200(b *testing.B) {
	var dst, src symbol
	dst.reserve(1200, 1200)
	src.reserve(1200, 1200)
	src.n = 1200
	b.SetBytes(1200)
	for b.Loop() {
		dst.add(77, &src)
	}
}

func BenchmarkAppendRepair14(b *testing.B) {
	s := newStream(b)
	b.ReportAllocs()
	for b.Loop() {
		s.repair, _ = s.e.AppendRepair(s.repair[:0], s.seq-14, 14, 3)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/14, "ns/symbol")
}

func BenchmarkPut(b *testing.B) {
	s := newStream(b)
	b.ReportAllocs()
	for b.Loop() {
		s.e.Put(s.seq, s.payload)
		s.seq++
	}
}

func BenchmarkSourceNoLoss(b *testing.B) {
	s := newStream(b)
	b.ReportAllocs()
	for b.Loop() {
		s.d.Source(s.seq, s.payload)
		s.seq++
	}
}

// BenchmarkFrame is sender and receiver together: 14 packets and 4 repairs of 1200 bytes, 10 % lost.
func BenchmarkFrame(b *testing.B) {
	s := newStream(b)
	b.ReportAllocs()
	for b.Loop() {
		s.frame(0.1)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/18, "ns/packet")
}

// BenchmarkWorstRepair is a repair over 128 symbols of which every one is the unknown of an equation.
func BenchmarkWorstRepair(b *testing.B) {
	e, _ := NewEncoder(Config{})
	payload := make([]byte, 1198)
	for seq := range int64(129) {
		payload[0] = byte(seq)
		e.Put(seq, payload)
	}
	var repairs [128][]byte
	for row := range repairs {
		repairs[row], _ = e.AppendRepair(nil, 1, 128, row)
	}
	d, _ := NewDecoder(Config{})
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		*d = Decoder{cfg: d.cfg, ring: d.ring, eqs: d.eqs[:0], solved: d.solved[:0], row: d.row, spare: d.spare, newest: d.newest}
		next := d.newest + 1000 // a fresh window
		next += 128 - next%128
		d.Source(next, payload)
		for row := range 127 {
			d.Repair(next+1, 128, row, repairs[row])
		}
		b.StartTimer()
		d.Repair(next+1, 128, 127, repairs[127])
	}
}
