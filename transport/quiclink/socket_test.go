package quiclink

import (
	"context"
	"net"
	"net/netip"
	"reflect"
	"runtime"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/session"
	"github.com/fairlead-live/fairlead/transport/srtp"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// quic-go takes a connection as it is only if it has this unexported shape: if a new version wants another one, this test
// says so, and media would silently be read by quic-go itself.
func TestQUICUsesTheSocketAsItIs(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("quic-go reads in batches on Linux, macOS and FreeBSD; only Linux is looked at")
		return
	}
	p, err := newPath()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	cert, _, _, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientTLS("x", Pin(cert.Leaf))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Certificates = append(cfg.Certificates, cert)
	ln, err := p.tr.Listen(cfg, quicConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	raw := reflect.ValueOf(p.tr).Elem().FieldByName("conn")
	if raw.Kind() != reflect.Interface || raw.Elem().Type().String() != "*quic.oobConn" {
		t.Fatalf("quic-go reads the socket through a %v, want *quic.oobConn", raw.Elem().Type())
	}
	batch := raw.Elem().Elem().FieldByName("batchConn")
	if got := batch.Elem().Type(); got != reflect.TypeFor[*socket]() {
		t.Errorf("quic-go reads batches from a %v, want ours", got)
	}
	caps := raw.Elem().Elem().FieldByName("cap")
	for _, name := range []string{"DF", "GSO", "ECN"} {
		if f := caps.FieldByName(name); !f.Bool() {
			t.Errorf("%s is off", name)
		}
	}
}

func TestSocketNeverGivesMediaOrNothingToQUIC(t *testing.T) {
	p, err := newPath()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	q := newInbox()
	if !p.sock.route(7, q) || p.sock.route(7, newInbox()) {
		t.Error("a tag is routed once")
	}
	tx, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: p.sock.LocalAddr().(*net.UDPAddr).Port})
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	media := wire.AppendRTP(nil, wire.RTP{SSRC: wire.SSRC(7, 0)})
	for i := range 100 { // 50 of ours, 25 of nobody, and 25 for QUIC
		b := media
		switch i % 4 {
		case 1:
			b = wire.AppendRTP(nil, wire.RTP{SSRC: wire.SSRC(8, 0)})
		case 3:
			b = []byte{0x40, byte(i)}
		}
		if _, err := tx.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	ms := make([]ipv4.Message, 8)
	for i := range ms {
		ms[i].Buffers, ms[i].OOB = [][]byte{make([]byte, 1500)}, make([]byte, 128)
	}
	for got := 0; got < 24; {
		n, err := p.sock.ReadBatch(ms, 0)
		if err != nil || n == 0 {
			t.Fatalf("ReadBatch = %d, %v", n, err)
		}
		for _, m := range ms[:n] {
			if wire.IsMedia(m.Buffers[0][:m.N]) || m.N != 2 || addrPort(m.Addr) != addrPort(tx.LocalAddr()) {
				t.Errorf("QUIC gets %x from %v", m.Buffers[0][:m.N], m.Addr)
			}
		}
		got += n
	}
	b := make([]byte, 100)
	if n, from, err := p.sock.ReadFrom(b); err != nil || n != 2 || addrPort(from) != addrPort(tx.LocalAddr()) {
		t.Errorf("ReadFrom = %d, %v, %v", n, from, err)
	}
	if got := len(q.take(nil)); got != 50 {
		t.Errorf("%d packets for the session, want 50", got)
	}
	if got := p.sock.stray.Load(); got != 25 {
		t.Errorf("%d packets of nobody, want 25", got)
	}
	_ = p.sock.SetReadDeadline(time.Now())
	if n, err := p.sock.ReadBatch(ms, 0); n != 0 || err == nil {
		t.Errorf("at a deadline ReadBatch = %d, %v", n, err)
	}
}

func TestInboxIsBounded(t *testing.T) {
	q := newInbox()
	for range inboxSize + 10 {
		q.put(getPacket())
	}
	if n := len(q.take(nil)); n != inboxSize || q.overflow() != 10 {
		t.Errorf("%d wait and %d were dropped, want %d and 10", n, q.overflow(), inboxSize)
	}
}

// discard is a Sink that counts.
type discard struct{ frames int }

func (d *discard) Tracks([]wire.Track)              {}
func (d *discard) Payload(*transport.Payload) error { d.frames++; return nil }
func (d *discard) Done() <-chan struct{}            { return nil }
func (d *discard) Close(End)                        {}
func (d *discard) accept(Request) (Sink, error)     { return d, nil }

// rig is the relay's receive path with a sealed stream in front of it and no QUIC beside it.
type rig struct {
	s    *receiving
	zero time.Time
	sink *discard
	tx   *net.UDPConn
	seal *srtp.Sealer
	next int64
	out  []byte
	data []byte
}

func newRig(t testing.TB) *rig {
	t.Helper()
	p, err := newPath()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	tx, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: p.sock.LocalAddr().(*net.UDPAddr).Port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Close() })
	from := addrPort(tx.LocalAddr())
	r := &rig{sink: &discard{}, tx: tx, data: make([]byte, 1100)}
	if r.seal, err = srtp.NewSealer(srtp.Keys{}); err != nil {
		t.Fatal(err)
	}
	seal, open, err := ends(srtp.Keys{}, srtp.Keys{})
	if err != nil {
		t.Fatal(err)
	}
	r.s = &receiving{link: newLink(nil, nil, nil), kept: kept{sink: r.sink}, sock: p.sock, quic: func() netip.AddrPort { return from }, peer: returnPath{valid: from}}
	r.s.keys = &keyring{open: open}
	if r.s.rx, err = session.NewReceiver(r.s.now, session.Config{Tag: 5, Seal: seal, Open: open, InOrder: true}); err != nil {
		t.Fatal(err)
	}
	p.sock.route(5, r.s.box)
	r.zero = r.s.now
	return r
}

// send writes so many packets, each a frame of one packet.
func (r *rig) send(t testing.TB, n int) {
	for range n {
		now := uint32(time.Since(r.zero).Microseconds())
		b := wire.AppendRTP(r.out[:0], wire.RTP{Sequence: uint16(r.next), SendTime: now, SSRC: wire.SSRC(5, 0)})
		b = append(b, byte(wire.TypeSource))
		src := wire.Source{Sequence: uint32(r.next), Flags: wire.Start | wire.End, Data: r.data, Frame: wire.FrameHeader{Codec: 1, Number: uint16(r.next), Capture: now, DTS: r.next}}
		b = wire.AppendSource(b, &src)
		b, err := r.seal.SealRTP(b, 0, r.next)
		if err != nil {
			t.Fatal(err)
		}
		r.out = b
		r.next++
		if _, err := r.tx.Write(b); err != nil {
			t.Fatal(err)
		}
	}
}

// receive takes in n packets that are in the kernel's buffer.
func (r *rig) receive(t testing.TB, n int) {
	for n > 0 {
		if err := r.s.sock.read(); err != nil {
			t.Fatal(err)
		}
		for i := range r.s.sock.got {
			r.s.sock.media(i, r.s.sock.in[i])
		}
		n -= r.s.sock.got
		r.s.clock(time.Now())
		r.s.take(r.s.handle)
		if err := r.s.drain(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReceivePathDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Log("allocation counts mean nothing under the race detector")
		return
	}
	r := newRig(t)
	const batch = 64
	for range 20 { // the rings and pools fill
		r.send(t, batch)
		r.receive(t, batch)
	}
	if n := testing.AllocsPerRun(50, func() {
		r.send(t, batch)
		r.receive(t, batch)
	}); n > 0.5 { // a garbage collection may empty the pool once
		t.Errorf("%v allocations for %d packets, want 0", n, batch)
	}
	if int64(r.sink.frames) != r.next || r.s.moved != 0 {
		t.Errorf("%d frames of %d arrived; %+v", r.sink.frames, r.next, r.s.rx.Stats())
	}
}

// BenchmarkReceive is the relay's side alone: from the socket through decryption, playout and feedback to the sink.
func BenchmarkReceive(b *testing.B) {
	r := newRig(b)
	const batch = 64
	var spent time.Duration
	b.ReportAllocs()
	for n := 0; n < b.N; n += batch {
		r.send(b, batch)
		begin := time.Now()
		r.receive(b, batch)
		spent += time.Since(begin)
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(r.next), "receive-ns/packet")
	b.ReportMetric(float64(r.next-int64(r.sink.frames)), "lost")
}

// BenchmarkPaced20k sends 20,000 packets a second through a whole listener; sending and receiving share the machine.
func BenchmarkPaced20k(b *testing.B) {
	count := &discard{}
	l, err := Listen(Config{Addr: "127.0.0.1:0", Admit: count.accept})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- l.Serve(ctx) }()
	pin, _ := l.Pin()
	c, err := Dial(ctx, "fairlead://"+l.Addr().String()+"/a/b?inorder=1&max=200M&transport=srtp&pin="+pin, DialConfig{NoFEC: true, Controller: func() session.Controller {
		return &congestion.Fixed{Rate: 300 * congestion.Mbps}
	}})
	if err != nil {
		b.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	f := transport.Frame{Codec: transport.Opus, Data: make([]byte, 1000)}
	b.ReportAllocs()
	begin := time.Now()
	for n := range b.N {
		if wait := time.Until(begin.Add(time.Duration(n) * 50 * time.Microsecond)); wait > time.Millisecond {
			time.Sleep(wait)
		}
		_ = c.WriteFrame(&f)
	}
	_ = c.Close()
	if err := <-ran; err != nil {
		b.Error(err)
	}
	st := c.Stats()
	b.ReportMetric(float64(st.Unsent), "unsent")
	b.ReportMetric(float64(st.Relay.Lost+st.Relay.Late), "lost")
	b.ReportMetric(float64(st.Sender.Resends), "resends")
	cancel()
	<-done
}
