package tcp

import (
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
)

func pair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// A peer that never reads: with the options little is hidden in the kernel, and Backlog shows it.
func TestLiveBoundsWhatTheKernelHides(t *testing.T) {
	a, b := pair(t)
	if err := b.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	if err := Live(a, NotSentLowWater, 256<<10); err != nil {
		t.Fatal(err)
	}
	_ = a.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	n, err := a.Write(make([]byte, 32<<20))
	if err == nil {
		t.Fatal("a peer that does not read took 32 MB")
	}
	if runtime.GOOS == "linux" {
		if n > 4<<20 {
			t.Errorf("%d bytes hidden, want less than 4 MiB", n)
		}
		if Backlog(a) == 0 {
			t.Error("no backlog")
		}
	}
	Reset(a)
	_ = b.SetReadDeadline(time.Now().Add(need.Patience))
	if _, err := io.Copy(io.Discard, b); err == nil {
		t.Error("the peer saw a clean end, want a reset")
	}
}

func TestOtherConnectionsAreLeftAlone(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	if err := Live(a, 1, 1); err != nil {
		t.Error(err)
	}
	CloseWrite(a)
	if Backlog(a) != 0 {
		t.Error("a pipe has a backlog")
	}
	Reset(a)
	if _, err := b.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v", err)
	}
}
