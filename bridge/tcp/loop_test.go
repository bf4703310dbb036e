package tcp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
)

// handler is a Handler of a test.
type handler struct {
	handle func(b []byte, w io.Writer) error
	until  time.Time
}

func (h *handler) Handle(_ time.Time, b []byte, w io.Writer) error { return h.handle(b, w) }
func (h *handler) Deadline() time.Time                             { return h.until }

func newTestLoop(t *testing.T) *Loop {
	t.Helper()
	l, err := NewLoop()
	if errors.Is(err, ErrNoLoop) {
		old := runtime.GOMAXPROCS(2)
		defer runtime.GOMAXPROCS(old)
		l, err = NewLoop()
	}
	if runtime.GOOS != "linux" {
		if !errors.Is(err, ErrNoLoop) {
			t.Fatal(err)
		}
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Many connections at once: what comes is answered in order, the handler's error ends the loop's part, and the connection goes on elsewhere.
func TestLoopServesAndHandsBack(t *testing.T) {
	l := newTestLoop(t)
	if l == nil {
		return
	}
	errBye := errors.New("bye")
	var wg sync.WaitGroup
	for range 20 {
		a, b := pair(t)
		wg.Go(func() {
			var seen []byte
			back, err := l.Serve(t.Context(), b, &handler{handle: func(p []byte, w io.Writer) error {
				seen = append(seen, p...)
				if bytes.HasSuffix(seen, []byte("!")) {
					return errBye
				}
				_, err := w.Write(p)
				return err
			}})
			if !errors.Is(err, errBye) {
				t.Errorf("got %v", err)
			}
			defer back.Close()
			if _, err := back.Write([]byte("?")); err != nil {
				t.Error(err)
			}
			_ = back.SetReadDeadline(time.Now().Add(need.Patience))
			if p, err := io.ReadAll(back); err != nil || string(p) != "ours again" {
				t.Errorf("got %q, %v", p, err)
			}
		})
		wg.Go(func() {
			_ = a.SetDeadline(time.Now().Add(need.Patience))
			got := make([]byte, 4)
			for range 100 {
				if _, err := a.Write([]byte("ping")); err != nil {
					t.Error(err)
				}
				if _, err := io.ReadFull(a, got); err != nil || string(got) != "ping" {
					t.Errorf("got %q, %v", got, err)
				}
			}
			_, _ = a.Write([]byte("!"))
			if _, err := io.ReadFull(a, got[:1]); err != nil || got[0] != '?' {
				t.Errorf("got %q, %v", got[:1], err)
			}
			_, _ = a.Write([]byte("ours again"))
			CloseWrite(a)
		})
	}
	wg.Wait()
}

func TestLoopEnds(t *testing.T) {
	l := newTestLoop(t)
	if l == nil {
		return
	}
	errStop := errors.New("stop")
	quiet := func([]byte, io.Writer) error { return nil }
	for name, c := range map[string]struct {
		do    func(peer net.Conn, cancel context.CancelCauseFunc)
		until time.Time
		want  error
	}{
		"the peer is done": {do: func(p net.Conn, _ context.CancelCauseFunc) { CloseWrite(p) }, want: io.EOF},
		"cancelled":        {do: func(_ net.Conn, cancel context.CancelCauseFunc) { cancel(errStop) }, want: errStop},
		"time is up":       {do: func(net.Conn, context.CancelCauseFunc) {}, until: time.Unix(1, 0), want: os.ErrDeadlineExceeded},
		"reset":            {do: func(p net.Conn, _ context.CancelCauseFunc) { Reset(p) }},
	} {
		a, b := pair(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		go c.do(a, cancel)
		back, err := l.Serve(ctx, b, &handler{handle: quiet, until: c.until})
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		_ = back.Close()
		cancel(nil)
	}
}

// A peer that reads late gets all that was written; one that never reads is ended.
func TestLoopWritesToASlowPeer(t *testing.T) {
	l := newTestLoop(t)
	if l == nil {
		return
	}
	a, b := pair(t)
	if _, err := a.Write([]byte("go")); err != nil {
		t.Fatal(err)
	}
	sent := 0
	back, err := l.Serve(t.Context(), b, &handler{handle: func(_ []byte, w io.Writer) error {
		for {
			p := make([]byte, 1000)
			for i := range p {
				p[i] = byte((sent + i) % 251)
			}
			if _, err := w.Write(p); err != nil {
				return err
			}
			sent += len(p)
		}
	}})
	if !errors.Is(err, errDeaf) {
		t.Errorf("got %v", err)
	}
	_ = back.Close()
	_ = a.SetReadDeadline(time.Now().Add(need.Patience))
	got, _ := io.ReadAll(a)
	if len(got) < 1000 {
		t.Errorf("%d bytes of %d", len(got), sent)
	}
	for i, v := range got {
		if v != byte(i%251) {
			t.Fatalf("byte %d is %d", i, v)
		}
	}
}

func TestLoopLeavesOthersAlone(t *testing.T) {
	l := newTestLoop(t)
	if l == nil {
		return
	}
	a, b := net.Pipe()
	defer a.Close()
	if nc, err := l.Serve(t.Context(), b, &handler{}); nc != b || !errors.Is(err, ErrNoLoop) {
		t.Errorf("got %v, %v", nc, err)
	}
	var none *Loop
	c, _ := pair(t)
	if nc, err := none.Serve(t.Context(), c, &handler{}); nc != c || !errors.Is(err, ErrNoLoop) {
		t.Errorf("got %v, %v", nc, err)
	}
}
