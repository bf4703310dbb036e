package srtlink

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
)

// shared is a listener of several loops that counts what comes of each stream, connection by connection.
type shared struct {
	*loops
	mu   sync.Mutex
	came map[string][]int
}

func newShared(t *testing.T, n int) *shared {
	t.Helper()
	s := &shared{came: map[string][]int{}}
	l, err := Listen(Config{Addr: "127.0.0.1:0", Latency: 20 * time.Millisecond, Loops: n, MigrateClear: true, Admit: func(r Request) (func(context.Context, *Conn), error) {
		return func(_ context.Context, c *Conn) {
			if c == nil {
				return
			}
			name := r.StreamID.Name()
			s.mu.Lock()
			i := len(s.came[name])
			s.came[name] = append(s.came[name], 0)
			s.mu.Unlock()
			_ = c.Deliver(func(time.Time, []byte) error {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.came[name][i]++
				return nil
			})
		}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.loops = l.server.(*loops)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// until sends from all callers until a condition holds.
func (s *shared) until(t *testing.T, why string, callers []*talker, ok func(came map[string][]int) bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		s.mu.Lock()
		met := ok(s.came)
		came := fmt.Sprint(s.came)
		s.mu.Unlock()
		if met {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %s", why, came)
		}
		for _, k := range callers {
			k.send()
		}
	}
}

// perLoop is how many connections each loop has.
func (s *shared) perLoop() (n []int) {
	for _, l := range s.list {
		c := make(chan int, 1)
		l.do(func(time.Time) { c <- len(l.links) })
		n = append(n, <-c)
	}
	return n
}

// Several loops share a port: callers are dealt out among them, and one that changes its address, or comes back with its stream, over SRTLA too, is
// served though the system gives its packets to another loop.
func TestLoopsShareAPort(t *testing.T) {
	const n = 4
	s := newShared(t, n)
	addr := s.Addr().String()
	var callers []*talker
	for i := range 16 {
		k, err := talk(addr, fmt.Sprintf("publish:live/%d", i), uint32(i)+1)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = k.conn.Close() }()
		go k.answerOver(k.conn)
		callers = append(callers, k)
	}
	each := func(least int) func(map[string][]int) bool {
		return func(came map[string][]int) bool {
			for i := range callers {
				c := came[fmt.Sprintf("live/%d", i)]
				if len(c) == 0 || c[len(c)-1] < least {
					return false
				}
			}
			return true
		}
	}
	s.until(t, "streams", callers, each(50))
	busy := 0
	for _, n := range s.perLoop() {
		if n > 0 {
			busy++
		}
	}
	if busy < 2 { // all on one by chance: 4 in 4^16
		t.Errorf("%d of %d loops have connections: %v", busy, n, s.perLoop())
	}

	// Each caller goes on from another port.
	for _, k := range callers {
		conn, err := net.Dial("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		old := k.conn
		k.conn = conn
		_ = old.Close()
		go k.answerOver(k.conn)
	}
	s.until(t, "after the addresses changed", callers, each(200))
	s.mu.Lock()
	for name, c := range s.came {
		if len(c) != 1 {
			t.Errorf("%s connected %d times", name, len(c))
		}
	}
	s.mu.Unlock()

	// Each comes back with its stream, from another port and with another socket id.
	for i := range callers {
		_ = callers[i].conn.Close()
		k, err := talk(addr, fmt.Sprintf("publish:live/%d", i), uint32(i)+101)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = k.conn.Close() }()
		go k.answerOver(k.conn)
		callers[i] = k
	}
	s.until(t, "come back", callers, func(came map[string][]int) bool {
		for _, c := range came {
			if len(c) < 2 {
				return false
			}
		}
		return each(50)(came)
	})

	// One comes back below SRTLA, over two links.
	_ = callers[0].conn.Close()
	bond := newBondConn(t, addr)
	k, err := talkOver(bond, "publish:live/0", 200)
	if err != nil {
		t.Fatal(err)
	}
	go k.answerOver(k.conn)
	callers[0] = k
	s.until(t, "below SRTLA", callers, func(came map[string][]int) bool {
		return len(came["live/0"]) == 3 && came["live/0"][2] > 50
	})
}

// Another program's socket on the port is an error for several loops too.
func TestLoopsDoNotShareWithOthers(t *testing.T) {
	l, err := Listen(Config{Addr: "127.0.0.1:0", Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	if other, err := Listen(Config{Addr: l.Addr().String(), Loops: 2}); err == nil {
		t.Errorf("a second listener on %v", other.Addr())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Serve(ctx); err != nil {
		t.Error(err)
	}
}

// bondConn is a caller's socket over two links of SRTLA, by turns.
type bondConn struct {
	net.Conn
	links [2]net.Conn
	in    chan []byte
	done  chan struct{}
	n     atomic.Uint32
}

func newBondConn(t *testing.T, addr string) *bondConn {
	t.Helper()
	b := &bondConn{in: make(chan []byte, 1000), done: make(chan struct{})}
	t.Cleanup(func() { close(b.done) })
	reg := append([]byte{0x92, 0x00}, make([]byte, 256)...)
	for i := range b.links {
		conn, err := net.Dial("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		b.links[i] = conn
		in := make([]byte, 2048)
		for joined := false; !joined; {
			if _, err := conn.Write(reg); err != nil {
				t.Fatal(err)
			}
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			n, err := conn.Read(in)
			if err != nil || n < 2 {
				t.Fatalf("link %d: %x, %v", i, in[:n], err)
			}
			switch binary.BigEndian.Uint16(in) {
			case 0x9201:
				reg = append([]byte(nil), in[:n]...)
			case 0x9202:
				joined = true
			}
		}
		_ = conn.SetReadDeadline(time.Time{})
	}
	for _, conn := range b.links {
		go func() {
			in := make([]byte, 2048)
			for {
				n, err := conn.Read(in)
				if err != nil {
					return
				}
				if in[0]&0xF0 != 0x90 {
					select {
					case b.in <- append([]byte(nil), in[:n]...):
					default:
					}
				}
			}
		}()
	}
	b.Conn = b.links[0]
	return b
}

func (b *bondConn) Write(p []byte) (int, error) {
	return b.links[b.n.Add(1)%2].Write(p)
}

func (b *bondConn) Read(p []byte) (int, error) {
	select {
	case in := <-b.in:
		return copy(p, in), nil
	case <-b.done:
		return 0, net.ErrClosed
	case <-time.After(250 * time.Millisecond):
		return 0, context.DeadlineExceeded
	}
}

// SetReadDeadline does nothing: Read waits as long as a caller that shakes hands does.
func (b *bondConn) SetReadDeadline(time.Time) error { return nil }

// What one loop has no room for when another hands it over is counted; so is what belongs to no connection.
func TestDropsAreCounted(t *testing.T) {
	all, err := listenOwn(Config{Addr: "127.0.0.1:0", Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	l := all.list[0]
	var m mail
	for range 20 {
		m.add(netip.AddrPort{}, make([]byte, 1500), nil)
	}
	fit := maxMail / len(m.bytes)
	for range fit + 3 {
		l.receive(&m)
	}
	if got, want := all.Drops(), (Drop{"loop_full", 60}); len(got) != 1 || got[0] != want {
		t.Errorf("%v, want %v", got, want)
	}
	for _, l := range all.list {
		_ = l.port.Close()
	}

	s := newShared(t, 2)
	c, err := net.Dial("udp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	need.Until(t, "drops of both kinds", func() bool {
		_, _ = c.Write([]byte("nonsense"))
		_, _ = c.Write([]byte{0x90, 0xFF, 1})
		d := s.Drops()
		return slices.ContainsFunc(d, func(d Drop) bool { return d.Reason == "malformed" }) && slices.ContainsFunc(d, func(d Drop) bool { return d.Reason == "srtla" })
	})
}
