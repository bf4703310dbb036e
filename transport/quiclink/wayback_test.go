package quiclink

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/transport/srtp"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// reportOf is the relay's about count probes from begin on, of which those that came say so came.
func reportOf(t testing.TB, begin int64, count int, came func(index int64) bool) *wire.Feedback {
	t.Helper()
	metrics := make([]wire.Metric, count)
	for i := range metrics {
		if came(begin + int64(i)) {
			metrics[i] = wire.NewMetric(0, 0)
		}
	}
	f, err := wire.ParseFeedback(wire.AppendFeedback(nil, 0, 0, uint16(begin), metrics, 0))
	if err != nil {
		t.Fatal(err)
	}
	return &f
}

// Media goes back beside QUIC when a round of probes has come through: three in a row, and half of them. A round in vain doubles the wait, up to
// two minutes.
func TestWayBack(t *testing.T) {
	zero := time.Unix(1000, 0)
	for _, c := range []struct {
		why   string
		came  func(at time.Duration, index int64) bool
		after time.Duration // media goes back; 0: not within ten minutes
		sent  int64         // probes until then
	}{
		{"a hiccup of 5 s", func(at time.Duration, _ int64) bool { return at > 5*time.Second }, 10800 * time.Millisecond, 10},
		{"10 % of loss", func(_ time.Duration, i int64) bool { return i%10 != 4 }, 10800 * time.Millisecond, 10},
		{"two of three come", func(_ time.Duration, i int64) bool { return i%3 != 0 }, 0, 70},
		{"the first of a round come, as where a rate is limited", func(_ time.Duration, i int64) bool { return i%10 < 4 }, 0, 70},
		{"the last of a round come", func(_ time.Duration, i int64) bool { return i%10 > 3 }, 10800 * time.Millisecond, 10},
		{"blocked for a minute and a half: rounds begin at 10, 32, 74 and 156 s", func(at time.Duration, _ int64) bool { return at > 90*time.Second }, 156800 * time.Millisecond, 40},
		{"blocked for good", func(time.Duration, int64) bool { return false }, 0, 70},
	} {
		w := wayBack{wait: backEvery}
		got := map[int64]bool{}
		var back time.Duration
		for at := time.Duration(0); at < 10*time.Minute && back == 0; at += targetEvery {
			for range w.due(zero.Add(at)) {
				i := w.take()
				got[i] = c.came(at, i)
			}
			begin := max(0, w.next-16)
			w.heard(reportOf(t, begin, int(w.next-begin), func(i int64) bool { return got[i] }))
			if w.arrives() {
				back = at
			}
		}
		if back != c.after {
			t.Errorf("%s: back after %v, want %v", c.why, back, c.after)
		}
		if w.next != c.sent {
			t.Errorf("%s: %d probes, want %d", c.why, w.next, c.sent)
		}
	}
}

// Reports that speak of other rounds, of the future, or of all there is change nothing.
func TestWayBackAndReportsThatLie(t *testing.T) {
	zero := time.Unix(1000, 0)
	w := wayBack{wait: backEvery, next: 70000, first: 69990} // beyond 16 bits
	all := func(int64) bool { return true }
	w.due(zero)
	w.heard(reportOf(t, 0, wire.MaxMetrics, all))
	if w.arrives() {
		t.Error("back without a round")
	}
	now := zero.Add(backEvery)
	for w.due(now) > 0 && w.next < 70009 {
		w.take()
	}
	w.heard(reportOf(t, 69900, 300, all))
	if w.arrives() {
		t.Error("back before the round has been sent")
	}
	w.take()
	w.came = 0
	w.heard(reportOf(t, 69000, 500, all))
	if w.heard(reportOf(t, 70010, 500, all)); w.came != 0 {
		t.Errorf("reports of others count: %b", w.came)
	}
	w.heard(reportOf(t, 69995, 20, all))
	if !w.arrives() {
		t.Errorf("not back, with %b", w.came)
	}
}

// What is altered, cut, repeated, of another type or not sealed is no probe.
func TestKnocks(t *testing.T) {
	var up, down srtp.Keys
	up.Key[0], down.Key[0] = 1, 2
	var ours, theirs keyring
	var err error
	if ours.seal, ours.open, err = ends(up, down); err != nil {
		t.Fatal(err)
	}
	if theirs.seal, theirs.open, err = ends(down, up); err != nil {
		t.Fatal(err)
	}
	const tag = 77
	now := time.Unix(1000, 0)
	probe := func(index int64, body []byte) *packet {
		b, err := ours.seal.SealRTP(append(wire.AppendRTP(nil, wire.RTP{Sequence: uint16(index), SSRC: wire.SSRC(tag, 0)}), body...), 0, index)
		if err != nil {
			t.Fatal(err)
		}
		p := &packet{at: now, size: len(b)}
		copy(p.data[:], b)
		return p
	}
	good := wire.AppendProbe(nil, 0)
	k := knocks{keys: &theirs}
	first := probe(0, good)
	altered, cut := *first, *first
	altered.data[14] ^= 1
	cut.size = 20
	plain := &packet{at: now}
	plain.size = copy(plain.data[:], append(wire.AppendRTP(nil, wire.RTP{SSRC: wire.SSRC(tag, 0)}), good...))
	for why, p := range map[string]*packet{"altered": &altered, "cut": &cut, "plain": plain, "empty": {at: now}, "noise": {at: now, size: 300}} {
		if b, ok := k.answer(nil, now, p, tag); ok || len(b) != 0 {
			t.Errorf("%s: an answer of %d bytes", why, len(b))
		}
	}
	for _, step := range []struct {
		why  string
		p    *packet
		ok   bool
		from uint16
		want string // of probes from there on
	}{
		{"the first", first, true, 0, "1"},
		{"the same", first, false, 0, ""},
		{"two are missing", probe(3, good), true, 0, "1001"},
		{"media", probe(4, []byte{1, 0, 0, 0, 0, 0, 0, 9}), false, 0, ""},
		{"long after", probe(20, good), true, 5, "0000000000000001"},
	} {
		b, ok := k.answer(nil, now, step.p, tag)
		if ok != step.ok {
			t.Errorf("%s: answered %v", step.why, ok)
		}
		if !ok {
			continue
		}
		if b, err = ours.open.OpenRTCP(nil, b); err != nil {
			t.Fatalf("%s: %v", step.why, err)
		}
		f, err := wire.ParseFeedback(b)
		if err != nil {
			t.Fatalf("%s: %v", step.why, err)
		}
		var got bytes.Buffer
		for i := range f.Len() {
			got.WriteByte('0' + byte(f.Metric(i)>>15))
		}
		if f.Begin != step.from || got.String() != step.want {
			t.Errorf("%s: from %d %s, want from %d %s", step.why, f.Begin, &got, step.from, step.want)
		}
	}
}

// A firewall drops for a while what is beside QUIC, and drops long datagrams for a while longer: the stream goes on inside QUIC, and beside it again as soon
// as media would arrive there. Nothing is lost or comes twice. Meanwhile nothing is believed that comes beside QUIC and is not sealed.
func TestGoesBackBesideQUIC(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	sink := newCollector()
	l := relayFor(t, sink)
	n := newNAT(t, l.Addr())
	c, done := publish(t, strings.Replace(urlOf(l, n.addr(), "&inorder=1"), "latency=2s", "latency=8s", 1), steady, func(c *Client) { c.every = 100 * time.Millisecond })
	n1 := feedUntil(t, c, 0, "frames beside QUIC", func() bool { return sink.newest() > 20 })
	n.watch(func(b []byte) bool { return !wire.IsMedia(b) })
	n1 = feedUntil(t, c, n1, "frames inside QUIC", func() bool { return c.Stats().Carriage == Datagram && sink.newest() > n1 })
	probes, short := 0, 0 // guarded by n.mu
	n.watch(func(b []byte) bool {
		if !wire.IsMedia(b) || len(b) <= 600 {
			return true
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if probes++; len(b) != baseMTU {
			short++
		}
		return false
	})
	n2 := feedUntil(t, c, n1, "a round of probes in vain", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return probes >= backProbes
	})
	if st := c.Stats(); st.Carriage != Datagram {
		t.Errorf("carriage %v while media beside QUIC is dropped", st.Carriage)
	}
	tag := uint32(0)
	l.sock.mu.RLock()
	for k := range l.sock.routes {
		tag = k
	}
	l.sock.mu.RUnlock()
	stray := l.Stray()
	lie := append(wire.AppendRTP(nil, wire.RTP{Sequence: 9, SSRC: wire.SSRC(tag, 0)}), byte(wire.TypeSource), 0, 0, 0xff, 0)
	for range 20 {
		_, _ = n.port().Write(append(lie, make([]byte, 100)...))
	}
	n3 := feedUntil(t, c, n2, "what is not sealed was counted", func() bool { return l.Stray() >= stray+20 })
	n.watch(nil)
	n4 := feedUntil(t, c, n3, "frames beside QUIC again", func() bool { return c.Stats().Carriage == SRTP && sink.newest() > n3 })
	feed(t, c, n4, 50)
	finish(t, c, done, sink)
	sink.wantAll(t, n4+50)
	n.mu.Lock()
	defer n.mu.Unlock()
	if short > 0 {
		t.Errorf("%d probes of %d are not as long as media", short, probes)
	}
}
