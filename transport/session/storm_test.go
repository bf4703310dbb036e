package session

import (
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/fec"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/wire"
)

var stormInputs = flag.Int("inputs", 0, "TestStorm: datagrams handed to the two peers; 0: enough for a test")

// stormPlans are a few plans for all storms: a clean path, independent loss, bursts, and no round that fits.
func stormPlans() (out []*fec.Plan) {
	for _, s := range []fec.Setting{{}, {Loss: 0.1}, {Loss: 0.2, Burst: 8, Idle: 30}, {Loss: 0.05, Frames: 5, Packets: 4}} {
		out = append(out, fec.NewPlan(s))
	}
	return out
}

// storm is a pair of peers whose datagrams, in both directions, are lost, held, doubled, swapped, mutated and mixed with
// forged ones, while frames of all kinds are written, the clock leaps, and the path changes.
type storm struct {
	t      testing.TB
	rng    *rand.Rand
	tx     *Sender
	rx     *Receiver
	now    time.Time
	up     [64][]byte // newest datagrams of each direction
	down   [64][]byte
	nUp    int
	nDown  int
	out    []byte
	forged []byte
	data   []byte
	inputs int
	frames int
	evil   bool // forged and mutated datagrams for the receiver as well
}

func newStorm(t testing.TB, seed uint64, planner *fec.Planner) *storm {
	s := &storm{evil: seed%2 == 1, t: t, rng: rand.New(rand.NewPCG(seed, 3)), now: epoch, out: make([]byte, 0, 2048), data: make([]byte, 20000)}
	cfg := Config{
		Latency: time.Duration(20+s.rng.IntN(400)) * time.Millisecond, MaxBitrate: congestion.Bitrate(1+s.rng.IntN(8)) * congestion.Mbps,
		InOrder: s.rng.IntN(2) == 0, Tag: 5, NoFEC: true,
	}
	var err error
	if s.tx, err = NewSender(epoch, cfg); err != nil {
		t.Fatal(err)
	}
	if s.rx, err = NewReceiver(epoch, cfg); err != nil {
		t.Fatal(err)
	}
	s.tx.policy.off, s.tx.policy.planner = false, planner
	s.tx.policy.plan = planner.Use(fec.Setting{Loss: 0.02})
	for range 500 { // what the estimator is told of the path decides which plans are used
		if seed%4 > 0 {
			s.tx.policy.loss.Observe(epoch, s.rng.IntN(20) < int(seed%4))
		}
	}
	return s
}

// step hands one datagram or frame to somebody.
func (s *storm) step() {
	r := s.rng
	switch k := r.IntN(100); {
	case k < 80:
		s.now = s.now.Add(time.Duration(r.IntN(2000)) * time.Microsecond)
	case k == 99 && r.IntN(50) == 0:
		s.now = s.now.Add(time.Duration(r.IntN(8000)) * time.Millisecond)
	}
	switch k := r.IntN(100); {
	case k < 15:
		f := transport.Frame{Codec: transport.H264, Flags: transport.Flags(r.IntN(8)), Capture: s.now.Add(-time.Duration(r.IntN(5)) * time.Millisecond)}
		if r.IntN(3) == 0 {
			f.Codec, f.Track = transport.AAC, 1
		}
		f.DTS = s.now.Sub(epoch)
		f.Data = s.data[:1+r.IntN(1+r.IntN(len(s.data)-1))]
		_ = s.tx.WriteFrame(s.now, &f)
		s.frames++
	case k < 45 && s.nUp > 0:
		s.toReceiver(s.up[r.IntN(min(s.nUp, len(s.up)))]) // again, or for the first time, in any order
	case k < 60 && s.nDown > 0:
		s.toSender(s.down[r.IntN(min(s.nDown, len(s.down)))])
	case k < 75 && s.nUp > 0 && s.evil:
		s.toReceiver(s.mutate(s.up[r.IntN(min(s.nUp, len(s.up)))], 12))
	case k < 85 && s.nDown > 0:
		s.toSender(s.mutate(s.down[r.IntN(min(s.nDown, len(s.down)))], 8))
	case k < 90 && s.evil:
		s.toReceiver(s.made())
	case k < 95:
		s.toSender(s.madeReport())
	case k == 95 && r.IntN(100) == 0:
		s.tx.SetMTU(400 + r.IntN(900))
	case k == 96 && r.IntN(100) == 0:
		s.rx.PathChanged()
	case k == 97 && r.IntN(300) == 0:
		s.tx.Resume(s.now, 5, nil, nil)
		s.rx.Resume(5, nil, nil)
	}
	s.drain()
}

// mutate changes a few bytes, mostly behind the header of so many, or the length.
func (s *storm) mutate(b []byte, header int) []byte {
	r := s.rng
	s.forged = append(s.forged[:0], b...)
	for range 1 + r.IntN(4) {
		at := r.IntN(len(s.forged))
		if r.IntN(4) > 0 && len(s.forged) > header {
			at = header + r.IntN(min(16, len(s.forged)-header))
		}
		s.forged[at] = byte(r.Uint32())
	}
	switch r.IntN(8) {
	case 0:
		s.forged = s.forged[:r.IntN(len(s.forged)+1)]
	case 1:
		binary.BigEndian.PutUint16(s.forged[2:], uint16(s.rx.record.highest+int64(r.IntN(200)-100)))
	}
	return s.forged
}

// made is a datagram of a malicious publisher.
func (s *storm) made() []byte {
	r := s.rng
	near := uint32(s.rx.buffer.End() + int64(r.IntN(400)-200))
	b := wire.AppendRTP(s.forged[:0], wire.RTP{Sequence: uint16(s.rx.record.highest + int64(r.IntN(60)-10)), SendTime: uint32(s.now.Sub(epoch).Microseconds()), SSRC: s.rx.cfg.ssrc()})
	switch r.IntN(6) {
	case 0:
		b = append(b, byte(wire.TypeSource))
		b = wire.AppendSource(b, &wire.Source{Sequence: near, Flags: wire.Flags(r.IntN(256)), Data: s.data[:r.IntN(1200)], Frame: wire.FrameHeader{Codec: 1, Capture: r.Uint32()}})
	case 1, 2:
		b = wire.AppendRepairHeader(b, &wire.Repair{Base: near, Count: 1 + r.IntN(128), Row: r.IntN(128), Flags: wire.RepairFlags(r.IntN(16))})
		b = append(b, s.data[:r.IntN(1200)]...)
	case 3:
		b = wire.AppendProbe(b, near)
	case 4:
		b = wire.AppendAbandon(b, wire.Abandon{Base: near, Count: uint16(r.IntN(1 << 16))})
	default:
		b = append(b, byte(r.Uint32()))
		b = append(b, s.data[:r.IntN(60)]...)
	}
	s.forged = b
	return b
}

// madeReport is a report of a malicious relay.
func (s *storm) madeReport() []byte {
	r := s.rng
	var m [300]wire.Metric
	n := r.IntN(len(m))
	for i := range n {
		m[i] = wire.Metric(r.Uint32())
	}
	begin := uint16(s.tx.tracker.Next() - int64(r.IntN(400)) + int64(r.IntN(10)))
	s.forged = wire.AppendFeedback(s.forged[:0], s.tx.cfg.ssrc(), s.tx.cfg.ssrc(), begin, m[:n], r.Uint32())
	return s.forged
}

func (s *storm) toReceiver(b []byte) {
	s.inputs++
	s.rx.HandleECN(s.now, b, uint8(s.rng.IntN(4)))
}

func (s *storm) toSender(b []byte) {
	s.inputs++
	s.tx.HandleDatagram(s.now, b)
}

// drain is the driving rule; most datagrams go through at once, the others stay for later.
func (s *storm) drain() {
	var ok bool
	for range 64 {
		if s.out, ok = s.tx.AppendDatagram(s.out[:0], s.now); !ok {
			break
		}
		s.up[s.nUp%len(s.up)] = append(s.up[s.nUp%len(s.up)][:0], s.out...)
		s.nUp++
		if s.rng.IntN(4) > 0 {
			s.toReceiver(s.out)
		}
	}
	for range 64 {
		if s.out, ok = s.rx.AppendDatagram(s.out[:0], s.now); !ok {
			break
		}
		s.down[s.nDown%len(s.down)] = append(s.down[s.nDown%len(s.down)][:0], s.out...)
		s.nDown++
		if s.rng.IntN(4) > 0 {
			s.toSender(s.out)
		}
	}
	for range 5000 {
		if _, ok := s.rx.PopPayload(s.now); !ok {
			break
		}
	}
	s.tx.NextTimeout()
	s.rx.NextTimeout()
}

// check holds the peers against their bounds and sums.
func (s *storm) check() {
	if st := s.rx.Stats(); st.Sent != uint64(s.rx.buffer.Next()) {
		s.t.Fatalf("%+v does not sum to the cursor %d", st, s.rx.buffer.Next())
	}
	if held := s.rx.buffer.End() - s.rx.buffer.Next(); held > int64(s.rx.cfg.packets()) || s.rx.buffer.Missing() < 0 || s.rx.buffer.Missing() > int(held) {
		s.t.Fatalf("%d packets held, %d missing", held, s.rx.buffer.Missing())
	}
	if s.tx.tracker.BytesInFlight() < 0 || s.tx.tracker.PacketsInFlight() < 0 {
		s.t.Fatalf("%d bytes in %d packets in flight", s.tx.tracker.BytesInFlight(), s.tx.tracker.PacketsInFlight())
	}
	for i := range s.tx.blocks {
		if b := &s.tx.blocks[i]; b.unsent < 0 || b.here > b.count-b.foreign || b.foreign < 0 || b.count > fec.MaxCount {
			s.t.Fatalf("block %+v", *b)
		}
	}
}

// The session as a state machine, with FEC on: random datagrams between two peers, honest ones in disorder, mutated ones
// and forged ones that authenticate. Nothing panics, nothing grows, counts add up. The transport is the one inside QUIC,
// so that every mutation gets to the parsers; FuzzSession covers the sealed one.
//
//	go test ./transport/session -run Storm -v -timeout 0 -inputs 10000000
func TestStorm(t *testing.T) {
	want := *stormInputs
	if want == 0 {
		want = 60_000
		if testing.Short() {
			want = 6000
		}
	}
	plans := stormPlans()
	total, frames, delivered := 0, 0, uint64(0)
	started := time.Now()
	for seed := uint64(0); total < want; seed++ {
		planner := fec.NewPlannerWith(plans...)
		s := newStorm(t, seed, planner)
		for n := 0; s.inputs < 10_000; n++ {
			s.step()
			if n%64 == 0 {
				s.check()
			}
		}
		total += s.inputs
		frames += s.frames
		delivered += s.rx.Stats().FramesDelivered
		if seed%100 == 99 {
			t.Logf("%d inputs after %v", total, time.Since(started).Round(time.Second))
		}
	}
	t.Logf("%d inputs, %d frames written, %d delivered", total, frames, delivered)
	if delivered == 0 {
		t.Error("nothing was ever delivered: the storm is no test")
	}
}
