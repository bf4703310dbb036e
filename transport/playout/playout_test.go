package playout

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/wire"
)

const ms = time.Millisecond

// frame is a run of packets: number, first media sequence, packets.
type frame struct {
	number int
	base   int64
	n      int
	at     time.Duration // captured and sent, on a sender's clock that is ours
}

func (f frame) packet(i int) (int64, *wire.Source) {
	s := &wire.Source{Sequence: uint32(f.base) + uint32(i), Data: []byte{byte(f.number), byte(i)}}
	if i == 0 {
		s.Flags |= wire.Start
		s.Frame = wire.FrameHeader{Codec: 1, Number: uint16(f.number), Capture: uint32(f.at.Microseconds()), DTS: f.at.Microseconds()}
	}
	if i == f.n-1 {
		s.Flags |= wire.End
	}
	return f.base + int64(i), s
}

func put(b *Buffer, now time.Duration, f frame, how How, packets ...int) (last Verdict) {
	for _, i := range packets {
		n, s := f.packet(i)
		last = b.Insert(now, f.at, n, s, how)
	}
	return last
}

// Frames every 10 ms of 2, 3 and 2 packets; one way takes 30 ms, latency is 100 ms.
func three() (*Buffer, [3]frame) {
	b := New(Config{Packets: 64, Latency: 100 * ms})
	b.Heard(30*ms, 30*ms)
	return b, [3]frame{{0, 0, 2, 0}, {1, 2, 3, 10 * ms}, {2, 5, 2, 20 * ms}}
}

func pop(t *testing.T, b *Buffer, now time.Duration, want int) transport.Payload {
	t.Helper()
	p, _, due, ok := b.Pop(now)
	if !ok || int(p.Data[0]) != want || len(p.Data)%2 != 0 {
		t.Fatalf("at %v: got %v %x, want frame %d", now, ok, p.Data, want)
	}
	if due > now && !b.cfg.InOrder {
		t.Fatalf("frame %d left %v before it was due", want, due-now)
	}
	return p
}

func none(t *testing.T, b *Buffer, now time.Duration) {
	t.Helper()
	if p, _, _, ok := b.Pop(now); ok {
		t.Fatalf("at %v: got %x, want nothing", now, p.Data)
	}
}

func TestConstantLatency(t *testing.T) {
	b, f := three()
	put(b, 31*ms, f[0], First, 1, 0) // out of order within the frame
	none(t, b, 31*ms)
	if got := b.NextTimeout(); got != 130*ms {
		t.Errorf("next timeout = %v, want 130 ms: capture 0 + delay 30 + latency 100", got)
	}
	pop(t, b, 130*ms, 0)
	if c := b.Counts(); c.Delivered != 2 || c.Frames != 1 || c.FramesLost != 0 {
		t.Errorf("counts = %+v", c)
	}
}

func TestInOrder(t *testing.T) {
	b, f := three()
	b.cfg.InOrder = true
	put(b, 31*ms, f[0], First, 0, 1)
	pop(t, b, 31*ms, 0)
	put(b, 41*ms, f[1], First, 0, 2)
	put(b, 51*ms, f[2], First, 0, 1)
	none(t, b, 51*ms) // waits for 1/1
	put(b, 100*ms, f[1], Resent, 1)
	if p := pop(t, b, 100*ms, 1); !p.Repaired {
		t.Error("a frame with a resent packet counts as repaired")
	}
	pop(t, b, 100*ms, 2)
}

func TestLatencyThatMayGrow(t *testing.T) {
	b, f := three()
	b.cfg.Most = 300 * ms
	put(b, 31*ms, f[0], First, 0, 1)
	put(b, 41*ms, f[1], First, 0, 2)
	put(b, 51*ms, f[2], First, 0, 1)
	pop(t, b, 130*ms, 0)
	none(t, b, 160*ms) // 1 lacks a packet and is waited for, and 2 waits behind it
	if got := b.NextTimeout(); got != 340*ms {
		t.Errorf("next timeout = %v, want 340 ms: capture 10 + delay 30 + 300", got)
	}
	put(b, 200*ms, f[1], Resent, 1)
	pop(t, b, 200*ms, 1)
	if _, _, due, ok := b.Pop(200 * ms); !ok || due != 200*ms {
		t.Errorf("the frame behind it: %v, due at %v; want at once", ok, due)
	}
	if c := b.Counts(); c.Lost != 0 || c.Frames != 3 || c.FramesLost != 0 {
		t.Errorf("counts = %+v", c)
	}
	put(b, 210*ms, frame{3, 7, 2, 170 * ms}, First, 0)
	none(t, b, 499*ms)
	none(t, b, 500*ms) // given up
	if c := b.Counts(); c.Lost != 0 || b.Next() != 8 {
		t.Errorf("counts = %+v, cursor %d", c, b.Next())
	}
}

func TestIncompleteFrameIsDroppedWhenDue(t *testing.T) {
	b, f := three()
	put(b, 31*ms, f[0], First, 0, 1)
	put(b, 41*ms, f[1], First, 0, 2)
	put(b, 51*ms, f[2], First, 0, 1)
	pop(t, b, 130*ms, 0)
	none(t, b, 139*ms)
	none(t, b, 140*ms) // frame 1 is due and dropped
	if c := b.Counts(); c.Lost != 1 || c.Delivered != 4 || c.FramesLost != 1 {
		t.Errorf("counts = %+v", c)
	}
	if v := put(b, 141*ms, f[1], Resent, 1); v != TooLate {
		t.Errorf("its packet afterwards: %v, want late", v)
	}
	if v := put(b, 142*ms, f[1], Resent, 1); v != Duplicate {
		t.Errorf("and again: %v, want duplicate", v)
	}
	if c := b.Counts(); c.Lost != 0 || c.Late != 1 {
		t.Errorf("counts = %+v, want the lost one to be late", c)
	}
	if p := pop(t, b, 150*ms, 2); !p.Flags.Has(transport.Discontinuity) {
		t.Error("the frame after a lost one does not say so")
	}
}

func TestLostStart(t *testing.T) {
	b, f := three()
	put(b, 31*ms, f[0], First, 0, 1)
	put(b, 41*ms, f[1], First, 1, 2)
	put(b, 51*ms, f[2], First, 0, 1)
	pop(t, b, 130*ms, 0)
	none(t, b, 149*ms) // when frame 1 is due is not known; frame 2 is due at 150
	pop(t, b, 150*ms, 2)
	if c := b.Counts(); c.FramesLost != 1 || c.Lost != 1 {
		t.Errorf("counts = %+v", c)
	}
}

func TestWholeFrameLost(t *testing.T) {
	b, f := three()
	put(b, 31*ms, f[0], First, 0, 1)
	put(b, 51*ms, f[2], First, 0, 1)
	pop(t, b, 130*ms, 0)
	p := pop(t, b, 150*ms, 2)
	if c := b.Counts(); c.FramesLost != 1 || c.Lost != 3 || !p.Flags.Has(transport.Discontinuity) {
		t.Errorf("counts = %+v, flags %b", c, p.Flags)
	}
}

func TestAbandonedFrameIsDroppedEarly(t *testing.T) {
	b, f := three()
	b.cfg.InOrder = true
	put(b, 31*ms, f[0], First, 0, 1)
	pop(t, b, 31*ms, 0)
	put(b, 41*ms, f[1], First, 0, 2)
	put(b, 51*ms, f[2], First, 0, 1)
	none(t, b, 51*ms)
	b.Abandon(2, 3)
	pop(t, b, 60*ms, 2) // 80 ms before frame 1 was due
	// A later abandonment does not touch the frame at the cursor.
	g := [2]frame{{3, 7, 2, 30 * ms}, {4, 9, 2, 40 * ms}}
	put(b, 61*ms, g[0], First, 0)
	put(b, 61*ms, g[1], First, 0)
	b.Abandon(9, 2)
	none(t, b, 62*ms)
	put(b, 63*ms, g[0], Resent, 1)
	pop(t, b, 63*ms, 3)
}

func TestFarJumpKeepsMemoryBounded(t *testing.T) {
	b, f := three()
	put(b, 31*ms, f[0], First, 0, 1)
	put(b, 31*ms, frame{9, 1 << 40, 1, 31 * ms}, First, 0)
	if c := b.Counts(); c.Delivered+c.Lost != uint64(b.Next()) || b.End() != 1<<40+1 {
		t.Errorf("counts %+v do not sum to the cursor %d", c, b.Next())
	}
	b.Abandon(1<<41, 100)
	b.Known(1 << 41)
	if b.End() != 1<<40+1 {
		t.Errorf("end = %d: hearsay moved it out of the ring", b.End())
	}
	pop(t, b, 200*ms, 9)
}

// A capture time after the send time would hold frames back for ever.
func TestCaptureIsNeverAfterSending(t *testing.T) {
	b, _ := three()
	s := &wire.Source{Flags: wire.Start | wire.End, Frame: wire.FrameHeader{Capture: uint32(time.Hour.Microseconds() / 2)}, Data: []byte{0, 0}}
	b.Insert(31*ms, ms, 0, s, First)
	pop(t, b, 131*ms, 0)
}

// Any order of arrival, loss and duplication: frames in order, none twice, and the counts sum to the cursor.
func TestRandomArrivals(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		b := New(Config{Packets: 64, Latency: 50 * ms, InOrder: seed%2 == 0})
		type event struct {
			f frame
			i int
		}
		var all []event
		var next int64
		for n := range 60 {
			f := frame{n, next, 1 + rng.IntN(5), time.Duration(n) * 10 * ms}
			next += int64(f.n)
			for i := range f.n {
				for range 1 + rng.IntN(2) {
					if rng.IntN(5) > 0 {
						all = append(all, event{f, i})
					}
				}
			}
		}
		for i := range all {
			j := min(len(all)-1, i+rng.IntN(12))
			all[i], all[j] = all[j], all[i]
		}
		last, now := -1, time.Duration(0)
		for _, e := range all {
			now = max(now, e.f.at) + ms
			b.Heard(now, now-e.f.at)
			put(b, now, e.f, How(rng.IntN(3)), e.i)
			if rng.IntN(20) == 0 {
				b.Abandon(e.f.base, e.f.n)
			}
			for {
				p, _, _, ok := b.Pop(now)
				if !ok {
					break
				}
				if int(p.Data[0]) <= last {
					t.Fatalf("seed %d: frame %d after %d", seed, p.Data[0], last)
				}
				last = int(p.Data[0])
			}
			c := b.Counts()
			if sum := c.Delivered + c.Resent + c.Repaired + c.Late + c.Lost; sum != uint64(b.Next()) {
				t.Fatalf("seed %d: %+v sums to %d, cursor %d", seed, c, sum, b.Next())
			}
			if at := b.NextTimeout(); at > 0 && at <= now && !b.cfg.InOrder {
				if _, _, _, ok := b.Pop(now); !ok && b.NextTimeout() <= now {
					t.Fatalf("seed %d: timeout at %v does nothing", seed, at)
				}
			}
		}
	}
}

func FuzzBuffer(f *testing.F) {
	f.Add([]byte{0, 0x80, 1, 0x40, 2, 0xc0, 250, 0xc0, 3, 7})
	f.Fuzz(func(t *testing.T, script []byte) {
		b := New(Config{Packets: 16, Latency: 20 * ms, InOrder: len(script)%2 == 0})
		now := time.Duration(0)
		for len(script) >= 2 {
			n, op := int64(script[0]), script[1]
			script = script[2:]
			now += ms
			switch op & 3 {
			case 0:
				s := &wire.Source{Flags: wire.Flags(op & 0xfc), Frame: wire.FrameHeader{Number: uint16(n) << 4, Capture: uint32(n) * 1000}, Data: []byte{1}}
				b.Heard(now, time.Duration(op))
				b.Insert(now, now, n, s, How(op>>2)%3)
			case 1:
				b.Abandon(n, int(op))
			case 2:
				b.Known(n)
			}
			for range 100 {
				if _, _, _, ok := b.Pop(now); !ok {
					break
				}
			}
			c := b.Counts()
			if sum := c.Delivered + c.Resent + c.Repaired + c.Late + c.Lost; sum != uint64(b.Next()) || b.End()-b.Next() > 16 {
				t.Fatalf("%+v sums to %d, cursor %d, end %d", c, sum, b.Next(), b.End())
			}
		}
	})
}

func BenchmarkInsertPop(b *testing.B) {
	buf := New(Config{Packets: 1024, Latency: 100 * ms, InOrder: true})
	data := make([]byte, 1100)
	s := &wire.Source{Flags: wire.Start | wire.End, Data: data}
	var n int64
	b.ReportAllocs()
	for b.Loop() {
		s.Frame.Number = uint16(n)
		buf.Insert(0, 0, n, s, First)
		if _, _, _, ok := buf.Pop(0); !ok {
			b.Fatal("nothing")
		}
		n++
	}
}
