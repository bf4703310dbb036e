package filter

import (
	"flag"
	"math/rand/v2"
	"testing"
)

var nonsense = flag.Int("nonsense", 200_000, "packets of TestNonsense")

// Nonsense for the receiver of parity, of every layout: mutated control packets, wrong places, wrong lengths. Nothing panics, and what is held
// is bounded by the layout. Beside it libsrt's own format is asked for with what callers may write.
//
//	go test ./transport/srt/filter -run TestNonsense -nonsense 10000000 -v
func TestNonsense(t *testing.T) {
	n := *nonsense
	if testing.Short() {
		n = min(n, 20_000)
	}
	rng := rand.New(rand.NewPCG(8, 13))
	configs := []string{
		"fec,cols:5,rows:1", "fec,cols:5,rows:4,layout:even", "fec,cols:6,rows:4", "fec,cols:5,rows:-3", "fec,cols:2,rows:-2,layout:even", "fec,cols:127,rows:2", "fec,cols:2,rows:127",
	}
	rebuilt, refused := 0, 0
	for fed := 0; fed < n; {
		cfg, err := Parse(configs[rng.IntN(len(configs))])
		if err != nil {
			t.Fatal(err)
		}
		s, r := NewSender(cfg, 64), NewReceiver(cfg)
		index := int64(0)
		rows, cols := len(r.rows), len(r.cols)
		body := make([]byte, 64)
		for range min(5000, n-fed) {
			fed++
			if rng.IntN(20) == 0 {
				index += int64(rng.IntN(3000)) // a hole
			}
			p := Packet{Index: index, Timestamp: rng.Uint32(), Key: uint8(rng.IntN(4)), Payload: body[:1+rng.IntN(len(body))]}
			for i := range p.Payload {
				p.Payload[i] = byte(rng.Uint32())
			}
			s.Data(&p)
			index++
			for k, ok := s.Next(); ok; k, ok = s.Next() {
				b := append([]byte(nil), k.Body...)
				at := k.Index
				switch rng.IntN(6) {
				case 0:
					b = b[:rng.IntN(len(b)+1)]
				case 1:
					b = append(b, make([]byte, rng.IntN(1600))...)
				case 2:
					b[rng.IntN(4)] = byte(rng.Uint32())
				case 3:
					at += int64(rng.IntN(2000)) - 1000
				}
				if !r.Control(at, k.Timestamp, b) {
					refused++
				}
				fed++
			}
			switch rng.IntN(8) {
			case 0: // lost
			case 1:
				p.Index += int64(rng.IntN(400)) - 200
				r.Data(&p)
			default:
				r.Data(&p)
			}
			for i := 0; ; i++ {
				got, ok := r.Next()
				if !ok {
					break
				}
				if rebuilt++; len(got.Payload) == 0 || len(got.Payload) > MaxPayload || got.Key > 2 || i > 10_000 {
					t.Fatalf("after %d: %+v", fed, got)
				}
				r.Data(&got)
			}
			if len(r.rows) != rows || len(r.cols) != cols || len(r.ready) > 0 {
				t.Fatalf("after %d: %d rows, %d columns, %d ready", fed, len(r.rows), len(r.cols), len(r.ready))
			}
		}
	}
	t.Logf("%d packets of nonsense: %d rebuilt, %d refused", n, rebuilt, refused)
}
