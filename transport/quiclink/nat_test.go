package quiclink

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// nat forwards between a publisher and a relay as a NAT does, and may take another port towards the relay.
type nat struct {
	t      testing.TB
	in     *net.UDPConn
	target *net.UDPAddr

	mu       sync.Mutex // guards what follows
	out      *net.UDPConn
	client   netip.AddrPort
	see      func(b []byte) bool             // every datagram up; false: dropped
	up, down int                             // bytes through the newest port
	passed   int                             // of up, what was not dropped
	others   map[netip.AddrPort]*net.UDPConn // ports of further clients; nil: a new client is the old one elsewhere
}

func newNAT(t testing.TB, target net.Addr) *nat {
	t.Helper()
	in, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	n := &nat{t: t, in: in, target: target.(*net.UDPAddr)}
	n.rebind()
	go n.forward()
	t.Cleanup(func() { _ = in.Close(); _ = n.port().Close() })
	return n
}

func (n *nat) addr() netip.AddrPort { return addrPort(n.in.LocalAddr()) }

func (n *nat) port() *net.UDPConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.out
}

// rebind takes another port; what the relay sends to the old one is lost.
func (n *nat) rebind() {
	out, err := net.DialUDP("udp4", nil, n.target)
	if err != nil {
		n.t.Error(err)
		return
	}
	n.mu.Lock()
	old := n.out
	n.out, n.up, n.down, n.passed = out, 0, 0, 0
	n.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
	go n.back(out, func(k int) netip.AddrPort {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.down += k
		return n.client
	})
}

// back carries what comes for a port to its client.
func (n *nat) back(out *net.UDPConn, client func(k int) netip.AddrPort) {
	b := make([]byte, 2000)
	for {
		k, err := out.Read(b)
		if err != nil {
			return
		}
		_, _ = n.in.WriteToUDPAddrPort(b[:k], client(k))
	}
}

// several gives each further client a port of its own from now on.
func (n *nat) several() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.others = map[netip.AddrPort]*net.UDPConn{n.client: n.out}
}

// from returns the port of a client. n.mu is held.
func (n *nat) from(client netip.AddrPort) *net.UDPConn {
	if n.others == nil {
		n.client = client
		return n.out
	}
	out := n.others[client]
	if out == nil {
		var err error
		if out, err = net.DialUDP("udp4", nil, n.target); err != nil {
			n.t.Error(err)
			return n.out
		}
		n.others[client] = out
		n.t.Cleanup(func() { _ = out.Close() })
		go n.back(out, func(int) netip.AddrPort { return client })
	}
	return out
}

func (n *nat) forward() {
	b := make([]byte, 2000)
	for {
		k, from, err := n.in.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		n.mu.Lock()
		out, see := n.from(from), n.see
		n.up += k
		n.mu.Unlock()
		if see == nil || see(b[:k]) {
			n.mu.Lock()
			n.passed += k
			n.mu.Unlock()
			_, _ = out.Write(b[:k])
		}
	}
}

func (n *nat) watch(see func([]byte) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.see = see
}

func TestReturnPath(t *testing.T) {
	old, fresh, other := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2"), netip.MustParseAddrPort("192.0.2.3:3")
	none := netip.AddrPort{}
	r := returnPath{valid: old}
	for _, step := range []struct {
		why    string
		from   netip.AddrPort // heard from, none: nothing
		size   int
		newest bool
		quic   netip.AddrPort
		send   int
		want   netip.AddrPort // none: not sent
	}{
		{"the validated address gets everything", old, 10, true, old, 5000, old},
		{"a late packet from elsewhere moves nothing", fresh, 1000, false, old, 100, old},
		{"a newer one does, up to three times its bytes", fresh, 100, true, old, 300, fresh},
		{"and not a byte more", none, 0, false, old, 1, none},
		{"late packets from there count too", fresh, 10, false, old, 30, fresh},
		{"nor more", none, 0, false, old, 1, none},
		{"a third address starts from nothing", other, 1, true, old, 4, none},
		{"the old one is back", old, 10, true, old, 1000, old},
		{"away again", fresh, 100, true, old, 301, none},
		{"QUIC has validated it: no limit", none, 0, false, fresh, 100000, fresh},
		{"a copy of an old packet from the old address moves nothing", old, 100, false, fresh, 100, fresh},
	} {
		if step.from.IsValid() {
			r.heard(step.from, step.size, step.newest)
		}
		got, ok := r.to(step.quic, step.send)
		if got != step.want || ok != step.want.IsValid() {
			t.Errorf("%s: got %v %v, want %v", step.why, got, ok, step.want)
		}
	}
}

// wantMoved says so unless the publisher was moved once, to where n has it now.
func (s *collector) wantMoved(t *testing.T, n *nat) {
	t.Helper()
	if s.end.Moved != 1 || s.end.Peer != addrPort(n.port().LocalAddr()) {
		t.Errorf("moved %d times, to %v, want once, to %v", s.end.Moved, s.end.Peer, n.port().LocalAddr())
	}
}

// The publisher's NAT takes another port in the middle of the stream: no frame is lost, and the relay's answers follow.
func TestRebindingLosesNothing(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	sink := newCollector()
	l := relayFor(t, sink)
	n := newNAT(t, l.Addr())
	c, done := publish(t, urlOf(l, n.addr(), ""), steady)
	feed(t, c, 0, 100)
	n.rebind()
	feed(t, c, 100, 5)
	n.mu.Lock()
	up, down := n.up, n.down // RTT of a loopback: QUIC may have validated the port by now, but so little is sent that it does not matter
	n.mu.Unlock()
	if down > amplification*up {
		t.Errorf("%d bytes to the new address for %d from it", down, up)
	}
	feed(t, c, 105, 145)
	sink.has(250)
	finish(t, c, done, sink)
	sink.wantAll(t, 250)
	sink.wantMoved(t, n)
	if st := c.Stats(); st.Reconnects != 0 {
		t.Errorf("%d reconnects, want none", st.Reconnects)
	}
}

// Someone who sees the traffic forges, alters, cuts and repeats it from an address of his own: all of it is counted, none
// of it reaches the stream or turns the relay's answers towards him.
func TestForgeriesAreCountedAndMoveNothing(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	sink := newCollector()
	l := relayFor(t, sink)
	n := newNAT(t, l.Addr())
	c, done := publish(t, urlOf(l, n.addr(), "&transport=srtp"), steady)
	evil, err := net.DialUDP("udp4", nil, l.Addr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer evil.Close()
	var mu sync.Mutex // guards what follows
	var sent struct{ replayed, altered, cut, stray, flood int }
	count := 0
	n.watch(func(b []byte) bool {
		if !wire.IsMedia(b) {
			return true
		}
		mu.Lock()
		defer mu.Unlock()
		if count++; count%3 != 0 {
			_, _ = n.port().Write(b) // the real one first
			_, _ = evil.Write(b)
			sent.replayed++
			return false
		}
		bad := bytes.Clone(b)
		bad[len(bad)-1-count%20] ^= 1
		_, _ = evil.Write(bad)
		sent.altered++
		_, _ = evil.Write(b[:12+count%10])
		sent.cut++
		bad = bytes.Clone(b)
		bad[8] ^= 0x55 // another tag
		_, _ = evil.Write(bad)
		sent.stray++
		_, _ = evil.Write(bytes.Repeat([]byte{0x80, 96}, 10)) // no tag of ours
		sent.flood++
		return true
	})
	feed(t, c, 0, 100)
	sink.has(100)
	n.watch(nil)
	finish(t, c, done, sink)
	sink.wantAll(t, 100)
	mu.Lock()
	defer mu.Unlock()
	d := sink.end.Stats.Drops
	if got := int(d[transport.DropReplayed]); got < sent.replayed {
		t.Errorf("%d counted as replayed, want %d", got, sent.replayed)
	}
	if got := int(d[transport.DropUnauthentic] + d[transport.DropMalformed]); got < sent.altered+sent.cut {
		t.Errorf("%d counted as unauthentic or malformed, want %d", got, sent.altered+sent.cut)
	}
	if got := int(l.Stray()); got < sent.stray+sent.flood {
		t.Errorf("%d counted as nobody's, want %d", got, sent.stray+sent.flood)
	}
	if sink.end.Moved != 0 || sink.end.Peer != addrPort(n.port().LocalAddr()) {
		t.Errorf("moved %d times, to %v", sink.end.Moved, sink.end.Peer)
	}
	_ = evil.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if k, err := evil.Read(make([]byte, 2000)); err == nil {
		t.Errorf("%d bytes were sent to the forger", k)
	}
}

// The connection dies without a word; the publisher comes back with its session id before the relay has noticed, and the
// session goes on where it was: no frame is lost.
func TestSessionGoesOnAfterALostConnection(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	sink := newCollector()
	l := relayFor(t, sink)
	var mu sync.Mutex
	var states []State
	// 8 s: to come back takes a loaded machine seconds.
	c, done := publish(t, strings.Replace(urlOf(l, netip.AddrPort{}, ""), "latency=2s", "latency=8s", 1), DialConfig{
		Controller: steady.Controller,
		OnState:    func(s State, _ error) { mu.Lock(); defer mu.Unlock(); states = append(states, s) },
	})
	feed(t, c, 0, 60)
	c.first.path.sock.Close() // the publisher's network is gone under it
	frames := feedUntil(t, c, 60, "back", func() bool { return c.Stats().Reconnects == 1 })
	feed(t, c, frames, 50)
	frames += 50
	sink.has(frames)
	finish(t, c, done, sink)
	sink.wantAll(t, frames)
	if err := sink.end.Err; err != nil {
		t.Errorf("the session ended with %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	st := c.Stats()
	if st.Reconnects != 1 || st.Unsent != 0 || st.Relay.FramesDelivered != st.Sender.FramesSent {
		t.Errorf("%d reconnects, %d frames unsent; states %v; %+v", st.Reconnects, st.Unsent, states, st)
	}
}

// A network lets QUIC through and drops what is beside it: after two seconds the stream goes on inside QUIC.
func TestFallsBackToDatagrams(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	sink := newCollector()
	l := relayFor(t, sink)
	n := newNAT(t, l.Addr())
	n.watch(func(b []byte) bool { return !wire.IsMedia(b) })
	c, done := publish(t, urlOf(l, n.addr(), ""), steady)
	n1 := feedUntil(t, c, 0, "frames inside QUIC", func() bool { return c.Stats().Carriage == Datagram && sink.newest() > 0 })
	feed(t, c, n1, 50)
	finish(t, c, done, sink)
	if st := c.Stats(); st.Carriage != Datagram {
		t.Errorf("carriage %v", st.Carriage)
	}
	if k := len(sink.frames); k == 0 || int(sink.frames[k-1]) != n1+49 {
		t.Errorf("%d frames inside QUIC", k)
	}
}

// The same from the middle of a stream on; and beside QUIC again after a handover to another network. Nothing is lost, what was sent into the
// blockade neither: it is late.
func TestGoesOnInsideQUICAndBack(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	sink := newCollector()
	l := relayFor(t, sink)
	n := newNAT(t, l.Addr())
	c, done := publish(t, urlOf(l, n.addr(), ""), steady)
	n1 := feedUntil(t, c, 0, "long frames beside QUIC", func() bool { return sink.newest() > 20 && c.Stats().MTU > maxMTU-50 })
	if st := c.Stats(); st.Carriage != SRTP {
		t.Errorf("carriage %v", st.Carriage)
	}
	n.watch(func(b []byte) bool { return !wire.IsMedia(b) })
	n2 := feedUntil(t, c, n1, "frames inside QUIC", func() bool { return c.Stats().Carriage == Datagram && sink.newest() > n1 })
	n.several()
	n.watch(nil)
	moved := make(chan error, 1)
	go func() { moved <- c.Handover(t.Context()) }()
	n3 := feedUntil(t, c, n2, "frames beside QUIC again", func() bool { return c.Stats().Carriage == SRTP && sink.newest() > n2 })
	if err := <-moved; err != nil {
		t.Errorf("Handover = %v", err)
	}
	feed(t, c, n3, 50)
	finish(t, c, done, sink)
	sink.wantAll(t, n3+50)
}

// One packet of media from a new address is enough, whatever becomes of QUIC's: the relay takes it in and answers there, with no more than three
// times its bytes while that is all that has come.
func TestMediaGoesOnAtTheFirstPacketFromANewAddress(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	sink := newCollector()
	l := relayFor(t, sink)
	n := newNAT(t, l.Addr())
	c, done := publish(t, urlOf(l, n.addr(), "&transport=srtp"), steady)
	feed(t, c, 0, 30)
	n.watch(func([]byte) bool { return false })
	n.rebind()
	passes := 1
	n.watch(func(b []byte) bool {
		if passes == 0 || !wire.IsMedia(b) {
			return false
		}
		passes--
		return true
	})
	next := feedUntil(t, c, 30, "an answer to the new address", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.down > 0
	})
	n.mu.Lock()
	passed, down := n.passed, n.down
	n.see = nil
	n.mu.Unlock()
	if down > amplification*passed {
		t.Errorf("%d bytes to the new address, for %d from it", down, passed)
	}
	feed(t, c, next, 20)
	finish(t, c, done, sink)
	sink.wantMoved(t, n)
}

// QUIC's own validation of a new address does not get through: the relay sends it no more than three times what came from there.
func TestNothingBeyondThreeTimesToAnAddressNobodyValidated(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	sink := newCollector()
	l := relayFor(t, sink)
	n := newNAT(t, l.Addr())
	c, done := publish(t, urlOf(l, n.addr(), "&transport=srtp"), steady)
	feed(t, c, 0, 30)
	up := 0
	n.watch(func(b []byte) bool { // media only, and only every tenth packet of it
		if !wire.IsMedia(b) {
			return false
		}
		up++
		return up%10 == 0
	})
	n.rebind()
	feed(t, c, 30, 50)
	passed, down := 0, 0
	next := feedUntil(t, c, 80, "something for the new address", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		passed, down = n.passed, n.down
		return down > 0
	})
	if down == 0 || down > amplification*passed {
		t.Errorf("%d bytes to an address nobody validated, for %d from it", down, passed)
	}
	n.watch(nil)
	feed(t, c, next, 20)
	finish(t, c, done, sink)
}

// A planned handover: the new path is validated while the stream runs on the old one; then everything moves at once.
func TestPlannedHandoverLosesNothing(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	sink := newCollector()
	l := relayFor(t, sink)
	c, done := publish(t, urlOf(l, netip.AddrPort{}, "&transport=srtp"), steady)
	before := c.first.path.sock.LocalAddr()
	moved := make(chan error, 1)
	go func() {
		time.Sleep(300 * time.Millisecond)
		moved <- c.Handover(t.Context())
	}()
	n := feedUntil(t, c, 0, "handed over", func() bool { return c.Stats().Handovers == 1 })
	if err := <-moved; err != nil {
		t.Errorf("Handover = %v", err)
	}
	feed(t, c, n, 50)
	sink.has(n + 50)
	finish(t, c, done, sink)
	sink.wantAll(t, n+50)
	if sink.end.Moved != 1 || sink.end.Peer.Port() == addrPort(before).Port() {
		t.Errorf("moved %d times, to %v from %v", sink.end.Moved, sink.end.Peer, before)
	}
	if st := c.Stats(); st.Handovers != 1 || st.Reconnects != 0 {
		t.Errorf("%d handovers and %d reconnects", st.Handovers, st.Reconnects)
	}
}
