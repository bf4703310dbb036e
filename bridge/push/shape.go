package push

import (
	"context"
	"net"
	"os"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/rtmpserver"
	"github.com/fairlead-live/fairlead/congestion"
)

// shaping reads RTMP publishers no faster than the shaper lets it, through kernel buffers that are kept small on both sides.
type shaping struct {
	mu sync.Mutex // guards s
	s  shaper
}

// The encoder's kernel takes 2 to 4 MB on loopback before its send call waits, whatever our receive buffer is: 5 s of 4 Mbit/s in which
// an encoder notices nothing. It chooses its buffer by the largest segment, which we tell it; measured on Linux 6.18 at 250 kB/s:
// 2.7 MB with neither, 2.4 MB with 16 KiB of receive buffer, 540 kB with segments of 1460 bytes, 80 kB with 4 KiB and 1460 bytes.
const (
	shapeReceive = 4 << 10
	shapeSegment = 1460 // Ethernet's
)

// listen opens a listener whose connections are shaped.
func (h *shaping) listen(addr string) (net.Listener, error) {
	l, err := (&net.ListenConfig{Control: smallBuffers}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	return shapedListener{l, h}, nil
}

// Watch begins a publisher.
func (h *shaping) watch(rtmpserver.Request) rtmpserver.Watcher {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.s = shaper{target: h.s.target}
	return h
}

// Media implements rtmpserver.Watcher.
func (h *shaping) Media(at time.Time, stamp time.Duration, size int, _ bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.s.media(at, stamp, size)
}

// Close implements rtmpserver.Watcher.
func (h *shaping) Close() {}

func (h *shaping) retarget(rate congestion.Bitrate) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.s.retarget(rate)
}

func (h *shaping) take(n int) (int, time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.s.take(time.Now(), n)
}

func (h *shaping) read(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.s.read(n)
}

type shapedListener struct {
	net.Listener
	h *shaping
}

func (l shapedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &shapedConn{Conn: c, h: l.h}, nil
}

type shapedConn struct {
	net.Conn
	h *shaping

	mu  sync.Mutex // guards end
	end time.Time  // read deadline
}

// NetConn is what it reads from.
func (c *shapedConn) NetConn() net.Conn { return c.Conn }

func (c *shapedConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.end = t
	c.mu.Unlock()
	return c.Conn.SetReadDeadline(t)
}

func (c *shapedConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	c.end = t
	c.mu.Unlock()
	return c.Conn.SetDeadline(t)
}

func (c *shapedConn) overdue() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.end.IsZero() && time.Now().After(c.end)
}

// Read waits for its turn, at most 40 ms at a time, and then for bytes.
func (c *shapedConn) Read(b []byte) (int, error) {
	for {
		n, wait := c.h.take(len(b))
		if n > 0 {
			n, err := c.Conn.Read(b[:n])
			c.h.read(n)
			return n, err
		}
		if c.overdue() {
			return 0, os.ErrDeadlineExceeded
		}
		time.Sleep(min(wait+time.Millisecond, 40*time.Millisecond))
	}
}
