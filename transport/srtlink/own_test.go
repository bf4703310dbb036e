package srtlink

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/transport/srt"
)

// streams runs a listener of ours that lets everybody in who does not hold the stream already, and says who came and went.
func streams(t *testing.T, host string, maxConns int) (addr string, events chan string, open func() int) {
	t.Helper()
	var mu sync.Mutex
	held := map[string]bool{}
	events = make(chan string, 100)
	l, err := Listen(Config{Addr: host + ":0", MaxConns: maxConns, Admit: func(r Request) (func(context.Context, *Conn), error) {
		mu.Lock()
		defer mu.Unlock()
		name := r.StreamID.Name()
		if held[name] {
			return nil, &Rejection{CodeConflict, "in use"}
		}
		held[name] = true
		return func(_ context.Context, c *Conn) {
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				delete(held, name)
			}()
			if c == nil {
				return
			}
			n, b := 0, make([]byte, MaxPayload)
			for {
				_, err := c.Read(b)
				if err == nil {
					n++
					events <- name + " data"
					continue
				}
				if errors.Is(err, io.EOF) {
					events <- name + " hung up"
				}
				return
			}
		}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(held) > 0 {
			t.Errorf("still held: %v", held)
		}
	})
	return l.Addr().String(), events, func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(held)
	}
}

func expect(t *testing.T, events chan string, want string) {
	t.Helper()
	deadline := time.After(need.Patience)
	for {
		select {
		case got := <-events:
			if got == want {
				return
			}
		case <-deadline:
			t.Fatalf("%q did not come", want)
		}
	}
}

func dial(t *testing.T, addr, id string) *Conn {
	t.Helper()
	c, err := Dial(addr, DialConfig{StreamID: id, Latency: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(bytes.Repeat([]byte{0x47}, 188)); err != nil {
		t.Fatal(err)
	}
	return c
}

// An encoder that restarts gets its stream back though the connection it had has not been found dead; one that sends keeps it.
func TestSilentCallerYields(t *testing.T) {
	addr, events, _ := streams(t, "127.0.0.1", 0)
	first := dial(t, addr, "publish:live/a")
	defer first.Close()
	expect(t, events, "live/a data")
	second := dial(t, addr, "publish:live/a") // the first one sends nothing more
	expect(t, events, "live/a data")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var active atomic.Pointer[Conn]
	active.Store(second)
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				_, _ = active.Load().Write(bytes.Repeat([]byte{0x47}, 188))
			}
		}
	})
	var err error
	for range 20 { // while this machine stands still the active one is silent, too, and another one gets in
		var third *Conn
		if third, err = Dial(addr, DialConfig{StreamID: "publish:live/a"}); err != nil {
			break
		}
		_ = active.Swap(third).Close()
	}
	if r, ok := errors.AsType[*Rejection](err); !ok || r.Code != CodeConflict {
		t.Errorf("a third caller beside an active one: %v", err)
	}
	close(stop)
	wg.Wait()
	_ = active.Load().Close()
	expect(t, events, "live/a hung up")
}

func TestFullListener(t *testing.T) {
	addr, events, open := streams(t, "127.0.0.1", 1)
	c := dial(t, addr, "publish:live/a")
	expect(t, events, "live/a data")
	_, err := Dial(addr, DialConfig{StreamID: "publish:live/b"})
	if r, ok := errors.AsType[*Rejection](err); !ok || r.Code != CodeOverload || open() != 1 {
		t.Errorf("got %v, %d open", err, open())
	}
	_ = c.Close()
	expect(t, events, "live/a hung up")
}

func TestServeWithACancelledContextClosesTheSocket(t *testing.T) {
	for _, listener := range both {
		l, err := Listen(Config{Addr: "127.0.0.1:0", Listener: listener})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Serve(ctx); err != nil {
			t.Errorf("%s: %v", listener, err)
		}
		pc, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			t.Fatalf("%s: %v", listener, err)
		}
		_ = pc.Close()
	}
}

// A host has many addresses; an answer comes from the one that was called. (Linux has all of 127.0.0.0/8.)
func TestAnswersFromTheAddressThatWasCalled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("only Linux answers on all of 127.0.0.0/8")
		return
	}
	for _, host := range []string{"0.0.0.0", ""} {
		addr, events, _ := streams(t, host, 0)
		_, port, _ := net.SplitHostPort(addr)
		for _, to := range []string{"127.0.0.1", "127.0.0.7"} {
			c := dial(t, net.JoinHostPort(to, port), "publish:live/a")
			expect(t, events, "live/a data")
			_ = c.Close()
			expect(t, events, "live/a hung up")
		}
	}
}

// Deliver hands over what came before it was called, then everything; what f returns ends it, and the caller is told.
func TestDeliver(t *testing.T) {
	for _, listener := range both {
		enough := errors.New("enough")
		result, got := make(chan error, 1), make(chan byte, 100)
		wait := make(chan struct{})
		l, err := Listen(Config{Addr: "127.0.0.1:0", Latency: 20 * time.Millisecond, Listener: listener, Admit: func(Request) (func(context.Context, *Conn), error) {
			return func(_ context.Context, c *Conn) {
				<-wait
				result <- c.Deliver(func(_ time.Time, b []byte) error {
					if b[0] == 'x' {
						return enough
					}
					got <- b[0]
					return nil
				})
			}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.Serve(ctx) }()
		c := dial(t, l.Addr().String(), "publish:live/a")
		for _, b := range "abc" {
			_, _ = c.Write([]byte{byte(b)})
		}
		time.Sleep(100 * time.Millisecond)
		close(wait)
		for _, want := range "\x47abc" {
			select {
			case b := <-got:
				if b != byte(want) {
					t.Errorf("%s: %q, want %q", listener, b, want)
				}
			case <-time.After(need.Patience):
				t.Fatalf("%s: %q did not come", listener, want)
			}
		}
		_, _ = c.Write([]byte("x"))
		if err := <-result; !errors.Is(err, enough) {
			t.Errorf("%s: %v", listener, err)
		}
		if _, err := c.Read(make([]byte, MaxPayload)); err == nil {
			t.Errorf("%s: the caller reads on", listener)
		}
		_ = c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A loop rests while many connections say for a second only that they are there, and hold nothing that is to be delivered.
func TestRest(t *testing.T) {
	var r rest
	idle := true
	at := func(d time.Duration, conns int) bool {
		return r.may(time.Unix(100, 0).Add(d), conns, func() bool { return idle })
	}
	r.stir(time.Unix(100, 0))
	if at(900*time.Millisecond, 200) || at(2*time.Second, restCrowd-1) {
		t.Error("it rests too soon, or for too few")
	}
	if !at(2*time.Second, 200) {
		t.Error("it does not rest")
	}
	r.stir(time.Unix(102, 0))
	if at(2500*time.Millisecond, 200) {
		t.Error("it rests though a packet came")
	}
	idle = false
	if at(4*time.Second, 200) {
		t.Error("it rests though something waits to be delivered")
	}
	if !srt.IsKeepalive([]byte{0x80, 1, 0, 0}) || srt.IsKeepalive([]byte{0x80, 0, 0, 0}) || srt.IsKeepalive([]byte{0, 1}) || srt.IsKeepalive([]byte{0x80}) {
		t.Error("what a keep-alive is")
	}
}
