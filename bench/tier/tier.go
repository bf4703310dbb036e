// Package tier is a destination over RTMP for tests that count what a frame's way
// to it costs: in steady state it takes no memory of its own.
package tier

import (
	"net"
	"sync/atomic"
	"testing"

	"github.com/fairlead-live/fairlead/bridge/rtmp"
)

// Counting accepts one publish on loopback, throws away what comes, and counts its bytes. It ends with its test.
func Counting(t testing.TB) (addr string, got *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	got = &atomic.Int64{}
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		m := rtmp.NewServer(rtmp.ServerConfig{Random: make([]byte, rtmp.RandomSize)})
		buf := make([]byte, 64<<10)
		for accepted := false; ; {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			if accepted {
				got.Add(int64(n))
				continue
			}
			for b := buf[:n]; ; {
				ev, n, err := m.Feed(b)
				b = b[n:]
				if ev.Kind == rtmp.EventPublish {
					m.Accept()
					accepted = true
				}
				if _, werr := c.Write(m.Output()); err != nil || werr != nil {
					return
				}
				if ev.Kind == rtmp.EventNone {
					break
				}
			}
		}
	}()
	return l.Addr().String(), got
}
