package srt

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/sim"
)

var addrA, addrB = netip.MustParseAddrPort("192.0.2.1:1000"), netip.MustParseAddrPort("192.0.2.2:1000")

func TestRefusals(t *testing.T) {
	salt, key := []byte("0123456789abcdef"), bytes.Repeat([]byte{1}, 16)
	ctr := keyMessage(1, cipherCTR, 0, salt, key, 16)
	gcm := keyMessage(1, cipherGCM, 1, salt, key, 16)
	for _, c := range []struct {
		why  string
		cfg  Config
		edit func(*caller)
		want RejectCode
	}{
		{"file mode", Config{}, func(c *caller) { c.flags |= flagStream }, RejectMessageAPI},
		{"before 1.3", Config{}, func(c *caller) { c.version = 0x010203 }, RejectVersion},
		{"group", Config{}, func(c *caller) { c.group = groupInfo{id: groupMark, kind: 3}.append(nil) }, RejectGroup},
		{"filter", Config{}, func(c *caller) { c.filter = "rs,cols:3" }, RejectFilter},
		{"no secret there", Config{Passphrase: secret}, func(*caller) {}, RejectUnsecure},
		{"no secret here", Config{}, func(c *caller) { c.km = ctr }, RejectUnsecure},
		{"wrong secret", Config{Passphrase: "another secret"}, func(c *caller) { c.km = ctr }, RejectBadSecret},
		{"old GCM", Config{Passphrase: secret}, func(c *caller) { c.km, c.version = gcm, 0x010502 }, RejectCrypto},
		{"application", Config{}, func(c *caller) { c.streamID = "bad" }, 2401},
	} {
		w := sim.New(1)
		tx := newCaller(7, 1000, "k", 0)
		c.edit(tx)
		rx := newServer(c.cfg)
		rx.admit = func(r *Request) RejectCode {
			if r.StreamID == "bad" {
				return 2401
			}
			return 0
		}
		w.Connect(both(delayed(time.Millisecond)), tx, rx)
		w.Run(time.Second)
		if tx.state != 3 || RejectCode(tx.code) != c.want || rx.l.Conns() != 0 {
			t.Errorf("%s: state %d, code %d, want %d", c.why, tx.state, tx.code, c.want)
		}
	}
}

// shake takes a caller through the handshake by hand, from an address.
func shake(t *testing.T, s *server, now time.Time, from netip.AddrPort, tx *caller) {
	t.Helper()
	tx.began, s.out = now, nil
	for range 2 {
		s.l.HandleDatagram(now, from, tx.handshake(now))
		s.drive(now)
		for _, b := range s.out {
			tx.HandleDatagram(now, b)
		}
		s.out = nil
	}
}

// connect is shake for those that are let in.
func connect(t *testing.T, s *server, now time.Time, from netip.AddrPort, tx *caller) *Conn {
	t.Helper()
	shake(t, s, now, from, tx)
	if tx.state != 2 {
		t.Fatalf("not connected: state %d, code %d", tx.state, tx.code)
	}
	return s.conn
}

func TestRepeatedConclusionGetsTheSameAnswer(t *testing.T) {
	s, now := newServer(Config{}), time.Unix(1e9, 0)
	tx := newCaller(7, 1000, "k", 0)
	connect(t, s, now, addrA, tx)
	want := s.conn.response
	tx.state = 1
	for i := range 5 {
		s.out = nil
		s.l.HandleDatagram(now.Add(time.Duration(i)*time.Second), addrA, tx.handshake(now))
		s.drive(now)
		if len(s.out) != 1 || !bytes.Equal(s.out[0], want) || s.l.Conns() != 1 {
			t.Fatalf("repeat %d: %x, %d connections", i, s.out, s.l.Conns())
		}
	}
}

func TestTakeover(t *testing.T) {
	for _, c := range []struct {
		why  string
		from netip.AddrPort
		isn  uint32
		key  string
		took bool
	}{
		{"the same socket, restarted", addrA, 5, "k", true},
		{"the same id and stream from another port", netip.MustParseAddrPort("192.0.2.1:2000"), 5, "k", true},
		{"the same id from elsewhere for another stream", netip.MustParseAddrPort("192.0.2.9:1000"), 5, "other", false},
	} {
		s, now := newServer(Config{Latency: time.Second}), time.Unix(1e9, 0)
		tx := newCaller(7, 1000, "k", 0)
		old := connect(t, s, now, addrA, tx)
		tx.push(now, make([]byte, 100))
		s.l.HandleDatagram(now, addrA, tx.out[len(tx.out)-1])
		s.drive(now)
		fresh := connect(t, s, now, c.from, newCaller(7, c.isn, c.key, 0))
		s.drive(now)
		if took := old.Err() == ErrTaken; took != c.took || fresh == old || fresh.Err() != nil {
			t.Errorf("%s: %v, %v", c.why, old.Err(), fresh.Err())
		}
		if n := len(s.got); c.took != (n == 1) {
			t.Errorf("%s: %d payloads of the old connection came out", c.why, n)
		}
	}
}

func TestOthersCannotDisturb(t *testing.T) {
	s, now := newServer(Config{Latency: 100 * time.Millisecond}), time.Unix(1e9, 0)
	tx := newCaller(7, 1000, "k", 0)
	c := connect(t, s, now, addrA, tx)
	stranger := netip.MustParseAddrPort("198.51.100.1:9")
	bye := Header{Control: true, Type: Shutdown, Dest: c.id}
	s.l.HandleDatagram(now, stranger, bye.Append(nil))
	data := Header{Seq: 1000, Position: 3, MessageNo: 1, Dest: c.id}
	s.l.HandleDatagram(now, stranger, append(data.Append(nil), 1, 2, 3, 4))
	// Handshakes without a cookie, as a flood with forged sources sends them, leave nothing behind.
	f := newCaller(9, 1, "k", 0)
	f.state, f.cookie, f.began = 1, 12345, now
	for i := range 5000 {
		s.l.HandleDatagram(now, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 5), f.handshake(now))
	}
	s.drive(now)
	d := s.l.Drops()
	if c.Err() != nil || c.Stats().Received != 0 || s.l.Conns() != 1 || len(s.l.pending) != 0 || d[DropWrongSource] != 2 || d[DropCookie] != 5000 {
		t.Errorf("%v, %+v, %v", c.Err(), c.Stats(), d)
	}
}

func TestBounds(t *testing.T) {
	s, now := newServer(Config{Latency: time.Second, MaxBuffered: 10 * maxDatagram, MaxConns: 1}), time.Unix(1e9, 0)
	tx := newCaller(7, 1000, "k", 0)
	c := connect(t, s, now, addrA, tx)
	for _, seq := range []uint32{1000, 1000 + flowWindow, 999, 1000} {
		h := Header{Seq: seq, Position: 3, MessageNo: 1, Dest: c.id}
		s.l.HandleDatagram(now, addrA, append(h.Append(nil), make([]byte, 100)...))
	}
	for i := range uint32(20) {
		h := Header{Seq: 1001 + i, Position: 3, MessageNo: 1, Dest: c.id}
		s.l.HandleDatagram(now, addrA, append(h.Append(nil), make([]byte, 100)...))
	}
	h := Header{Seq: 1050, Position: 3, Dest: c.id}
	s.l.HandleDatagram(now, addrA, h.Append(nil)) // packet filter
	st := c.Stats()
	if st.Drops[DropOutOfRange] != 1 || st.Drops[DropBelated] != 1 || st.Drops[DropDuplicate] != 1 || st.Drops[DropNoRoom] != 11 || st.Drops[DropFilter] != 1 {
		t.Errorf("%+v", st)
	}
	checkSums(t, c)
	two := newCaller(8, 1, "k2", 0)
	two.began = now
	s.l.HandleDatagram(now, addrA, two.handshake(now))
	s.drive(now)
	for _, b := range s.out {
		two.HandleDatagram(now, b)
	}
	s.out = nil
	s.l.HandleDatagram(now, addrA, two.handshake(now))
	s.drive(now)
	for _, b := range s.out {
		two.HandleDatagram(now, b)
	}
	if RejectCode(two.code) != RejectResource {
		t.Errorf("a second connection: state %d, code %d", two.state, two.code)
	}
}

func TestSilenceEndsIt(t *testing.T) {
	w := sim.New(1)
	r := newRun(w, both(delayed(10*time.Millisecond)), newCaller(7, 1000, "k", 0), Config{})
	r.stream(100 * time.Millisecond)
	w.Run(6 * time.Second)
	if r.rx.err != ErrSilent || r.rx.l.Conns() != 0 || r.rx.l.pool.used != 0 {
		t.Errorf("%v, %d connections, %d buffers", r.rx.err, r.rx.l.Conns(), r.rx.l.pool.used)
	}
}

func TestDropRequest(t *testing.T) {
	s, now := newServer(Config{Latency: 100 * time.Millisecond}), time.Unix(1e9, 0)
	tx := newCaller(7, 1000, "k", 0)
	c := connect(t, s, now, addrA, tx)
	for i := range 10 {
		tx.push(now, make([]byte, 100))
		if i < 2 || i > 6 {
			s.l.HandleDatagram(now, addrA, tx.out[len(tx.out)-1])
		}
	}
	h := Header{Control: true, Type: DropReq, Dest: c.id}
	s.l.HandleDatagram(now, addrA, appendWords(h.Append(nil), 1002, 1006))
	s.drive(now)
	if c.contiguous() != c.high || len(c.losses.list) != 0 {
		t.Errorf("still wants %d of %d", c.contiguous(), c.high)
	}
	for _, b := range s.out {
		if p, _, _ := ParseHeader(b); p.Type == NAK {
			t.Error("asked for what will not come")
		}
	}
}

// An ACK says what belacoder and Moblin steer by.
func TestHonestACK(t *testing.T) {
	w := sim.New(1)
	r := newRun(w, both(delayed(30*time.Millisecond)), newCaller(7, 1000, "k", 500*time.Millisecond), Config{})
	r.stream(3 * time.Second)
	a := r.tx.acks[len(r.tx.acks)-1]
	held := flowWindow - int(a.Available)
	if a.RTT < 59_000 || a.RTT > 62_000 || a.RTTVar > 2000 || held < 180 || held > 215 || a.Rate < 360 || a.Rate > 400 || a.ByteRate < 480_000 || a.ByteRate > 560_000 || a.Capacity < 360 {
		t.Errorf("%+v, %d held", a, held)
	}
	if n := len(r.tx.acks); n < 280 || n > 310 {
		t.Errorf("%d full ACKs in 3 s, want one each 10 ms", n)
	}
}

func TestNoAllocations(t *testing.T) {
	if raceOn {
		t.Skip("the race detector allocates")
	}
	for _, pass := range []string{"", secret} {
		s, now := newServer(Config{Latency: 100 * time.Millisecond, Passphrase: pass}), time.Unix(1e9, 0)
		tx := newCaller(7, 1000, "k", 0)
		if pass != "" {
			salt, key := []byte("0123456789abcdef"), bytes.Repeat([]byte{1}, 16)
			tx.km = keyMessage(1, cipherCTR, 0, salt, key, 16)
		}
		c := connect(t, s, now, addrA, tx)
		b := make([]byte, HeaderLen+1316)
		out := make([]byte, 0, 1500)
		n := uint32(0)
		packet := func() {
			now = now.Add(time.Millisecond)
			n++
			if n%10 == 0 {
				n++ // lost
			}
			h := Header{Seq: 999 + n, Position: 3, MessageNo: n, Timestamp: 1000 * n, Dest: c.id}
			if pass != "" {
				h.Key = keyEven
			}
			h.Append(b[:0])
			s.l.HandleDatagram(now, addrA, b)
			for c := s.l.Next(now); c != nil; c = s.l.Next(now) {
				for _, ok := c.PopPayload(now); ok; _, ok = c.PopPayload(now) {
				}
				for o, ok := c.AppendDatagram(out, now); ok; o, ok = c.AppendDatagram(out, now) {
					_ = o
				}
			}
		}
		for range 500 {
			packet()
		}
		if a := testing.AllocsPerRun(2000, packet); a != 0 {
			t.Errorf("passphrase %q: %v allocations a packet", pass, a)
		}
		if st := c.Stats(); st.Delivered < 2000 || st.Asked == 0 {
			t.Errorf("%+v", st)
		}
	}
}

// FuzzListener throws packets at a listener with a connection: the input is a list of lengths and bodies.
func FuzzListener(f *testing.F) {
	packets := func(ps ...[]byte) (out []byte) {
		for _, p := range ps {
			out = append(binary.BigEndian.AppendUint16(out, uint16(len(p))), p...)
		}
		return out
	}
	f.Add(packets(captured(f, "plain-induction"), captured(f, "plain-conclusion")), uint16(10))
	f.Add(packets(captured(f, "ctr-conclusion"), captured(f, "filter-conclusion")), uint16(10))
	var many [][]byte
	for i := range uint32(20) {
		h := Header{Seq: 1000 + i*i, Position: 3, MessageNo: i, Timestamp: i * 3000, Dest: 1, Resent: i%3 == 0}
		many = append(many, append(h.Append(nil), make([]byte, 50)...))
	}
	for _, t := range []ControlType{Keepalive, ACK, NAK, Congestion, ACKACK, DropReq, PeerError, User, 99, Shutdown} {
		h := Header{Control: true, Type: t, Subtype: extKMReq, Info: 1, Dest: 1}
		many = append(many, appendWords(h.Append(nil), 1001, 1003))
	}
	f.Add(packets(many...), uint16(3000))
	f.Fuzz(func(t *testing.T, b []byte, step uint16) {
		s, now := newServer(Config{Latency: 100 * time.Millisecond, MaxBuffered: 1 << 20, MigrateClear: true}), time.Unix(1e9, 0)
		other := netip.MustParseAddrPort("192.0.2.77:1")
		c := connect(t, s, now, addrA, newCaller(7, 1000, "k", 0))
		for len(b) >= 2 {
			n := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
			p := bytes.Clone(b[2 : 2+n])
			b = b[2+n:]
			if len(p) >= HeaderLen && p[15] != 0 {
				binary.BigEndian.PutUint32(p[12:], c.id)
			}
			now = now.Add(time.Duration(step) * time.Microsecond)
			from := addrA
			if len(p) > 7 && p[7] == 77 {
				from = other
			}
			s.l.HandleDatagram(now, from, p)
			for c := s.l.Next(now); c != nil; c = s.l.Next(now) {
				for _, ok := c.PopPayload(now); ok; _, ok = c.PopPayload(now) {
				}
				for i := 0; ; i++ {
					if _, ok := c.AppendDatagram(nil, now); !ok {
						break
					}
					if i > 1000 {
						t.Fatal("it never falls silent")
					}
				}
			}
			for _, _, ok := s.l.AppendDatagram(nil, now); ok; _, _, ok = s.l.AppendDatagram(nil, now) {
			}
		}
		checkSums(t, c)
		if c.Err() == nil && len(c.ring.slots) > MaxRing {
			t.Fatalf("%d slots", len(c.ring.slots))
		}
	})
}
