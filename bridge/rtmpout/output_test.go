package rtmpout

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmpserver"
)

var (
	videoConfig, _ = media.NewH264Config(
		[][]byte{{0x67, 0x64, 0x00, 0x0c, 0xac, 0x3b, 0x50, 0xb0, 0x4b, 0x42, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x3d, 0x08}},
		[][]byte{{0x68, 0xee, 0x3c, 0x80}})
	audioConfig, _ = media.NewAACConfig([]byte{0x12, 0x10})
)

// picture n of a stream of 25 a second, a key frame each second, and the audio beside it.
func picture(n, size int) []*media.Frame {
	dts := time.Duration(n) * 40 * time.Millisecond
	nal := append([]byte{0x41, byte(n >> 8), byte(n)}, make([]byte, size)...)
	flags := media.Flags(0)
	if n%25 == 0 {
		nal[0], flags = 0x65, media.Key
	}
	return []*media.Frame{
		{Track: 0, Codec: media.H264, Flags: flags, DTS: dts, PTS: dts, Config: videoConfig, Payload: media.AppendNAL(nil, nal)},
		{Track: 1, Codec: media.AAC, Flags: media.Key, DTS: dts, PTS: dts, Config: audioConfig, Payload: []byte{byte(n >> 8), byte(n), 9}},
	}
}

func write(t *testing.T, p *hub.Publisher, n, size int) {
	t.Helper()
	for _, f := range picture(n, size) {
		if err := p.WriteFrame(f); err != nil {
			t.Fatal(err)
		}
	}
}

// cdn is our own server, as a destination.
type cdn struct {
	hub    *hub.Hub
	addr   string
	server *rtmpserver.Server
	stop   func()
}

func newCDN(t *testing.T, addr string, cfg rtmpserver.Config, wrap func(net.Listener) net.Listener) *cdn {
	t.Helper()
	var l net.Listener
	var err error
	for range 100 { // the port of a stopped one may need a moment
		if l, err = net.Listen("tcp", addr); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := &cdn{hub: hub.New(hub.Config{QueueTime: time.Minute}), addr: l.Addr().String()}
	if wrap != nil {
		l = wrap(l)
	}
	cfg.Hub = c.hub
	c.server = rtmpserver.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.server.Serve(ctx, l) }()
	c.stop = func() { cancel(); <-done; c.hub.Close() }
	t.Cleanup(c.stop)
	return c
}

// push starts an output and returns it with a function that stops it and checks that it ended well.
func push(t *testing.T, cfg Config) (*Output, func()) {
	t.Helper()
	o, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	var once atomic.Bool
	stop := func() {
		cancel()
		if once.Swap(true) {
			return
		}
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(need.Patience):
			t.Error("Run does not end")
		}
	}
	t.Cleanup(stop)
	return o, stop
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(need.Patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: it does not come", what)
		}
	}
}

func frameCount(h *hub.Hub) uint64 {
	if st := h.Streams(); len(st) > 0 {
		return st[0].Counts.Frames
	}
	return 0
}

func TestPushCarriesEveryFrameAndEndsCleanly(t *testing.T) {
	dst := newCDN(t, "127.0.0.1:0", rtmpserver.Config{}, nil)
	got, err := dst.hub.Subscribe("tier/one", hub.SubscriberInfo{Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	h := hub.New(hub.Config{})
	defer h.Close()
	o, stop := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + dst.addr + "/tier/one")})
	p, err := h.Publish("live/a", hub.PublisherInfo{})
	if err != nil {
		t.Fatal(err)
	}
	const n = 60
	for i := range n {
		write(t, p, i, 100*i)
		if i == 5 {
			waitFor(t, "live", func() bool { return o.Stats().State == Publishing })
		}
	}
	var first time.Duration
	for i := range 2 * n {
		ctx, cancel := context.WithTimeout(t.Context(), need.Patience)
		f, err := got.Read(ctx)
		cancel()
		if err != nil {
			t.Fatalf("after %d frames: %v", i, err)
		}
		if i == 0 {
			first = f.DTS
		}
		w := picture(i/2, 100*(i/2))[i%2]
		if !bytes.Equal(f.Payload, w.Payload) || f.DTS-first != w.DTS || f.Flags != w.Flags {
			t.Fatalf("frame %d: %v at %v, want %v at %v", i, f.Codec, f.DTS-first, w.Codec, w.DTS)
		}
	}
	st := o.Stats()
	if st.Frames != 2*n || st.Publishes != 1 || st.Dropped != 0 || st.LeftOut != 0 {
		t.Errorf("stats = %+v", st)
	}
	stop()
	waitFor(t, "unpublish", func() bool { return dst.server.Stats().Publishers == 0 })
	if o.Stats().State != Stopped {
		t.Errorf("state = %v", o.Stats().State)
	}
}

func TestReconnectsAndStartsAtAKeyFrame(t *testing.T) {
	dst := newCDN(t, "127.0.0.1:0", rtmpserver.Config{}, nil)
	h := hub.New(hub.Config{})
	defer h.Close()
	o, _ := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + dst.addr + "/live/a"), Backoff: Backoff{First: 20 * time.Millisecond}})
	p, err := h.Publish("live/a", hub.PublisherInfo{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	feed := func(what string, until func() bool) {
		waitFor(t, what, func() bool { write(t, p, n, 50); n++; return until() })
	}
	feed("live", func() bool { return frameCount(dst.hub) > 10 })
	dst.stop()
	feed("down", func() bool { return o.Stats().State != Publishing })
	again := newCDN(t, dst.addr, rtmpserver.Config{}, nil)
	sub, err := again.hub.Subscribe("live/a", hub.SubscriberInfo{Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	feed("live again", func() bool { return frameCount(again.hub) > 10 })
	f, err := sub.Read(t.Context())
	if err != nil || !f.IsKeyVideo() {
		t.Errorf("starts with %+v, %v; want a key frame", f, err)
	}
	if st := o.Stats(); st.Publishes != 2 || st.EndedBy(CauseLost)+st.EndedBy(CauseRejected) < 1 {
		t.Errorf("stats = %+v", st)
	}
}

func TestBadNameIsPatient(t *testing.T) {
	dst := newCDN(t, "127.0.0.1:0", rtmpserver.Config{}, nil)
	ghost, err := dst.hub.Publish("live/a", hub.PublisherInfo{})
	if err != nil {
		t.Fatal(err)
	}
	h := hub.New(hub.Config{})
	defer h.Close()
	o, _ := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + dst.addr + "/live/a"), Backoff: Backoff{BadName: 20 * time.Millisecond, Failed: time.Hour}})
	p, _ := h.Publish("live/a", hub.PublisherInfo{})
	for i := range 30 {
		write(t, p, i, 50)
	}
	waitFor(t, "refused", func() bool { return o.Stats().EndedBy(CauseBadName) >= 3 })
	ghost.Close(nil)
	waitFor(t, "live", func() bool { return o.Stats().State == Publishing })
}

func TestUnauthorizedIsSignedAgainThenFails(t *testing.T) {
	dst := newCDN(t, "127.0.0.1:0", rtmpserver.Config{Authorize: func(context.Context, rtmpserver.Request) (string, error) { return "", rtmpserver.ErrUnauthorized }}, nil)
	h := hub.New(hub.Config{})
	defer h.Close()
	o, _ := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + dst.addr + "/live/a")})
	p, _ := h.Publish("live/a", hub.PublisherInfo{})
	for i := range 30 {
		write(t, p, i, 50)
	}
	waitFor(t, "failed", func() bool { return o.Stats().State == Failed })
	if st := o.Stats(); st.EndedBy(CauseAuth) != 2 || st.LastError == "" {
		t.Errorf("stats = %+v", st)
	}
}

// A destination that accepts, answers and then never reads: it loses whole GOPs and its connection; another output of the same
// stream loses nothing.
func TestADestinationThatNeverReads(t *testing.T) {
	good := newCDN(t, "127.0.0.1:0", rtmpserver.Config{}, nil)
	var deaf atomic.Int32
	bad := newCDN(t, "127.0.0.1:0", rtmpserver.Config{}, func(l net.Listener) net.Listener { return &deafListener{l, &deaf} })
	h := hub.New(hub.Config{QueueTime: 2 * time.Second})
	defer h.Close()
	stalled, stop := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + bad.addr + "/live/a"), WriteTimeout: 700 * time.Millisecond, SendBuffer: 64 << 10,
		Lag: hub.Lag{Skip: 100 * time.Millisecond}})
	healthy, _ := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + good.addr + "/live/a")})
	p, _ := h.Publish("live/a", hub.PublisherInfo{})
	for i := range 5 {
		write(t, p, i, 20_000)
	}
	waitFor(t, "both live", func() bool { return stalled.Stats().State == Publishing && healthy.Stats().State == Publishing })
	deaf.Store(1)
	const n = 500
	for i := 5; i < n; i++ {
		write(t, p, i, 20_000)
		for healthy.Stats().Queued > 20 { // the pace is the healthy one's, however slow the machine
			time.Sleep(time.Millisecond)
		}
	}
	waitFor(t, "all at the healthy one", func() bool { return frameCount(good.hub) == 2*n })
	if st := healthy.Stats(); st.Dropped != 0 || st.Frames != 2*n {
		t.Errorf("healthy: %+v", st)
	}
	waitFor(t, "stalled", func() bool { return stalled.Stats().EndedBy(CauseStalled) >= 1 })
	if st := stalled.Stats(); st.Dropped == 0 || st.Gaps == 0 {
		t.Errorf("stalled: %+v", st)
	}
	stop() // at once, whatever the destination does
}

// deafListener's connections stop reading when deaf is set.
type deafListener struct {
	net.Listener
	deaf *atomic.Int32
}

func (l *deafListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	_ = c.(*net.TCPConn).SetReadBuffer(32 << 10)
	return &deafConn{Conn: c, deaf: l.deaf, closed: make(chan struct{})}, nil
}

type deafConn struct {
	net.Conn
	deaf   *atomic.Int32
	closed chan struct{}
	once   atomic.Bool
}

func (c *deafConn) Read(b []byte) (int, error) {
	if c.deaf.Load() != 0 {
		<-c.closed
		return 0, net.ErrClosed
	}
	return c.Conn.Read(b)
}

func (c *deafConn) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && time.Until(t) < 0 && !c.once.Swap(true) { // the server stops
		close(c.closed)
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *deafConn) Close() error {
	if !c.once.Swap(true) {
		close(c.closed)
	}
	return c.Conn.Close()
}

func TestPushOverTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(crand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	var name atomic.Value
	dst := newCDN(t, "127.0.0.1:0", rtmpserver.Config{}, func(l net.Listener) net.Listener {
		return tls.NewListener(l, &tls.Config{
			Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
			GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				name.Store(h.ServerName)
				return nil, nil
			},
		})
	})
	roots := x509.NewCertPool()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(cert)
	_, port, _ := net.SplitHostPort(dst.addr)
	h := hub.New(hub.Config{})
	defer h.Close()
	url := "rtmps://localhost:" + port + "/live/a"
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, dst.addr)
	}
	_, _ = push(t, Config{Hub: h, Stream: "live/a", URL: Fixed(url), TLS: &tls.Config{RootCAs: roots}, Dial: dial})
	distrust, _ := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed(url + "2"), Dial: dial})
	p, _ := h.Publish("live/a", hub.PublisherInfo{})
	for i := range 20 { // one GOP, so that all of it is kept until the push is live
		write(t, p, i, 30_000)
	}
	waitFor(t, "frames over TLS", func() bool { return frameCount(dst.hub) == 40 })
	waitFor(t, "a certificate nobody vouches for", func() bool { return distrust.Stats().EndedBy(CauseUnreachable) >= 1 })
	if name.Load() != "localhost" {
		t.Errorf("SNI = %v", name.Load())
	}
}

func TestNewRefusesWhatCanNeverWork(t *testing.T) {
	for _, u := range []string{"", "http://h/a/b", "rtmp://h"} {
		if _, err := New(Config{URL: Fixed(u)}); err == nil {
			t.Errorf("%q is taken", u)
		}
	}
	if _, err := New(Config{URL: func() (string, error) { return "", errors.New("no key") }}); err == nil {
		t.Error("a signer that fails is taken")
	}
}
