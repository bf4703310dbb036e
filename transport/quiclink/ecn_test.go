package quiclink

import (
	"testing"

	"golang.org/x/net/ipv4"

	"github.com/fairlead-live/fairlead/bench/need"
)

// mark puts ECN bits onto every datagram up, as a router that is congested would.
func (n *nat) mark(ecn int) {
	n.t.Helper()
	if err := ipv4.NewConn(n.port()).SetTOS(ecn); err != nil {
		n.t.Fatal(err)
	}
}

// A mark that a router puts onto media arrives at the relay, is reported, and counts with the publisher, whose controller gets it; what
// is only ECN-capable is not congestion.
func TestMarksOfTheWayAreReported(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	sink := newCollector()
	l := relayFor(t, sink)
	way := newNAT(t, l.Addr())
	c, done := publish(t, urlOf(l, way.addr(), "&transport=srtp"), steady)
	way.mark(1) // ECT(1)
	feed(t, c, 0, 50)
	sink.has(50)
	if got := c.Stats().Sender.Marked; got != 0 {
		t.Errorf("%d packets marked where nothing was", got)
	}
	way.mark(3)
	n := feedUntil(t, c, 50, "a hundred marks that were reported", func() bool { return c.Stats().Sender.Marked >= 100 })
	sink.has(n)
	finish(t, c, done, sink)
	sink.wantAll(t, n)
	sent, came := c.Stats().Sender, sink.end.Stats
	if came.Marked < sent.Marked || came.Marked > sent.Datagrams {
		t.Errorf("the relay saw %d marks, the publisher was told %d, of %d datagrams", came.Marked, sent.Marked, sent.Datagrams)
	}
}
