package srt

import (
	"bytes"
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/transport/srt/srtla"
)

var nonsense = flag.Int("nonsense", 200_000, "packets of TestNonsense")

// Nonsense for everything that is there (handshakes, plain and encrypted connections, parity, a group, SRTLA), mutated from what is valid,
// from the right addresses and others, while one connection is attacked from other addresses only: nothing panics, no bound is passed, and
// of that connection every packet comes out.
//
//	go test ./transport/srt -run TestNonsense -nonsense 10000000 -v
func TestNonsense(t *testing.T) {
	n := *nonsense
	if testing.Short() {
		n = min(n, 20_000)
	}
	rng := rand.New(rand.NewPCG(6, 13))
	for _, pass := range []string{"", secret} {
		cfg := Config{Latency: 60 * time.Millisecond, Passphrase: pass, MaxBuffered: 8 << 20, MaxConns: 100, MaxPending: 50}
		s, now := newServer(cfg), time.Unix(1e9, 0)
		front := srtla.New([32]byte{1})
		s.admit = func(r *Request) RejectCode {
			if r.StreamID == "k" {
				return 2409
			}
			return 0
		}
		km := keyMessage(1, cipherCTR, 0, []byte("0123456789abcdef"), bytes.Repeat([]byte{1}, 16), 16)
		join := func(id uint32, from netip.AddrPort, edit func(*caller)) *caller {
			tx := newCaller(id, 1000, "other", 0)
			if pass != "" {
				tx.km = km
				tx.seal = sealer(false, []byte("0123456789abcdef"), bytes.Repeat([]byte{1}, 16), keyEven)
			}
			edit(tx)
			connect(t, s, now, from, tx)
			return tx
		}
		addr := func(i int) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i / 4)}), uint16(1000+i))
		}
		victim := join(1, addrA, func(c *caller) { c.streamID = "victim" })
		conn := s.conn
		type seed struct {
			b  []byte
			of int // caller; -1: nobody's
		}
		var seeds []seed
		for _, name := range []string{"plain-induction", "plain-conclusion", "ctr-conclusion", "filter-conclusion"} {
			seeds = append(seeds, seed{captured(t, name), -1})
		}
		callers := make([]*caller, 4)
		kinds := []func(*caller){func(*caller) {}, func(c *caller) { c.protect("fec,cols:5,rows:4,arq:onreq") }}
		for kind := uint8(1); kind <= 2; kind++ {
			kinds = append(kinds, func(c *caller) { c.group = groupInfo{id: groupMark | uint32(kind), kind: kind}.append(nil) })
		}
		again := func(i int) {
			callers[i] = join(uint32(10+i), addr(i), func(c *caller) { kinds[i](c); c.streamID = "s" + string(rune('a'+i)) })
		}
		for i := range kinds {
			again(i)
			tx := callers[i]
			seeds = append(seeds, seed{tx.handshake(now), i})
			for range 30 {
				tx.push(now, make([]byte, 1316))
			}
			for _, b := range tx.out {
				seeds = append(seeds, seed{b, i})
			}
			for _, k := range []ControlType{Keepalive, ACK, NAK, Congestion, ACKACK, DropReq, PeerError, User, 99, Shutdown} {
				h := Header{Control: true, Type: k, Subtype: extKMReq, Info: 1, Dest: tx.them}
				seeds = append(seeds, seed{appendWords(h.Append(nil), 1001, 1003), i}, seed{append(h.Append(nil), km...), i})
			}
		}
		for _, kind := range []uint16{0x9000, 0x9100, 0x9200, 0x9201, 0x9202} {
			for _, length := range []int{0, 8, 36, 256} {
				seeds = append(seeds, seed{append(binary.BigEndian.AppendUint16(nil, kind), make([]byte, length)...), -1})
			}
		}
		drive := func() {
			for i, c := 0, s.l.Next(now); c != nil; c = s.l.Next(now) {
				if i++; i > 100_000 {
					t.Fatal("it never falls silent")
				}
				for b, ok := c.PopPayload(now); ok; b, ok = c.PopPayload(now) {
					if c == conn {
						s.got = append(s.got, payload{n: binary.BigEndian.Uint32(b)})
					}
				}
				for b, ok := c.AppendDatagram(nil, now); ok; b, ok = c.AppendDatagram(nil, now) {
					if c == conn {
						victim.HandleDatagram(now, b)
					}
				}
			}
			for r, ok := s.l.NextRequest(); ok; r, ok = s.l.NextRequest() {
				if s.l.Conns() < 50 && rng.IntN(2) == 0 {
					s.l.Accept(now, r)
				} else {
					s.l.Reject(now, r, 2402)
				}
			}
			for _, ok := s.l.NextRefusal(); ok; _, ok = s.l.NextRefusal() {
			}
			for _, to, ok := s.l.AppendDatagram(nil, now); ok; _, to, ok = s.l.AppendDatagram(nil, now) {
				front.Out(nil, to, nil)
			}
			for _, _, ok := front.AppendDatagram(nil); ok; _, _, ok = front.AppendDatagram(nil) {
			}
		}
		var dropped Drops
		out := make([]byte, 0, 2048)
		sent, at := uint32(0), now
		for i := range n / 2 {
			what := seeds[rng.IntN(len(seeds))]
			b := append(out[:0], what.b...)
			from := addr(rng.IntN(64))
			if what.of >= 0 && rng.IntN(8) > 0 {
				from = addr(what.of)
				binary.BigEndian.PutUint32(b[12:], callers[what.of].them)
				if b[0]&0x80 == 0 { // a stream that goes on
					binary.BigEndian.PutUint32(b, 1000+uint32(i/8)+uint32(rng.IntN(40)))
					binary.BigEndian.PutUint32(b[8:], uint32(now.Sub(callers[what.of].began)/time.Microsecond))
				}
			}
			switch rng.IntN(4) {
			case 0:
				b = b[:rng.IntN(len(b)+1)]
			case 1:
				b = append(b, make([]byte, rng.IntN(100))...)
			}
			for range rng.IntN(6) {
				if len(b) > 0 {
					b[rng.IntN(min(len(b), 100))] = byte(rng.Uint32())
				}
			}
			if len(b) >= HeaderLen && b[0]&0x80 != 0 && rng.IntN(8) == 0 { // what ends a connection ends others seldom, or none would be left
				b[1] = byte(ACKACK)
			}
			// An encrypted connection takes data from elsewhere until its caller has proved that it moved, or not, and AES-CTR cannot tell whose it is.
			if len(b) >= HeaderLen && rng.IntN(4) == 0 && (pass == "" || b[0]&0x80 != 0) {
				binary.BigEndian.PutUint32(b[12:], conn.id)
			}
			if source, ok := front.In(now, from, b); ok {
				s.l.HandleDatagram(now, source, b)
			}
			if i%4 == 3 {
				now = now.Add(time.Duration(rng.IntN(400)) * time.Microsecond)
				drive()
				if k := rng.IntN(40); k < len(kinds) && s.l.conns[callers[k].them] == nil {
					again(k)
				}
			}
			if now.Sub(at) >= interval {
				at = now
				body := binary.BigEndian.AppendUint32(make([]byte, 0, 100), sent)
				sent++
				victim.push(now, body)
			}
			for _, p := range victim.out {
				s.l.HandleDatagram(now, addrA, p)
			}
			victim.out = victim.out[:0]
			if i%64 == 0 {
				for _, tx := range callers {
					if c := s.l.conns[tx.them]; c != nil && c.Err() == nil {
						checkSums(t, c)
						dropped = c.Stats().Drops
					}
				}
			}
			if l := s.l; len(l.conns) > 100 || len(l.pending) > 50 || len(l.responses) > maxResponses || l.pool.used*maxDatagram > 8<<20 || len(l.groups) > len(l.conns) ||
				len(l.peers) > len(l.conns)+1 || len(l.heap) > len(l.conns) {
				t.Fatalf("after %d: %d connections, %d pending, %d responses, %d buffers, %d groups, %d peers", i, len(l.conns), len(l.pending), len(l.responses), l.pool.used, len(l.groups), len(l.peers))
			}
		}
		now = now.Add(time.Second / 2)
		drive()
		if conn.Err() != nil || conn.Peer() != addrA || len(s.got) != int(sent) {
			t.Errorf("passphrase %q: the connection attacked: %v, peer %v, %d of %d packets", pass, conn.Err(), conn.Peer(), len(s.got), sent)
		}
		t.Logf("passphrase %q: %d packets of nonsense, %d connections left, %d of the victim's, drops %v, %v", pass, n/2, s.l.Conns(), len(s.got), s.l.Drops(), dropped)
	}
}
