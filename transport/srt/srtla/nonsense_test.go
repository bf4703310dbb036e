package srtla

import (
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

var nonsense = flag.Int("nonsense", 200_000, "packets of TestNonsense")

// Nonsense for the front: registrations, acknowledged and not, keepalives, SRT packets, all mutated, from thousands of addresses. Nothing panics, no
// bound is passed, and a group that is there keeps its links.
//
//	go test ./transport/srt/srtla -run TestNonsense -nonsense 10000000 -v
func TestNonsense(t *testing.T) {
	n := *nonsense
	if testing.Short() {
		n = min(n, 20_000)
	}
	rng := rand.New(rand.NewPCG(9, 13))
	f, now := New([32]byte{1}), t0
	id := join(t, f, now, linkA, linkB)
	victim, _ := f.In(now, linkA, make([]byte, 16))
	ids := [][]byte{id}
	most := 0
	buf := make([]byte, 0, 2048)
	for i := range n {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(rng.IntN(16)), byte(rng.Uint32())}), uint16(1000+rng.IntN(4)))
		var b []byte
		switch rng.IntN(8) {
		case 0:
			b = append(binary.BigEndian.AppendUint16(buf, typeREG1), make([]byte, idLen)...)
			binary.BigEndian.PutUint32(b[2:], rng.Uint32())
		case 1, 2:
			b = append(binary.BigEndian.AppendUint16(buf, typeREG2), ids[rng.IntN(len(ids))]...)
		case 3:
			b = append(binary.BigEndian.AppendUint16(buf, typeKeepalive), make([]byte, []int{0, 8, 36, 60}[rng.IntN(4)])...)
		case 4:
			b = append(binary.BigEndian.AppendUint16(buf, uint16(0x9000|rng.IntN(0x400))), make([]byte, rng.IntN(300))...)
		default: // SRT
			b = append(buf, make([]byte, 16+rng.IntN(100))...)
			b[0] = byte(rng.Uint32()) &^ 0x10
		}
		if rng.IntN(4) == 0 {
			b = b[:rng.IntN(len(b)+1)]
		}
		if rng.IntN(2) == 0 && len(b) > 0 {
			b[rng.IntN(len(b))] = byte(rng.Uint32())
		}
		if to, pass := f.In(now, from, b); pass {
			f.Out(nil, to, b)
			f.Real(to)
		}
		if rng.IntN(3) == 0 {
			now = now.Add(time.Duration(rng.IntN(2000)) * time.Microsecond)
		}
		for a, _, ok := f.AppendDatagram(nil); ok; a, _, ok = f.AppendDatagram(nil) {
			if len(a) == 2+idLen && binary.BigEndian.Uint16(a) == typeREG2 && len(ids) < 1000 {
				ids = append(ids, a[2:])
			} else if len(ids) >= 1000 {
				ids = ids[:1]
			}
		}
		if i%512 == 0 {
			for _, l := range []netip.AddrPort{linkA, linkB} {
				if to, pass := f.In(now, l, make([]byte, 16)); !pass || to != victim {
					t.Fatalf("after %d: the group's link is %v, %v", i, to, pass)
				}
			}
			links := 0
			for _, g := range f.groups {
				links += len(g.links)
			}
			most = max(most, len(f.links))
			if len(f.groups) > maxGroups || len(f.places) != len(f.groups) || len(f.links) != links || links > maxGroups*maxLinks || len(f.out) > maxAnswers {
				t.Fatalf("after %d: %d groups, %d places, %d and %d links, %d answers", i, len(f.groups), len(f.places), len(f.links), links, len(f.out))
			}
		}
	}
	t.Logf("%d packets of nonsense: %d groups, at most %d links", n, len(f.groups), most)
}
