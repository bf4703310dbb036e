package quiclink

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/session"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// collector is a Sink that checks and counts.
type collector struct {
	mu     sync.Mutex
	frames []uint32 // their numbers
	tracks []wire.Track
	config int
	bad    error
	ended  chan struct{}
	end    End
	fail   error
}

func newCollector() *collector { return &collector{ended: make(chan struct{})} }

func (c *collector) Tracks(t []wire.Track) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tracks = t
}

func (c *collector) Payload(p *transport.Payload) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.Flags.Has(transport.Config) {
		c.config++
		return c.fail
	}
	n, err := checkFrame(p.Data)
	if err != nil && c.bad == nil {
		c.bad = err
	}
	if want := time.Duration(n) * frameEvery; p.PTS != want && c.bad == nil {
		c.bad = fmt.Errorf("frame %d has PTS %v, want %v", n, p.PTS, want)
	}
	c.frames = append(c.frames, n)
	return c.fail
}

// has waits until frame n-1 is there, or long enough: wantAll judges.
func (c *collector) has(n int) {
	for end := time.Now().Add(need.Patience); c.newest() != n-1 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}

func (c *collector) newest() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := len(c.frames); k > 0 {
		n = int(c.frames[k-1])
	}
	return n
}

func (c *collector) Done() <-chan struct{} { return nil }

func (c *collector) Close(e End) {
	c.end = e
	close(c.ended)
}

const frameEvery = 10 * time.Millisecond

// frameOf makes frame n, whose bytes follow from its number.
func frameOf(n uint32, size int) []byte {
	b := binary.BigEndian.AppendUint32(nil, n)
	for len(b) < size {
		b = append(b, byte(uint32(len(b))*7+n))
	}
	return b
}

func checkFrame(b []byte) (uint32, error) {
	n := binary.BigEndian.Uint32(b)
	if !bytes.Equal(b, frameOf(n, len(b))) {
		return n, fmt.Errorf("frame %d is damaged", n)
	}
	return n, nil
}

// relayFor runs a listener that gives each admitted publisher the next of sinks.
func relayFor(t testing.TB, sinks ...*collector) *Listener {
	t.Helper()
	next := 0
	l, err := Listen(Config{Addr: "127.0.0.1:0", Logger: logger(t), Hold: need.Patience, Admit: func(r Request) (Sink, error) {
		if r.Token == "wrong" {
			return nil, &Rejection{401, "wrong token"}
		}
		if next == len(sinks) {
			return nil, errors.New("enough")
		}
		next++
		return sinks[next-1], nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("listener: %v", err)
			}
		case <-time.After(need.Patience):
			t.Error("the listener does not end")
		}
	})
	return l
}

func logger(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(logWriter{t}, nil)) }

type logWriter struct{ t testing.TB }

func (w logWriter) Write(b []byte) (int, error) {
	if testing.Verbose() {
		w.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

func urlOf(l *Listener, addr netip.AddrPort, more string) string {
	pin, _ := l.Pin()
	if !addr.IsValid() {
		addr = addrPort(l.Addr())
	}
	// 2 s: a loaded machine stands still for some 100 ms now and then, and these tests are about something else.
	return fmt.Sprintf("fairlead://%s/live/cam?pin=%s&latency=2s%s", addr, pin, more)
}

// publish dials and runs a client until the test ends; errors of Run go to the channel.
func publish(t testing.TB, url string, cfg DialConfig, before ...func(*Client)) (*Client, <-chan error) {
	t.Helper()
	cfg.Logger, cfg.Agent = logger(t), "test"
	c, err := Dial(t.Context(), url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.SetTracks([]wire.Track{{ID: 0, Codec: uint8(transport.H264), Config: []byte{1, 2, 3}}, {ID: 1, Codec: uint8(transport.AAC)}})
	for _, f := range before {
		f(c)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(cancel)
	return c, done
}

// steady is for tests that are about something else than what a controller makes of a machine that stands still now and then.
var steady = DialConfig{Controller: func() session.Controller { return &congestion.Fixed{Rate: 20 * congestion.Mbps} }}

// feed writes frames first … first+n-1 in real time, a key frame every 50.
func feed(t testing.TB, c *Client, first, n int) {
	t.Helper()
	begin := time.Now()
	for i := range n {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * frameEvery)))
		f := transport.Frame{Codec: transport.H264, PTS: time.Duration(first+i) * frameEvery, DTS: time.Duration(first+i) * frameEvery}
		size := 2000
		if i%50 == 0 {
			f.Flags, size = transport.Key, 12500 // fills the longest datagrams
		}
		f.Data = frameOf(uint32(first+i), size)
		if err := c.WriteFrame(&f); err != nil {
			t.Logf("frame %d: %v", first+i, err)
		}
	}
}

// feedUntil feeds from frame first on, fifty at a time, until ok; it returns the number of the next frame.
func feedUntil(t testing.TB, c *Client, first int, what string, ok func() bool) (next int) {
	t.Helper()
	for end := time.Now().Add(need.Patience); !ok(); first += 50 {
		if time.Now().After(end) {
			t.Fatalf("after %v still not: %s", need.Patience, what)
		}
		feed(t, c, first, 50)
	}
	return first
}

// finish closes a client and checks that all ends well.
func finish(t testing.TB, c *Client, done <-chan error, sinks ...*collector) {
	t.Helper()
	_ = c.Close()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Run = %v", err)
		}
	case <-time.After(need.Patience):
		t.Fatal("the client does not end")
	}
	for _, s := range sinks {
		select {
		case <-s.ended:
		case <-time.After(need.Patience):
			t.Fatal("the session does not end")
		}
		if s.bad != nil {
			t.Error(s.bad)
		}
	}
}

func (c *collector) wantAll(t testing.TB, n int) {
	t.Helper()
	for i, f := range c.frames {
		if int(f) != i {
			t.Fatalf("frame %d is number %d", i, f)
		}
	}
	if len(c.frames) != n {
		t.Errorf("%d frames arrived, want %d", len(c.frames), n)
	}
}

func TestFramesArriveWholeAndInOrder(t *testing.T) {
	for _, carriage := range []string{"srtp", "datagram"} {
		t.Run(carriage, func(t *testing.T) {
			t.Parallel()
			sink := newCollector()
			l := relayFor(t, sink)
			c, done := publish(t, urlOf(l, netip.AddrPort{}, "&transport="+carriage), steady)
			feed(t, c, 0, 100)
			sink.has(100)
			finish(t, c, done, sink)
			sink.wantAll(t, 100)
			if len(sink.tracks) != 2 || sink.config != 2 {
				t.Errorf("%d tracks and %d configurations in band, want 2 and 2", len(sink.tracks), sink.config)
			}
			if sink.end.Err != nil {
				t.Errorf("the session ended with %v", sink.end.Err)
			}
			if err := sink.end.Stats.Check(); err != nil || sink.end.Stats.InFlight != 0 {
				t.Errorf("%v; in flight %d", err, sink.end.Stats.InFlight)
			}
			st := c.Stats()
			if st.Carriage.String() != carriage || st.Relay.FramesDelivered != st.Sender.FramesSent || st.State != Closed {
				t.Errorf("client's statistics: %+v", st)
			}
		})
	}
}

// A latency that may grow is asked for in the URL, and both ends know of it.
func TestLatencyRange(t *testing.T) {
	sink := newCollector()
	asked := make(chan Request, 1)
	l, err := Listen(Config{Addr: "127.0.0.1:0", Admit: func(r Request) (Sink, error) { asked <- r; return sink, nil }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- l.Serve(ctx) }()
	defer func() { cancel(); <-served }()
	c, done := publish(t, urlOf(l, netip.AddrPort{}, "&latency=1500ms..3s"), steady)
	if r := <-asked; r.Latency != 1500*time.Millisecond || r.MaxLatency != 3*time.Second {
		t.Errorf("the relay was asked for %v to %v", r.Latency, r.MaxLatency)
	}
	if c.first.most != 3*time.Second || c.first.latency != 1500*time.Millisecond {
		t.Errorf("the publisher was granted %v to %v", c.first.latency, c.first.most)
	}
	feed(t, c, 0, 30)
	finish(t, c, done, sink)
	sink.wantAll(t, 30)
}

func TestRefusalsAreReadByThePublisher(t *testing.T) {
	l := relayFor(t)
	for _, c := range []struct {
		more   string
		status uint16
		reason string
	}{
		{"&token=wrong", 401, "wrong token"},
		{"", 403, "enough"},
	} {
		_, err := Dial(t.Context(), urlOf(l, netip.AddrPort{}, c.more), DialConfig{})
		if r, ok := errors.AsType[*Rejection](err); !ok || r.Status != c.status || r.Reason != c.reason {
			t.Errorf("%s: %v, want %d %q", c.more, err, c.status, c.reason)
		}
	}
	other, _, _, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	pin, _ := l.Pin()
	wrong := strings.Replace(urlOf(l, netip.AddrPort{}, ""), pin, Pin(other.Leaf), 1)
	if _, err := Dial(t.Context(), wrong, DialConfig{}); !errors.Is(err, ErrPin) {
		t.Errorf("another pin: %v, want %v", err, ErrPin)
	}
	if _, err := Dial(t.Context(), strings.Replace(wrong, "pin="+Pin(other.Leaf), "", 1), DialConfig{}); err == nil {
		t.Error("a self-signed certificate without a pin is accepted")
	}
}
