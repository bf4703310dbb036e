package mpegts

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// muxed is 4 s of made-up pictures, a key frame a second, as our own muxer writes them.
func muxed(t testing.TB) []byte {
	t.Helper()
	var c media.Config
	c.Codec = media.H264
	m, err := NewMuxer([]Track{{Codec: media.H264, Config: &c}})
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for n := range 100 {
		at := time.Duration(n) * 40 * time.Millisecond
		f := &media.Frame{Codec: media.H264, DTS: at, PTS: at, Config: &c, Payload: media.AppendNAL(nil, bytes.Repeat([]byte{0x41}, 3000))}
		if n%25 == 0 {
			f.Flags = media.Key
		}
		out = m.AppendFrame(out, f)
	}
	return out
}

// However a stream is cut into writes, its pieces are the stream, on the clock of its PCRs.
func TestCutterTakesNothingAway(t *testing.T) {
	in := muxed(t)
	r := rand.New(rand.NewPCG(100, 1))
	for _, junk := range []int{0, 1, 100, 187} {
		var c Cutter
		var out []byte
		var last time.Duration
		keys, tables := 0, 0
		b := append(bytes.Repeat([]byte{1}, junk), in...)
		for len(b) > 0 {
			n := min(len(b), 1+r.IntN(3000))
			c.Write(b[:n])
			if b = b[n:]; len(b) == 0 {
				c.Cut()
			}
			for p, ok := c.Next(); ok; p, ok = c.Next() {
				if len(p.Data) > PieceBytes || p.Time < last {
					t.Fatalf("a piece of %d bytes at %v behind %v", len(p.Data), p.Time, last)
				}
				if tab, key, ok := Marks(p.Data); !ok || tab != p.Tables || key != p.Key {
					t.Fatalf("Marks: %v %v %v, want %v %v", tab, key, ok, p.Tables, p.Key)
				}
				if p.Key {
					keys++
				}
				if p.Tables {
					tables++
				}
				last, out = p.Time, append(out, p.Data...)
			}
		}
		if !bytes.Equal(out, in) || c.Skipped() != uint64(junk) {
			t.Errorf("%d bytes in, %d out, %d skipped of %d", len(in), len(out), c.Skipped(), junk)
		}
		if keys != 4 || tables < keys || last < 3900*time.Millisecond || last > 4*time.Second {
			t.Errorf("%d key pictures, %d tables, the last piece at %v", keys, tables, last)
		}
	}
}

// The clock of a file that begins again, or whose PCRs wrap or move to another PID, goes on.
func TestCutterClockGoesOn(t *testing.T) {
	pcr := func(pid uint16, t int64) []byte {
		b := bytes.Repeat([]byte{0xff}, PacketSize)
		base := t / 300
		copy(b, []byte{syncByte, byte(pid >> 8), byte(pid), 0x20, 183, 0x10, byte(base >> 25), byte(base >> 17), byte(base >> 9), byte(base >> 1), byte(base<<7) | 0x7e | byte(t%300>>8), byte(t % 300)})
		return b
	}
	var c Cutter
	const step = pcrHz / 25
	var want time.Duration
	see := func(pid uint16, at int64) time.Duration {
		c.Write(pcr(pid, at))
		c.Cut()
		var p Piece
		for q, ok := c.Next(); ok; q, ok = c.Next() {
			p = q
		}
		return p.Time
	}
	for n := range int64(50) { // across the wrap
		if got := see(256, (pcrWrap-20*step+n*step)%pcrWrap); (got - want).Abs() > time.Millisecond {
			t.Fatalf("PCR %d at %v, want %v", n, got, want)
		}
		want += 40 * time.Millisecond
	}
	for n := range int64(10) { // begins again, long before
		got := see(256, n*step)
		if n > 0 && (got-want).Abs() > time.Millisecond {
			t.Fatalf("after the jump %d at %v, want %v", n, got, want)
		}
		want = got + 40*time.Millisecond
	}
	for n := range int64(pcrLost + 50) { // on another PID
		if got := see(300, 77*pcrHz+n*step); n == pcrLost+49 && got < want+time.Second {
			t.Errorf("the clock stands at %v with the PID of its PCRs", got)
		}
	}
}

func FuzzCutter(f *testing.F) {
	f.Add(muxed(f)[:4096], uint8(188))
	f.Add(append([]byte{0x47, 1, 2}, muxed(f)[:2000]...), uint8(1))
	f.Add(bytes.Repeat([]byte{0x47}, 1000), uint8(7))
	f.Add([]byte{0x47, 0x41, 0, 0x30, 0xff, 0x50}, uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, n uint8) {
		var c Cutter
		var out uint64
		var last time.Duration
		for rest := b; len(rest) > 0; {
			k := min(len(rest), int(n)+1)
			c.Write(rest[:k])
			rest = rest[k:]
		}
		c.Cut()
		for p, ok := c.Next(); ok; p, ok = c.Next() {
			if tables, key, ok := Marks(p.Data); !ok || tables != p.Tables || key != p.Key || p.Time < last || len(p.Data) > PieceBytes {
				t.Fatalf("%+v after %v", p, last)
			}
			if !bytes.Contains(b, p.Data[:PacketSize]) {
				t.Fatal("a packet that was not there")
			}
			last, out = p.Time, out+uint64(len(p.Data))
		}
		if out+c.Skipped()+uint64(len(c.carry)) != uint64(len(b)) {
			t.Fatalf("%d bytes: %d out, %d skipped, %d left", len(b), out, c.Skipped(), len(c.carry))
		}
		Marks(b)
	})
}
