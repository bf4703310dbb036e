package srt

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/sim"
)

// Nonsense for our caller, mutated from what a listener may send, in every state it has: nothing panics, its sums hold, and no bound is passed.
//
//	go test ./transport/srt -run TestCallerNonsense -nonsense 10000000 -v
func TestCallerNonsense(t *testing.T) {
	n := *nonsense
	if testing.Short() {
		n = min(n, 20_000)
	}
	rng := rand.New(rand.NewPCG(7, 13))
	configs := []CallerConfig{
		{}, {Filter: "fec,cols:5,rows:4"}, {Passphrase: secret}, {Passphrase: secret, GCM: true, Filter: "fec,cols:4,rows:-3,arq:always"}, {MaxBuffered: 1 << 20, ResendShare: 0.1},
	}
	ends, most := map[string]int{}, 0
	payload, buf, out := make([]byte, 1000), make([]byte, 0, 2048), make([]byte, 0, 2048)
	for fed := 0; fed < n; {
		cfg := configs[rng.IntN(len(configs))]
		var l *lone
		if rng.IntN(8) == 0 { // before it is connected
			binary.BigEndian.PutUint64(cfg.Secret[:], rng.Uint64())
			c, err := NewCaller(cfg)
			if err != nil {
				t.Fatal(err)
			}
			l = &lone{c, t, sim.Epoch}
			l.drain()
		} else {
			l = newLone(t, cfg)
		}
		hello := handshake{version: 5, extension: hasHS, isn: l.isn, window: 8192, kind: typeConclusion, id: 99, hs: true, hsType: extHSRsp, srtVersion: version, flags: callerFlags, filter: []byte(cfg.Filter)}
		if l.seal != nil {
			hello.km, hello.kmType = l.km, extKMRsp
		}
		for life := 0; life < 20_000 && fed < n && l.Err() == nil; life++ {
			fed++
			b := buf[:0]
			near := func() uint32 { return (uint32(l.next) + uint32(rng.IntN(300)) - 280) & maxSeq }
			h := Header{Control: true, Type: ControlType(rng.IntN(9)), Info: rng.Uint32() & 7, Dest: l.id}
			switch rng.IntN(10) {
			case 0, 1, 2:
				h.Type = ACK
				a := ACKInfo{Next: near(), RTT: rng.Uint32() >> (8 + rng.IntN(24)), RTTVar: rng.Uint32() >> (8 + rng.IntN(24)), Available: rng.Uint32() >> rng.IntN(32)}
				b = a.Append(h.Append(b))
			case 3, 4, 5:
				h.Type = NAK
				b = h.Append(b)
				for range rng.IntN(20) {
					b = AppendRange(b, near(), near())
				}
			case 6:
				h.Type = Handshake
				b = hello.append(h.Append(b))
			case 7:
				h.Type, h.Subtype = User, extKMRsp
				b = append(h.Append(b), l.km...)
			default:
				b = appendWords(h.Append(b), rng.Uint32(), near(), near())
			}
			switch rng.IntN(6) {
			case 0:
				b = b[:rng.IntN(len(b)+1)]
			case 1:
				b = append(b, make([]byte, rng.IntN(64))...)
			}
			if rng.IntN(2) == 0 {
				for range rng.IntN(4) {
					if len(b) > 0 {
						b[rng.IntN(len(b))] = byte(rng.Uint32())
					}
				}
			}
			if len(b) >= HeaderLen && b[0] == 0x80 && b[1] == byte(Shutdown) && rng.IntN(500) > 0 {
				b[1] = byte(Keepalive) // or none would live long
			}
			l.HandleDatagram(l.now, b)
			if rng.IntN(4) > 0 {
				l.Push(l.now, payload[:1+rng.IntN(len(payload))])
			}
			l.now = l.now.Add(time.Duration(rng.IntN(3000)) * time.Microsecond)
			for i := 0; ; i++ {
				p, ok := l.AppendDatagram(out[:0], l.now)
				if !ok {
					break
				}
				if i > 100_000 || len(p) > 1500 {
					t.Fatalf("after %d: %d datagrams, %d bytes", fed, i, len(p))
				}
			}
			l.NextTimeout()
			if life%64 == 0 {
				s := l.Stats()
				most = max(most, l.pool.used)
				if s.Taken != s.Unsent+uint64(s.Queued)+s.Sent || s.Sent != s.Acked+s.Dropped+uint64(s.InFlight) || l.pool.used != s.Queued+s.InFlight || l.wanted.n < 0 ||
					len(l.ring.slots) > MaxRing || l.pool.used > l.pool.max || len(l.copies) > maxCopies || len(l.ackacks) > maxACKACKs || len(l.parity) > 200 {
					t.Fatalf("after %d: %+v", fed, s)
				}
			}
		}
		why := "went on"
		if err := l.Err(); err != nil {
			why = err.Error()
		}
		ends[why]++
	}
	t.Logf("%d packets of nonsense, at most %d buffers; callers ended: %v", n, most, ends)
}
