package srt

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/sim"
	"github.com/fairlead-live/fairlead/congestion"
)

// lone is a connected Caller whose peer is the test.
type lone struct {
	*Caller
	t   testing.TB
	now time.Time
}

// newLone connects without a path; the round trip is what ACKs say.
func newLone(t testing.TB, cfg CallerConfig) *lone {
	t.Helper()
	cfg.Secret[0] = 7
	c, err := NewCaller(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := &lone{c, t, sim.Epoch}
	l.drain()
	l.answer(handshake{version: 5, extension: magic, isn: c.isn, kind: typeInduction, id: c.id, cookie: 1})
	l.drain()
	h := handshake{
		version: 5, extension: hasHS, isn: c.isn, window: 8192, kind: typeConclusion, id: 99, hs: true, hsType: extHSRsp, srtVersion: version,
		flags: callerFlags, recvDelay: uint16(c.latency / time.Millisecond), filter: []byte(cfg.Filter),
	}
	if c.seal != nil {
		h.km, h.kmType = c.km, extKMRsp
	}
	l.answer(h)
	if !c.Connected() {
		t.Fatal(c.err)
	}
	return l
}

func (l *lone) answer(h handshake) {
	p := Header{Control: true, Type: Handshake, Dest: l.id}
	l.HandleDatagram(l.now, h.append(p.Append(nil)))
}

func (l *lone) tell(t ControlType, info uint32, words ...uint32) {
	p := Header{Control: true, Type: t, Info: info, Dest: l.id}
	l.HandleDatagram(l.now, appendWords(p.Append(nil), words...))
}

// ack acknowledges all before the nth packet; the round trip is in ms.
func (l *lone) ack(number uint32, n int, rtt uint32) {
	l.tell(ACK, number, l.seq(n), rtt*1000, rtt*10, 8192, 400, 1000, 500_000)
}

func (l *lone) seq(n int) uint32 { return (l.isn + uint32(n)) & maxSeq }

func (l *lone) push(n int) {
	for range n {
		l.Push(l.now, make([]byte, 1316))
	}
}

// drain returns what comes out now.
func (l *lone) drain() (out []Header) {
	var b []byte
	for p, ok := l.AppendDatagram(b, l.now); ok; p, ok = l.AppendDatagram(b, l.now) {
		h, _, _ := ParseHeader(p)
		out = append(out, h)
		if len(out) > 10000 {
			l.t.Fatal("does not come to rest")
		}
	}
	return out
}

// after lets time pass, driven as by a shell.
func (l *lone) after(d time.Duration) (out []Header) {
	for end := l.now.Add(d); l.now.Before(end); {
		next := l.NextTimeout()
		if next.IsZero() || next.After(end) {
			next = end
		}
		if next.After(l.now) {
			l.now = next
		}
		got := l.drain()
		if out = append(out, got...); len(got) == 0 && !l.NextTimeout().IsZero() && !l.NextTimeout().After(l.now) {
			l.t.Fatal("busy without output")
		}
	}
	return out
}

func resent(hs []Header) (n int) {
	for _, h := range hs {
		if !h.Control && h.Resent {
			n++
		}
	}
	return n
}

func kind(hs []Header, t ControlType) (n int) {
	for _, h := range hs {
		if h.Control && h.Type == t {
			n++
		}
	}
	return n
}

// One asking, one resend: askings that were on their way when it left do nothing; a later one brings another.
func TestCallerDuplicateNAKs(t *testing.T) {
	l := newLone(t, CallerConfig{Latency: time.Second})
	l.push(20)
	l.after(50 * time.Millisecond)
	l.ack(1, 5, 100)
	l.drain()
	total := 0
	for _, step := range []struct {
		why  string
		wait time.Duration
		want int
	}{
		{"sent 50 ms ago, RTT 100: asked for too soon to be true", 0, 0}, {"asked for after a round trip", 60 * time.Millisecond, 2}, {"again 10 ms later", 10 * time.Millisecond, 0},
		{"40 ms later, as libsrt does", 40 * time.Millisecond, 0}, {"105 ms after the resend", 55 * time.Millisecond, 2},
	} {
		l.after(step.wait)
		l.tell(NAK, 0, l.seq(7), 1<<31|l.seq(9), l.seq(9))
		if got := resent(l.drain()); got != step.want {
			t.Errorf("%s: %d resends, want %d", step.why, got, step.want)
		}
		total += step.want
	}
	if s := l.Stats(); s.Resent-s.Timeouts != uint64(total) || s.Suppressed == 0 {
		t.Errorf("%+v", s)
	}
}

// What was given up is answered with a DROPREQ, and askings for what was never sent with nothing.
func TestCallerDropReq(t *testing.T) {
	l := newLone(t, CallerConfig{Latency: 100 * time.Millisecond})
	l.push(10)
	l.after(30 * time.Millisecond)
	l.ack(1, 2, 20)
	l.after(300 * time.Millisecond)
	l.push(1)
	l.drain()
	l.tell(NAK, 0, 1<<31|l.seq(0), l.seq(5), l.seq(8))
	p, ok := l.AppendDatagram(nil, l.now)
	h, body, _ := ParseHeader(p)
	first, last, good := parseDropReq(body)
	if !ok || h.Type != DropReq || !good || first != l.seq(2) || last != l.seq(8) {
		t.Errorf("got %v %d-%d, want a DROPREQ for %d-%d", h.Type, first, last, l.seq(2), l.seq(8))
	}
	l.tell(NAK, 0, l.seq(500))
	l.tell(ACK, 9, l.seq(500), 1, 1, 1)
	if got := l.drain(); len(got) > 0 {
		t.Errorf("answers %+v to askings for the future", got)
	}
	if s := l.Stats(); s.Dropped != 8 || s.DropReqs != 1 || s.Drops[DropOutOfRange] != 2 {
		t.Errorf("%+v", s)
	}
}

// However much is asked for, resends take their share of the stream.
func TestCallerBudget(t *testing.T) {
	l := newLone(t, CallerConfig{Latency: 2 * time.Second, ResendShare: 0.2})
	for i := range 4000 {
		l.push(1)
		l.after(2500 * time.Microsecond)
		if i%8 == 7 {
			l.ack(uint32(i), max(0, i-600), 5)
			l.tell(NAK, 0, 1<<31|l.seq(max(0, i-600)), l.seq(i))
		}
	}
	s := l.Stats()
	t.Logf("resent %d of %d, starved %d times", s.Resent, s.Sent, s.Starved)
	// 10 s of stream; the budget may have been saved up for the longer of a second and the latency.
	if share := float64(s.ResentBytes) / float64(s.SentBytes); share > 0.2*1.25 || share < 0.15 || s.Starved == 0 {
		t.Errorf("resends are %.2f of the stream, want 0.2", share)
	}
}

// maxbw bounds everything that leaves; what does not fit in time is dropped before it has a number.
func TestCallerMaxBW(t *testing.T) {
	for _, c := range []struct {
		why  string
		cfg  CallerConfig
		want congestion.Bitrate // what leaves of 4.2 Mbit/s, within 3 %
	}{
		{"no limit", CallerConfig{}, 4346 * congestion.Kbps},
		{"3 Mbit/s", CallerConfig{MaxBW: 3 * congestion.Mbps}, 3 * congestion.Mbps},
		{"3 Mbit/s, with parity", CallerConfig{MaxBW: 3 * congestion.Mbps, Filter: "fec,cols:5,rows:5"}, 3 * congestion.Mbps},
		{"25 % above 2 Mbit/s", CallerConfig{MaxBW: Relative, InputBW: 2 * congestion.Mbps}, 2500 * congestion.Kbps},
		{"25 % above what comes", CallerConfig{MaxBW: Relative}, 4346 * congestion.Kbps},
	} {
		c.cfg.Latency = 500 * time.Millisecond
		l := newLone(t, c.cfg)
		bytes := 0
		for i := range 4000 {
			l.push(1)
			for _, h := range l.after(2500 * time.Microsecond) {
				if !h.Control {
					bytes += 1316 + wireOverhead
				}
			}
			if i%4 == 0 {
				l.ack(uint32(i), int(l.next-int64(l.isn)-1<<31), 20)
			}
		}
		got := congestion.Bitrate(float64(bytes) * 8 / 10)
		if off := float64(got)/float64(c.want) - 1; off > 0.03 || off < -0.03 {
			t.Errorf("%s: %d kbit/s, want %d", c.why, got/congestion.Kbps, c.want/congestion.Kbps)
		}
		if s := l.Stats(); (s.Unsent > 0) != (got < 4*congestion.Mbps) || s.Taken != s.Unsent+uint64(s.Queued)+s.Sent {
			t.Errorf("%s: %+v", c.why, s)
		}
	}
}

// A host that stands still for less than a second loses nothing by it: what waited leaves late, and its receiver decides. What waited longer than
// that is dropped.
func TestCallerStandsStill(t *testing.T) {
	for _, c := range []struct {
		still time.Duration
		most  uint64 // unsent
	}{{400 * time.Millisecond, 0}, {980 * time.Millisecond, 0}, {1500 * time.Millisecond, 200}} {
		l := newLone(t, CallerConfig{Latency: 120 * time.Millisecond})
		for i := range 400 { // 4 Mbit/s
			l.push(1)
			l.after(2500 * time.Microsecond)
			l.ack(uint32(i+1), int(l.next-int64(l.isn)-1<<31), 20)
		}
		for range c.still / (2500 * time.Microsecond) {
			l.push(1)
			l.now = l.now.Add(2500 * time.Microsecond)
		}
		l.drain()
		for i := range 40 {
			l.after(5 * time.Millisecond)
			l.ack(uint32(i+1000), int(l.next-int64(l.isn)-1<<31), 20)
		}
		if s := l.Stats(); s.Unsent > c.most || c.most > 0 && s.Unsent == 0 || s.Dropped > 0 || s.Queued > 0 {
			t.Errorf("still for %v: %+v", c.still, s)
		}
	}
}

// A key frame does not leave in one burst, and has left within a quarter of the latency.
func TestCallerSpreadsBursts(t *testing.T) {
	l := newLone(t, CallerConfig{Latency: 400 * time.Millisecond})
	for range 400 { // 4 Mbit/s
		l.push(1)
		l.after(2500 * time.Microsecond)
		l.ack(1, int(l.next-int64(l.isn)-1<<31), 20)
	}
	l.push(200)
	burst := len(l.drain())
	l.after(110 * time.Millisecond)
	if burst > 20 || l.Stats().Queued > 0 {
		t.Errorf("%d packets at once, %d left after 110 ms", burst, l.Stats().Queued)
	}
}

// Nothing follows the last packet that would show its receiver that it is missing.
func TestCallerTail(t *testing.T) {
	l := newLone(t, CallerConfig{Latency: 500 * time.Millisecond})
	l.push(10)
	l.after(20 * time.Millisecond)
	l.ack(1, 10, 40)
	l.push(3)
	l.drain()
	l.ack(2, 11, 40)
	if n := resent(l.after(60 * time.Millisecond)); n > 0 {
		t.Errorf("%d resends within an RTT and a half", n)
	}
	if n := resent(l.after(60 * time.Millisecond)); n != 2 { // the first that is not acknowledged, and the last
		t.Errorf("%d resends, want 2", n)
	}
	if n := resent(l.after(400 * time.Millisecond)); n > 6 {
		t.Errorf("%d resends more, want ever fewer", n)
	}
	if l.after(time.Second); l.Stats().InFlight > 0 || l.Stats().Dropped != 2 {
		t.Errorf("%+v", l.Stats())
	}
}

// Each full ACK is answered with its number, a light one is not; a closed window stops new packets, not for ever.
func TestCallerACKs(t *testing.T) {
	l := newLone(t, CallerConfig{Latency: time.Second})
	l.push(50)
	l.after(100 * time.Millisecond)
	l.ack(77, 10, 40)
	l.tell(ACK, 0, l.seq(12))
	out := l.drain()
	if kind(out, ACKACK) != 1 || out[0].Info != 77 || l.Stats().Acked != 12 {
		t.Errorf("%+v, %+v", out, l.Stats())
	}
	l.tell(ACK, 78, l.seq(50), 40_000, 1000, 0)
	l.drain()
	l.push(10)
	if n := len(l.after(20 * time.Millisecond)); n != 2 {
		t.Errorf("%d packets into a closed window, want 2", n)
	}
	if n := kind(l.after(3*time.Second), Keepalive); n < 1 {
		t.Error("no keepalive")
	}
}

// New keys while the stream goes on, through loss; and a peer that does not answer keeps the old one.
func TestCallerKeyRefresh(t *testing.T) {
	defer func(a, b int) { keyRefresh, keyAnnounce = a, b }(keyRefresh, keyAnnounce)
	keyRefresh, keyAnnounce = 500, 200
	for _, gcm := range []bool{false, true} {
		r := newCall(t, sim.New(1), both(lossy(20*time.Millisecond, 0.05)), CallerConfig{Latency: 400 * time.Millisecond, Passphrase: secret, GCM: gcm}, Config{Passphrase: secret})
		r.stream(6 * time.Second)
		s := r.rx.conn.Stats()
		if m := r.missing(t); m > 0 || s.Drops[DropUndecrypted] > 0 || r.tx.seal.used >= 1000 {
			t.Errorf("gcm %v: missing %v, %d undecrypted, %d packets with one key", gcm, m, s.Drops[DropUndecrypted], r.tx.seal.used)
		}
	}
	l := newLone(t, CallerConfig{Passphrase: secret})
	l.push(1)
	l.drain()
	first := l.seal.active
	n := 0
	for i := range 1200 {
		l.push(1)
		n += kind(l.after(2*time.Millisecond), User)
		l.ack(uint32(i), i, 5)
	}
	if l.seal.active != first || n < keyTries/2 || n > 3*keyTries {
		t.Errorf("key %d, then %d; announced %d times", first, l.seal.active, n)
	}
}

// Sequence numbers wrap at 2^31, timestamps after 71.6 minutes: nobody sees a seam.
func TestCallerWraps(t *testing.T) {
	for _, f := range []string{"", "fec,cols:7,rows:3"} {
		w := sim.New(1)
		c, err := NewCaller(CallerConfig{Latency: 300 * time.Millisecond, Passphrase: secret, Filter: f})
		if err != nil {
			t.Fatal(err)
		}
		c.isn = maxSeq - 300
		c.first = int64(c.isn) + 1<<31
		c.next, c.acked = c.first, c.first
		c.epoch = w.Now().Add(2*time.Second - 1<<32*time.Microsecond)
		c.began = c.at(w.Now())
		r := &call{w: w, tx: c, rx: newServer(Config{Passphrase: secret})}
		r.link = w.Connect(both(lossy(20*time.Millisecond, 0.05)), c, r.rx)
		r.stream(4 * time.Second)
		if m := r.missing(t); m > 0 || len(r.sent) < 1500 || c.Stats().Acked < 1400 {
			t.Errorf("filter %q: missing %v of %d, %+v", f, m, len(r.sent), c.Stats())
		}
	}
}

// Parity in every layout and mode brings back what is lost, under GCM too. "never" resends nothing.
func TestCallerParity(t *testing.T) {
	for _, layout := range []string{"even", "staircase"} {
		for _, rows := range []int{1, 5, -5} {
			for i, arq := range []string{"always", "onreq", "never"} {
				if testing.Short() && i > 0 {
					continue
				}
				f := fmt.Sprintf("fec,cols:6,rows:%d,layout:%s,arq:%s", rows, layout, arq)
				r := newCall(t, sim.New(1), both(lossy(20*time.Millisecond, 0.03)),
					CallerConfig{Latency: 400 * time.Millisecond, Filter: f, Passphrase: secret, GCM: i%2 == 0}, Config{Passphrase: secret})
				r.stream(3 * time.Second)
				m, s, rx := r.missing(t), r.tx.Stats(), r.rx.conn.Stats()
				if most := map[string]float64{"always": 0, "onreq": 0.002, "never": 0.02}[arq]; m > most || rx.Rebuilt == 0 || s.Parity == 0 || arq == "never" && s.Resent > 0 {
					t.Errorf("%s: missing %.4f, %d rebuilt, %+v", f, m, rx.Rebuilt, s)
				}
			}
		}
	}
}

func TestCallerAllocs(t *testing.T) {
	if raceOn {
		return // it counts its own
	}
	l := newLone(t, CallerConfig{Latency: 100 * time.Millisecond, Passphrase: secret})
	payload, out, n := make([]byte, 1316), make([]byte, 0, 1500), 0
	nak := Header{Control: true, Type: NAK, Dest: l.id}
	step := func() {
		l.now = l.now.Add(2500 * time.Microsecond)
		n++
		l.Push(l.now, payload)
		for b, ok := l.AppendDatagram(out, l.now); ok; b, ok = l.AppendDatagram(out, l.now) {
			_ = b
		}
		if n%4 == 0 {
			h := Header{Control: true, Type: ACK, Info: uint32(n), Dest: l.id}
			a := ACKInfo{Next: l.seq(n - 20), RTT: 40_000, RTTVar: 1000, Available: 8000}
			l.HandleDatagram(l.now, a.Append(h.Append(out)))
			l.HandleDatagram(l.now, binary.BigEndian.AppendUint32(nak.Append(out), l.seq(n-19)))
		}
		l.NextTimeout()
		l.Buffered()
	}
	for range 2000 {
		step()
	}
	if a := testing.AllocsPerRun(1000, step); a > 0 {
		t.Errorf("%v allocations a packet", a)
	}
	if s := l.Stats(); s.Resent == 0 || s.Acked == 0 {
		t.Errorf("%+v", s)
	}
}

// FuzzCaller feeds a caller, before and after it is connected, with what a listener or anybody else might send.
func FuzzCaller(f *testing.F) {
	l := newLone(f, CallerConfig{})
	for _, c := range []struct {
		kind  ControlType
		info  uint32
		words []uint32
	}{
		{ACK, 1, []uint32{l.seq(3), 1000, 100, 8000, 5, 5, 5}}, {ACK, 0, []uint32{l.seq(9)}}, {NAK, 0, []uint32{1 << 31, maxSeq, 5}}, {NAK, 0, []uint32{1<<31 | l.seq(0), l.seq(8)}},
		{Shutdown, 0, []uint32{0}}, {User, 0, []uint32{4}}, {Handshake, 0, make([]uint32, 12)}, {DropReq, 1, []uint32{1, 2}},
	} {
		h := Header{Control: true, Type: c.kind, Info: c.info, Dest: l.id}
		f.Add(uint8(1), appendWords(h.Append(nil), c.words...), []byte{0x80, 3})
	}
	for _, n := range []string{"plain", "ctr", "filter"} {
		f.Add(uint8(0), captured(f, n+"-conclusion"), captured(f, n+"-induction"))
	}
	f.Fuzz(func(t *testing.T, mode uint8, a, b []byte) {
		cfg := CallerConfig{}
		if mode&2 != 0 {
			cfg.Filter = "fec,cols:3,rows:2"
		}
		if mode&4 != 0 {
			cfg.Passphrase = secret
		}
		var l *lone
		if mode&1 != 0 {
			l = newLone(t, cfg)
		} else {
			c, err := NewCaller(cfg)
			if err != nil {
				t.Fatal(err)
			}
			l = &lone{c, t, sim.Epoch}
			l.drain()
		}
		for i := range 24 {
			p := append([]byte(nil), a...)
			if i%2 == 1 {
				p = append(p[:0], b...)
			}
			if i%4 < 2 && len(p) >= HeaderLen { // else most are for nobody
				binary.BigEndian.PutUint32(p[12:], l.id)
			}
			l.push(3)
			l.HandleDatagram(l.now, p)
			l.after(time.Duration(mode>>3) * 2 * time.Millisecond)
			l.drain()
		}
		s := l.Stats()
		if s.Taken != s.Unsent+uint64(s.Queued)+s.Sent || s.Sent != s.Acked+s.Dropped+uint64(s.InFlight) || l.pool.used != s.Queued+s.InFlight || l.wanted.n < 0 {
			t.Errorf("%+v", s)
		}
	})
}
