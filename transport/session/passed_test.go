package session

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/transport"
)

// Of a transport stream that is passed through over a path that loses, what comes out is whole packets, in order, each once and bit for bit; nearly all come.
func TestPassthroughIsBitExact(t *testing.T) {
	const packet, most = 188, 28
	for _, c := range []struct{ loss, burst float64 }{{0.1, 1}, {0.1, 8}} {
		cfg, up, down := grid(60*time.Millisecond, 300*time.Millisecond, c.loss, c.burst, 100)
		w := newWorld(t, 100, cfg, up, down, video4M())
		next, got := uint32(0), 0 // packets written, and delivered
		last := int64(-1)
		w.onPassed = func(p *transport.Payload) {
			if len(p.Data)%packet != 0 {
				t.Fatalf("%d bytes", len(p.Data))
			}
			for b := p.Data; len(b) > 0; b = b[packet:] {
				n := int64(binary.BigEndian.Uint32(b[4:]))
				if b[0] != 0x47 || n <= last {
					t.Fatalf("packet %d behind %d", n, last)
				}
				for i, x := range b[8:packet] {
					if x != byte(n)+byte(i) {
						t.Fatalf("packet %d is another at byte %d", n, i)
					}
				}
				last = n
				got++
			}
		}
		var data [most * packet]byte
		for piece := range 1000 {
			size := 1 + w.rng.IntN(most)
			for k := range size {
				b := data[k*packet:][:packet]
				b[0] = 0x47
				binary.BigEndian.PutUint32(b[4:], next)
				for i := range b[8:] {
					b[8+i] = byte(next) + byte(i)
				}
				next++
			}
			f := transport.Frame{Codec: transport.Passthrough, DTS: w.now, PTS: w.now, Capture: w.at(), Data: data[:size*packet]}
			if piece%50 == 0 {
				f.Flags = transport.Key
			}
			if err := w.tx.WriteFrame(w.at(), &f); err != nil {
				t.Fatal(err)
			}
			w.drain()
			w.run(10*time.Millisecond, false)
		}
		w.run(2*time.Second, false)
		s := w.sum()
		if got < int(next)*99/100 || s.FramesDelivered+s.FramesLost != s.FramesSent {
			t.Errorf("loss %v in bursts of %v: %d of %d packets, %+v", c.loss, c.burst, got, next, s)
		}
		t.Logf("loss %v in bursts of %v: %d of %d packets", c.loss, c.burst, got, next)
	}
}
