package udp

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// Port is a socket for a loop that reads in its own rhythm. Only Wake and LocalAddr may be called from other goroutines than the loop's.
type Port interface {
	// ReadBefore waits for the first datagram, for Wake, or for d (0: no end), whichever is first, and fills into with what has come: n may be 0.
	ReadBefore(d time.Duration, into *[Batch][]byte) (n int, err error)
	// ReadAfter sleeps for d and fills into with what has come by then: n may be 0.
	ReadAfter(d time.Duration, into *[Batch][]byte) (n int, err error)
	// Size, OOB and From are the length, control data (for Meta) and sender of datagram i of the last read.
	Size(i int) int
	OOB(i int) []byte
	From(i int) netip.AddrPort
	// Add queues a copy of b; source is control data of Meta, or empty. Flush sends what is queued; what the system does not take is lost.
	Add(b, source []byte, to netip.AddrPort)
	Flush() int
	// Wake ends a ReadBefore that waits, or the next one.
	Wake()
	LocalAddr() net.Addr
	Close() error
}

// connPort is a Port on the runtime's poller.
type connPort struct {
	*Reader
	*Writer
	conn *net.UDPConn

	mu    sync.Mutex // guards woken
	woken bool
}

func newConnPort(conn *net.UDPConn) (Port, error) {
	r, err := NewReader(conn)
	if err != nil {
		return nil, err
	}
	w, err := NewWriter(conn)
	if err != nil {
		return nil, err
	}
	return &connPort{Reader: r, Writer: w, conn: conn}, nil
}

func (p *connPort) ReadBefore(d time.Duration, into *[Batch][]byte) (int, error) {
	p.mu.Lock()
	if p.woken {
		p.woken = false
		p.mu.Unlock()
		return p.ReadAfter(0, into)
	}
	var until time.Time
	if d > 0 {
		until = time.Now().Add(d)
	}
	_ = p.conn.SetReadDeadline(until)
	p.mu.Unlock()
	n, err := p.Read(into)
	if isTimeout(err) {
		p.mu.Lock()
		p.woken = false
		p.mu.Unlock()
		return 0, nil
	}
	return n, err
}

func isTimeout(err error) bool {
	t, ok := err.(net.Error)
	return ok && t.Timeout()
}

func (p *connPort) Wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.woken = true
	_ = p.conn.SetReadDeadline(time.Unix(1, 0))
}

func (p *connPort) LocalAddr() net.Addr { return p.conn.LocalAddr() }

func (p *connPort) Close() error { return p.conn.Close() }
