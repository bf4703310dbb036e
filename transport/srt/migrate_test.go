package srt

import (
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bench/sim"
)

// A NAT that gives the caller another port in the middle loses nothing, when the latency is a round trip and 50 ms.
func TestRebind(t *testing.T) {
	for _, clear := range []bool{true, false} {
		w := sim.New(1)
		up := delayed(40 * time.Millisecond)
		for at := 2 * time.Second; at < 20*time.Second; at += 3 * time.Second {
			up.Schedule = append(up.Schedule, netem.Step{At: at, Kind: netem.StepHandover})
		}
		r := newRun(w, sim.Path{Up: up, Down: delayed(40 * time.Millisecond)}, newCaller(7, 1000, "k", 0), Config{Latency: 130 * time.Millisecond, MigrateClear: clear})
		r.rx.reach = r.link.A.Addr
		r.stream(8 * time.Second)
		w.Run(time.Second)
		s := r.rx.conns[0].Stats()
		if clear && (r.missing(t) > 0 || s.Moves != 3) {
			t.Errorf("missing %v, %+v", r.missing(t), s)
		}
		if !clear && (r.missing(t) < 0.1 || s.Moves != 0) {
			t.Errorf("it moved though it is neither encrypted nor allowed: %+v", s)
		}
	}
}

func TestSpoofedSourceMovesNothing(t *testing.T) {
	s, now := newServer(Config{Latency: 100 * time.Millisecond, MigrateClear: true}), time.Unix(1e9, 0)
	tx := newCaller(7, 1000, "k", 0)
	c := connect(t, s, now, addrA, tx)
	spoofed := netip.MustParseAddrPort("198.51.100.1:9")
	sent, received := 0, 0
	for i := range 3000 {
		now = now.Add(time.Millisecond)
		tx.push(now, make([]byte, 100))
		s.l.HandleDatagram(now, addrA, tx.out[len(tx.out)-1])
		h := Header{Seq: 1000 + uint32(i), Position: 3, MessageNo: 1, Dest: c.id}
		b := append(h.Append(nil), make([]byte, 100)...)
		if i%3 == 0 { // guesses
			h = Header{Control: true, Type: ACKACK, Info: uint32(i), Dest: c.id}
			b = h.Append(nil)
		}
		received += len(b)
		s.l.HandleDatagram(now, spoofed, b)
		for c := s.l.Next(now); c != nil; c = s.l.Next(now) {
			for _, ok := c.PopPayload(now); ok; _, ok = c.PopPayload(now) {
			}
			for _, ok := c.AppendDatagram(nil, now); ok; _, ok = c.AppendDatagram(nil, now) {
				if c.Peer() != addrA {
					t.Fatal("it moved")
				}
			}
		}
		for b, to, ok := s.l.AppendDatagram(nil, now); ok; b, to, ok = s.l.AppendDatagram(nil, now) {
			if to != spoofed {
				t.Fatalf("a datagram to %v", to)
			}
			sent += len(b)
		}
	}
	if c.Peer() != addrA || c.Err() != nil || c.Stats().Moves != 0 || sent == 0 || sent > received {
		t.Errorf("peer %v, %v, sent %d for %d", c.Peer(), c.Err(), sent, received)
	}
	// A shutdown from there ends nothing.
	h := Header{Control: true, Type: Shutdown, Dest: c.id}
	s.l.HandleDatagram(now, spoofed, h.Append(nil))
	if c.Err() != nil {
		t.Error(c.Err())
	}
}
