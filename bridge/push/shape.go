package push

import (
	"context"
	"net"
	"os"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmpserver"
	"github.com/fairlead-live/fairlead/congestion"
)

// shaping reads RTMP publishers no faster than the shaper lets it, through kernel buffers that are kept small on both sides.
type shaping struct {
	mu sync.Mutex // guards s
	s  shaper
}

// The encoder's kernel takes 3 to 4 MB on loopback before its send call waits, whatever our receive buffer is: 5 s of 4 Mbit/s in which
// an encoder notices nothing. Linux sizes the sender's buffer by twice its congestion window in segments of the size that we tell it, and Cubic's and
// Reno's window does not grow beyond what our receive buffer lets be in flight: with both of these 0.15 to 0.18 MB, for good. BBR's window is
// three times what it sends at once, which on loopback is 64 KB whatever the segment: 1.2 MB after some seconds of full speed, and no receiver can change
// that. Read at 2 Mbit/s on Linux 6.18. There the sender's net.ipv4.tcp_wmem helps (docs/push.md). Less than 16 KiB cost whole seconds of waiting
// for a window.
const (
	shapeReceive = 16 << 10
	shapeSegment = 1460 // Ethernet's
)

// listen opens a listener whose connections are shaped.
func (h *shaping) listen(addr string) (net.Listener, error) {
	config := net.ListenConfig{Control: smallBuffers}
	config.SetMultipathTCP(false) // its sockets have buffers of their own
	l, err := config.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	return shapedListener{l, h}, nil
}

// Watch begins a publisher.
func (h *shaping) watch(rtmpserver.Request) rtmpserver.Watcher {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.s = shaper{target: h.s.target, skipped: h.s.skipped}
	return h
}

// Media implements rtmpserver.Watcher.
func (h *shaping) Media(at time.Time, stamp time.Duration, size int, _ bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.s.media(at, stamp, size)
}

// Keep implements rtmpserver.Watcher.
func (h *shaping) Keep(f *media.Frame) bool {
	if !f.Codec.IsVideo() {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.s.keep(f.Flags.Has(media.Key))
}

// Close implements rtmpserver.Watcher.
func (h *shaping) Close() {}

func (h *shaping) retarget(rate congestion.Bitrate) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.s.retarget(rate)
}

// skipped is how many pictures were dropped because the encoder made more than the path carries for too long.
func (h *shaping) skipped() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.s.skipped
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
