package session

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/srtp"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// forger holds the publisher's keys: an authentic but malicious peer.
type forger struct {
	seal *srtp.Sealer
	next int64
	buf  []byte
}

func newForger(t testing.TB) *forger {
	s, err := srtp.NewSealer(masterKeys(1))
	if err != nil {
		t.Fatal(err)
	}
	return &forger{seal: s}
}

func (f *forger) packet(t testing.TB, body []byte) []byte {
	f.buf = append(wire.AppendRTP(f.buf[:0], wire.RTP{Sequence: uint16(f.next), SendTime: uint32(f.next * 1000)}), body...)
	b, err := f.seal.SealRTP(f.buf, 0, f.next)
	if err != nil {
		t.Fatal(err)
	}
	f.buf = b
	f.next++
	return b
}

func pair(t testing.TB, cfg Config) (*Sender, *Receiver) {
	w := newWorld(t, 1, cfg, nil, nil, video4M())
	return w.tx, w.rx
}

// stream is some seconds of sealed datagrams of an honest sender on a clean path.
func stream(t testing.TB, seconds int) (datagrams [][]byte, times []time.Duration) {
	cfg, up, down := grid(20*time.Millisecond, 200*time.Millisecond, 0, 0, 1)
	w := newWorld(t, 1, cfg, up, down, video4M())
	w.onUp = func(b []byte) {
		datagrams = append(datagrams, append([]byte(nil), b...))
		times = append(times, w.now)
	}
	w.run(time.Duration(seconds)*time.Second, true)
	return datagrams, times
}

// Bit flips, truncation, replays, strangers: counted, nothing delivered, nothing learned.
func TestTamperedAndReplayed(t *testing.T) {
	datagrams, times := stream(t, 2)
	_, honest := pair(t, Config{})
	_, attacked := pair(t, Config{})
	rng := rand.New(rand.NewPCG(1, 1))
	junk := 0
	delivered := [2]int{}
	for i, b := range datagrams {
		now := epoch.Add(times[i])
		honest.HandleDatagram(now, b)
		for range 3 {
			bad := append([]byte(nil), b...)
			switch rng.IntN(4) {
			case 0:
				bad[rng.IntN(len(bad))] ^= 1 << rng.IntN(8)
			case 1:
				bad = bad[:rng.IntN(len(bad))]
			case 2:
				bad = append([]byte(nil), datagrams[rng.IntN(i+1)]...) // seen before, or about to be
				if &bad[0] == &b[0] || string(bad) == string(b) {
					bad = bad[:20]
				}
			case 3:
				for j := range bad {
					bad[j] = byte(rng.Uint32())
				}
			}
			attacked.HandleDatagram(now, bad)
			junk++
		}
		attacked.HandleDatagram(now, b)
		for i, r := range []*Receiver{honest, attacked} {
			for {
				if _, ok := r.PopPayload(now); !ok {
					break
				}
				delivered[i]++
			}
		}
	}
	h, a := honest.Stats(), attacked.Stats()
	if delivered[0] == 0 || delivered[0] != delivered[1] || h.Delivered != a.Delivered || a.Lost != 0 {
		t.Errorf("delivered %d honest, %d under attack; %+v", delivered[0], delivered[1], a)
	}
	if int(a.Drops.Total()) != junk {
		t.Errorf("%d drops counted, want %d: %v", a.Drops.Total(), junk, a.Drops)
	}
}

// A publisher with valid keys that sends only what hurts: memory stays within what is promised, and what is counted adds up.
func TestMemoryIsBounded(t *testing.T) {
	const (
		fecAndARQ = 512 << 10
		slotBytes = 128
	)
	attacks := map[string]func(rng *rand.Rand, n int) []byte{
		"repairs only": func(rng *rand.Rand, n int) []byte {
			r := wire.Repair{Base: uint32(n), Count: 1 + rng.IntN(128), Row: rng.IntN(128)}
			return append(wire.AppendRepairHeader(nil, &r), random(rng, 1160)...)
		},
		"every second packet": func(rng *rand.Rand, n int) []byte {
			return source1(uint32(2*n), 0, random(rng, 1150))
		},
		"sequences at random": func(rng *rand.Rand, n int) []byte {
			return source1(rng.Uint32(), wire.Flags(rng.Uint32())&^wire.Start, random(rng, 1150))
		},
		"sources and repairs with absurd ranges": func(rng *rand.Rand, n int) []byte {
			if n%2 == 0 {
				return source1(uint32(n)*5, 0, random(rng, 1150))
			}
			r := wire.Repair{Base: uint32(n)*5 - 200 + uint32(rng.IntN(400)), Count: 1 + rng.IntN(128), Row: rng.IntN(128)}
			return append(wire.AppendRepairHeader(nil, &r), random(rng, 1+rng.IntN(1160))...)
		},
		"one endless frame": func(rng *rand.Rand, n int) []byte {
			f := wire.Flags(0)
			if n == 0 {
				f = wire.Start
			}
			return source1(uint32(n), f, random(rng, 1130))
		},
		"probes and abandonments": func(rng *rand.Rand, n int) []byte {
			if n%2 == 0 {
				return wire.AppendProbe(nil, rng.Uint32())
			}
			return wire.AppendAbandon(nil, wire.Abandon{Base: rng.Uint32() >> uint(rng.IntN(32)), Count: uint16(rng.Uint32())})
		},
	}
	count := 20000
	if testing.Short() {
		count = 3000
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(7, 7))
			f := newForger(t)
			before := heapBytes()
			_, r := pair(t, Config{Latency: 300 * time.Millisecond, MaxBitrate: 8 * congestion.Mbps})
			out := make([]byte, 0, 2048)
			for n := range count {
				now := epoch.Add(time.Duration(n) * 200 * time.Microsecond)
				r.HandleDatagram(now, f.packet(t, attack(rng, n)))
				out, _ = r.AppendDatagram(out[:0], now)
				for range 100 {
					if _, ok := r.PopPayload(now); !ok {
						break
					}
				}
			}
			used := int(heapBytes() - before)
			bound := fecAndARQ + r.cfg.packets()*(1<<11+slotBytes) + 1<<20 // the playout ring, and the largest frame it can hold
			t.Logf("%d KiB used, bound %d KiB; drops %v", used>>10, bound>>10, r.stats.Drops)
			if used > bound {
				t.Errorf("%d KiB used, want at most %d", used>>10, bound>>10)
			}
			if s := r.Stats(); s.Sent != uint64(r.buffer.Next()) {
				t.Errorf("%+v does not sum to the cursor %d", s, r.buffer.Next())
			}
			runtime.KeepAlive(r)
		})
	}
}

// What FEC and ARQ hold at most, by their own bounds.
func TestStateOfFECAndARQ(t *testing.T) {
	cfg := Config{}.withDefaults()
	d := cfg.decoderConfig()
	receiver := d.DecoderBytes() + recorderSize*32 + 2*wire.MaxMetrics + 4096
	sender := trackerPackets*48 + blockRing*int(unsafe.Sizeof(block{})) + (1024+256+1024)*40 + 2*cfg.packets()*40 + cfg.packets()*16
	t.Logf("receiver %d KiB, sender %d KiB beside its send buffer of %d packets", receiver>>10, sender>>10, cfg.packets())
	if receiver > 512<<10 {
		t.Errorf("a receiver may hold %d KiB, want at most 512", receiver>>10)
	}
	if sender > 512<<10 {
		t.Errorf("a sender may hold %d KiB", sender>>10)
	}
}

func source1(n uint32, f wire.Flags, data []byte) []byte {
	return wire.AppendSource([]byte{byte(wire.TypeSource)}, &wire.Source{Sequence: n, Flags: f, Data: data, Frame: wire.FrameHeader{Codec: 1}})
}

func random(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := 0; i+8 <= n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], rng.Uint64())
	}
	return b
}

func heapBytes() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Reports that lie or make no sense change nothing but a counter.
func TestLyingReports(t *testing.T) {
	tx, _ := pair(t, Config{})
	reply, err := srtp.NewSealer(masterKeys(2))
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 0, 2048)
	for range 50 {
		_ = tx.WriteFrame(epoch, &transport.Frame{Codec: transport.H264, Data: make([]byte, 5000)})
	}
	for now := epoch; now.Before(epoch.Add(20 * time.Millisecond)); now = now.Add(time.Millisecond) {
		out, _ = tx.AppendDatagram(out[:0], now)
	}
	flying := tx.tracker.BytesInFlight()
	if flying == 0 {
		t.Fatal("nothing was sent")
	}
	for _, begin := range []uint16{1000, 30000, 65000} {
		b, _ := reply.SealRTCP(wire.AppendFeedback(nil, 0, 0, begin, make([]wire.Metric, 100), 1), 0)
		tx.HandleDatagram(epoch.Add(time.Second), b)
	}
	if got := tx.Stats().Drops[transport.DropLyingReport]; got != 3 {
		t.Errorf("%d lying reports counted, want 3", got)
	}
	b, _ := reply.SealRTCP(wire.AppendFeedback(nil, 0, wire.SSRC(99, 0), 0, nil, 1), 0)
	tx.HandleDatagram(epoch, b)
	tx.HandleDatagram(epoch, b)
	tx.HandleDatagram(epoch, []byte{0x8b, 205})
	d := tx.Stats().Drops
	if d[transport.DropMalformed] != 2 || d[transport.DropReplayed] != 1 || tx.tracker.BytesInFlight() != flying {
		t.Errorf("drops %v, %d bytes in flight, want %d", d, tx.tracker.BytesInFlight(), flying)
	}
}

// FuzzSession feeds a pair with anything: bytes from strangers, sealed bodies of a malicious publisher, sealed reports
// of a malicious relay, while an honest stream goes on. Nothing panics, counts add up, nothing unauthentic is delivered.
func FuzzSession(f *testing.F) {
	f.Add([]byte{0, 20, 0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add(append([]byte{1, 30}, source1(0, wire.Start|wire.End, make([]byte, 10))...))
	f.Add(append([]byte{1, 14}, append(wire.AppendRepairHeader(nil, &wire.Repair{Base: 1, Count: 3}), 0, 1, 2)...))
	f.Add(append([]byte{2, 26}, wire.AppendFeedback(nil, 0, 0, 0, []wire.Metric{0x8000, 0, 0x8001}, 9)...))
	f.Add(append([]byte{1, 8}, wire.AppendAbandon(nil, wire.Abandon{Base: 0, Count: 900})...))
	f.Fuzz(func(t *testing.T, script []byte) {
		tx, rx := pair(t, Config{Latency: 50 * time.Millisecond, MaxBitrate: 2 * congestion.Mbps, NoFEC: true})
		evil := newForger(t)
		evil.next = 30000
		relay, err := srtp.NewSealer(masterKeys(2))
		if err != nil {
			t.Fatal(err)
		}
		out := make([]byte, 0, 2048)
		data := make([]byte, 3000)
		now := epoch
		for step := 0; step < 200 && len(script) >= 2; step++ {
			op, n := script[0], int(script[1])
			part := script[2:min(len(script), 2+n)]
			script = script[2+len(part):]
			now = now.Add(time.Duration(op>>3) * time.Millisecond)
			switch op & 7 {
			case 0:
				rx.HandleDatagram(now, part)
				tx.HandleDatagram(now, part)
			case 1:
				rx.HandleDatagram(now, evil.packet(t, part))
			case 2:
				if b, err := relay.SealRTCP(append([]byte(nil), part...), 0); err == nil {
					tx.HandleDatagram(now, b)
				}
			case 3:
				_ = tx.WriteFrame(now, &transport.Frame{Codec: transport.H264, Flags: transport.Flags(n), Data: data[:n*10]})
			}
			for range 500 {
				var more bool
				if out, more = tx.AppendDatagram(out[:0], now); !more {
					break
				}
				if op&0x80 == 0 {
					rx.HandleDatagram(now, out)
				}
			}
			for range 500 {
				var more bool
				if out, more = rx.AppendDatagram(out[:0], now); !more {
					break
				}
				if op&0x40 == 0 {
					tx.HandleDatagram(now, out)
				}
			}
			for range 2000 {
				if _, ok := rx.PopPayload(now); !ok {
					break
				}
			}
			tx.NextTimeout()
			rx.NextTimeout()
			if s := rx.Stats(); s.Sent != uint64(rx.buffer.Next()) {
				t.Fatalf("%+v does not sum to the cursor %d", s, rx.buffer.Next())
			}
			if rx.buffer.End()-rx.buffer.Next() > int64(rx.cfg.packets()) || tx.tracker.BytesInFlight() < 0 {
				t.Fatalf("bounds: held %d, in flight %d", rx.buffer.End()-rx.buffer.Next(), tx.tracker.BytesInFlight())
			}
		}
	})
}
