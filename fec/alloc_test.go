package fec

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
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
	for _, loss := range []float64{0.1, 0.2} {
		if n := testing.AllocsPerRun(2000, func() { s.frame(loss) }); n != 0 {
			t.Errorf("%v allocations a frame at %g %% loss, want 0", n, 100*loss)
		}
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

// At 20 % loss a frame of 14 packets costs up to 6 more: G10 allows 0.05 % of a core for encoding a stream of 4 Mbit/s and 30 frames/s, and
// 0.2 % for decoding it.
const lossyRepairs = 6

// reportCore reports the processor's time, which is not the clock's on a machine that has other work, and beside it what
// multiplying the bytes alone takes here and now: kernels runs of the kernel over a symbol in b.N frames. That is the floor.
func reportCore(b *testing.B, from time.Duration, kernels uint64) {
	spent := threadTime() - from
	if spent <= 0 { // a system that does not tell
		spent = b.Elapsed()
	}
	b.ReportMetric(100*30*spent.Seconds()/float64(b.N), "%core/stream")
	b.ReportMetric(float64(kernels)/float64(b.N), "kernels/op")
	var dst, src symbol
	dst.reserve(1200, 1200)
	src.reserve(1200, 1200)
	src.n = 1200
	const runs = 100_000
	begin, clock := threadTime(), time.Now()
	for range runs {
		dst.add(77, &src)
	}
	one := threadTime() - begin
	if one <= 0 {
		one = time.Since(clock)
	}
	if floor := one.Seconds() / runs * float64(kernels); floor > 0 {
		b.ReportMetric(spent.Seconds()/floor, "×kernel")
	}
}

func BenchmarkEncode20(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := newStream(b)
	b.ReportAllocs()
	from := threadTime()
	for b.Loop() {
		base := s.seq
		for range 14 {
			s.e.Put(s.seq, s.payload)
			s.seq++
		}
		for range lossyRepairs {
			s.repair, _ = s.e.AppendRepair(s.repair[:0], base, 14, s.e.NextRow())
		}
	}
	reportCore(b, from, uint64(b.N*14*lossyRepairs))
}

// BenchmarkDecode20 is the receiver alone: one packet in five does not come, source or repair.
func BenchmarkDecode20(b *testing.B) {
	s := newStream(b)
	for s.seq%14 > 0 || s.seq%128 > 0 { // the same payload in every packet: a repair depends on its base modulo 128 and its row alone
		s.e.Put(s.seq, s.payload)
		s.d.Source(s.seq, s.payload)
		s.seq++
	}
	var repairs [64][lossyRepairs][]byte // 64 frames of 14 are a multiple of 128
	for i := range repairs {
		base := s.seq
		for range 14 {
			s.e.Put(s.seq, s.payload)
			s.d.Source(s.seq, s.payload)
			s.seq++
		}
		for row := range repairs[i] {
			repairs[i][row], _ = s.e.AppendRepair(nil, base, 14, row)
		}
	}
	var lost [1 << 12]bool
	for i := range lost {
		lost[i] = s.r.Float64() < 0.2
	}
	s.solved = 0
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b.ReportAllocs()
	n, frames := 0, 0
	from := threadTime()
	for b.Loop() {
		base := s.seq
		for range 14 {
			if n++; !lost[n%len(lost)] {
				s.d.Source(s.seq, s.payload)
			}
			s.seq++
		}
		for row, r := range repairs[frames%len(repairs)] {
			if n++; !lost[n%len(lost)] {
				s.d.Repair(base, 14, row, r)
			}
			for {
				if _, _, ok := s.d.Recovered(); !ok {
					break
				}
				s.solved++
			}
		}
		frames++
	}
	reportCore(b, from, uint64(s.solved*14)) // of n symbols, m missing: m equations with n-m known ones each, and m² to solve them
	if frames > 100 && (s.solved < 2*frames || s.d.Stats().Corrupt > 0) {
		b.Errorf("%d symbols solved in %d frames, %d corrupt", s.solved, frames, s.d.Stats().Corrupt)
	}
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
