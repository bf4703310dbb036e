package srtla

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

var (
	t0    = time.Unix(1e9, 0)
	linkA = netip.MustParseAddrPort("192.0.2.1:1000")
	linkB = netip.MustParseAddrPort("198.51.100.1:2000")
)

func packet(kind uint16, body []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, kind), body...)
}

// last returns the newest answer.
func last(f *Front) (b []byte, to netip.AddrPort) {
	for o, a, ok := f.AppendDatagram(nil); ok; o, a, ok = f.AppendDatagram(nil) {
		b, to = o, a
	}
	return b, to
}

func join(t *testing.T, f *Front, now time.Time, links ...netip.AddrPort) []byte {
	t.Helper()
	mine := bytes.Repeat([]byte{7}, idLen)
	f.In(now, links[0], packet(typeREG1, mine))
	reg2, to := last(f)
	if to != links[0] || len(reg2) != 2+idLen || !bytes.Equal(reg2[2:2+128], mine[:128]) || bytes.Equal(reg2[2+128:], mine[128:]) || len(f.groups) != 0 {
		t.Fatalf("REG1: %x to %v, %d groups", reg2, to, len(f.groups))
	}
	for _, l := range links {
		f.In(now, l, reg2)
		if b, to := last(f); to != l || !bytes.Equal(b, packet(typeREG3, nil)) {
			t.Fatalf("REG2: %x to %v", b, to)
		}
	}
	return reg2[2:]
}

func TestGroup(t *testing.T) {
	f := New([32]byte{1})
	id := join(t, f, t0, linkA, linkB)
	if src, pass := f.In(t0, netip.MustParseAddrPort("203.0.113.1:9"), make([]byte, 16)); !pass || src.Port() != 9 {
		t.Errorf("plain SRT: %v %v", src, pass)
	}
	a, _ := f.In(t0, linkA, make([]byte, 16))
	b, pass := f.In(t0, linkB, make([]byte, 16))
	if a != b || !pass || a.Port() != 0 || f.Real(a) != linkB {
		t.Errorf("links as %v and %v, real %v", a, b, f.Real(a))
	}
	ack := []byte{0x80, 0x02, 0, 0}
	if all := f.Out(nil, a, ack); len(all) != 2 {
		t.Errorf("an ACK to %v", all)
	}
	if one := f.Out(nil, a, []byte{0x80, 0x03, 0, 0}); len(one) != 1 || one[0] != linkB {
		t.Errorf("a NAK to %v", one)
	}
	for i := range uint32(20) {
		h := binary.BigEndian.AppendUint32(nil, 100+i)
		f.In(t0, linkA, append(h, make([]byte, 12)...))
	}
	got, to := last(f)
	if to != linkA || len(got) != 44 || binary.BigEndian.Uint32(got) != typeACK<<16 || binary.BigEndian.Uint32(got[4:]) != 109 {
		t.Errorf("SRTLA ACK %x to %v", got, to)
	}
	beat := packet(typeKeepalive, []byte{1, 2, 3, 4, 5, 6, 7, 8})
	f.In(t0, linkB, beat)
	if b, to := last(f); !bytes.Equal(b, beat) || to != linkB {
		t.Errorf("keepalive answered with %x to %v", b, to)
	}
	// One link goes on from another port, long after the id was made; the other falls silent.
	later := t0.Add(10 * time.Minute)
	for d := t0; d.Before(later); d = d.Add(5 * time.Second) {
		f.In(d, linkA, beat)
	}
	moved := netip.MustParseAddrPort("192.0.2.1:1001")
	f.In(later, moved, packet(typeREG2, id))
	if src, _ := f.In(later, moved, make([]byte, 16)); src != a || f.links[linkB] != nil || len(f.groups) != 1 {
		t.Errorf("%v, links %v", src, f.links)
	}
	f.In(later.Add(time.Minute), netip.MustParseAddrPort("203.0.113.1:9"), beat)
	if len(f.groups)+len(f.links)+len(f.places) != 0 || f.Out(nil, a, ack) != nil {
		t.Error("silent links stay")
	}
}

func TestForgedIDsLeaveNothing(t *testing.T) {
	f := New([32]byte{1})
	id := bytes.Repeat([]byte{9}, idLen)
	for i := range 5000 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 5)
		f.In(t0, from, packet(typeREG1, id))
		f.In(t0, from, packet(typeREG2, id))
		f.In(t0, from, packet(typeKeepalive, nil))
	}
	if len(f.groups)+len(f.links) != 0 || len(f.out) != maxAnswers {
		t.Errorf("%d groups, %d links, %d answers", len(f.groups), len(f.links), len(f.out))
	}
	if b, _ := last(f); !bytes.Equal(b, packet(typeNGP, nil)) && len(b) != 2+idLen {
		t.Errorf("got %x", b)
	}
}

func TestBounds(t *testing.T) {
	f := New([32]byte{1})
	var links []netip.AddrPort
	for i := range uint16(maxLinks) {
		links = append(links, netip.AddrPortFrom(linkA.Addr(), 1000+i))
	}
	id := join(t, f, t0, links...)
	f.In(t0, linkB, packet(typeREG2, id))
	if b, _ := last(f); !bytes.Equal(b, packet(typeERR, nil)) {
		t.Errorf("link %d: %x", maxLinks+1, b)
	}
	f.In(t0.Add(2*time.Second), linkB, packet(typeREG2, id)) // one that was silent makes room
	if b, _ := last(f); !bytes.Equal(b, packet(typeREG3, nil)) || len(f.links) != maxLinks {
		t.Errorf("%x, %d links", b, len(f.links))
	}
}

func FuzzFront(f *testing.F) {
	front := New([32]byte{1})
	id := front.name([128]byte{}, 0)
	f.Add(packet(typeREG1, id[:]), packet(typeREG2, id[:]), uint8(3))
	f.Add(packet(typeREG2, id[:]), packet(typeKeepalive, []byte{1, 2}), uint8(1))
	f.Add(packet(typeREG2, id[:]), make([]byte, 20), uint8(200))
	f.Fuzz(func(t *testing.T, a, b []byte, step uint8) {
		x, now := New([32]byte{1}), t0
		for i := range 30 {
			from := netip.AddrPortFrom(linkA.Addr(), uint16(1+i%20))
			for _, p := range [][]byte{a, b} {
				src, pass := x.In(now, from, p)
				if pass {
					x.Out(nil, src, p)
					x.Real(src)
				}
			}
			now = now.Add(time.Duration(step) * 100 * time.Millisecond)
		}
		for l := range x.links {
			if x.links[l].g.last == nil {
				t.Fatal("a group without a last link")
			}
		}
		if len(x.links) > maxLinks || len(x.groups) > 1 || len(x.places) != len(x.groups) {
			t.Fatalf("%d links, %d groups", len(x.links), len(x.groups))
		}
	})
}

func TestLinksAndWhatTheirSenderSays(t *testing.T) {
	f, now := New([32]byte{1}), time.Unix(1e9, 0)
	a, b := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:1")
	join(t, f, now, a, b)
	data := make([]byte, 100)
	group, _ := f.In(now, a, data)
	f.In(now, a, data)
	report := append(packet(0x9000, make([]byte, 8)), 0xC0, 0x1F, 0, 1, 0, 0, 0, 9, 0, 0, 0x4E, 0x20, 0, 0, 0, 7, 0, 0, 0, 45, 0, 0, 0, 3, 0, 1, 0, 0)
	f.In(now.Add(time.Second), b, report)
	got := f.Links(nil, now.Add(time.Second), group)
	want := []LinkStats{
		{Peer: a, Received: 2, Bytes: 200, Silent: time.Second},
		{Peer: b, Report: true, RTT: 45 * time.Millisecond, Window: 20000, InFlight: 7, NAKs: 3, ByteRate: 65536},
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if f.Links(nil, now, a) != nil {
		t.Error("a link is no group")
	}
}

// Groups that register and never send are gone after 5 s.
func TestRegistrationsAloneTakeNoRoom(t *testing.T) {
	f, now := New([32]byte{1}), time.Unix(1e9, 0)
	for i := range uint16(maxGroups) {
		id := f.name([idLen / 2]byte{byte(i), 1}, 0)
		f.In(now, netip.AddrPortFrom(netip.MustParseAddr("192.0.2.9"), i+1), packet(0x9201, id[:]))
	}
	if len(f.groups) != maxGroups {
		t.Errorf("%d groups", len(f.groups))
	}
	now = now.Add(6 * time.Second)
	f.In(now, netip.MustParseAddrPort("192.0.2.1:1"), nil)
	if len(f.groups) != 0 || len(f.links) != 0 || len(f.places) != 0 {
		t.Errorf("%d groups, %d links", len(f.groups), len(f.links))
	}
}
