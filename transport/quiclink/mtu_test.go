package quiclink

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// Datagrams grow to what QUIC finds the path to carry; when the network then drops the long ones without a word, they shrink
// and the stream goes on.
func TestDatagramsFitThePath(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	sink := newCollector()
	l := relayFor(t, sink)
	nat := newNAT(t, l.Addr())
	c, done := publish(t, urlOf(l, nat.addr(), "&transport=srtp"), steady)
	n := feedUntil(t, c, 0, "an MTU of 1300", func() bool { return c.Stats().MTU >= 1300 }) // QUIC looks for more once a round trip
	if got := c.Stats().MTU; got > maxMTU {
		t.Errorf("MTU = %d, want at most %d", got, maxMTU)
	}
	nat.watch(func(b []byte) bool { return !wire.IsMedia(b) || len(b) <= 1210 })
	n = feedUntil(t, c, n, "an MTU that passes", func() bool { return c.Stats().MTU == baseMTU })
	feed(t, c, n, 50)
	finish(t, c, done, sink)
	if got := c.Stats().MTU; got != baseMTU {
		t.Errorf("MTU = %d where 1210 pass, want %d", got, baseMTU)
	}
	if !slices.Contains(sink.frames, uint32(n)) { // made of long datagrams, if they were allowed
		t.Errorf("the last key frame is missing: %v", sink.frames)
	}
}

func TestTheSystemsLimitIsSeen(t *testing.T) {
	p, err := newPath()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	err = p.sock.send(make([]byte, 1<<16), nil, netip.AddrPortFrom(netip.IPv6Loopback(), 9))
	if !tooLong(err) {
		t.Errorf("a datagram of 64 KiB: %v, want EMSGSIZE", err)
	}
}

func TestQUICTellsThePathMTU(t *testing.T) {
	l := relayFor(t)
	p, err := newPath()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	pin, _ := l.Pin()
	tls, err := clientTLS("x", pin)
	if err != nil {
		t.Fatal(err)
	}
	cfg := quicConfig()
	cfg.DisablePathMTUDiscovery = true // it stays at the size of the first packet
	conn, err := p.tr.Dial(t.Context(), l.Addr(), tls, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseWithError(codeBye, "")
	if got := pathMTU(conn); got != 1280 {
		t.Errorf("the path MTU is %d, want quic-go's first packet of 1280", got)
	}
}
