//go:build !linux

package udp

import (
	"net"
	"net/netip"
)

// Writer sends one datagram a call here. It belongs to one goroutine.
type Writer struct {
	conn *net.UDPConn
	sent int
}

// NewWriter makes a writer of conn.
func NewWriter(conn *net.UDPConn) (*Writer, error) { return &Writer{conn: conn}, nil }

// Add sends b.
func (w *Writer) Add(b, _ []byte, to netip.AddrPort) {
	if _, err := w.conn.WriteToUDPAddrPort(b, to); err == nil {
		w.sent++
	}
}

// Flush returns how many datagrams the system took since the last one.
func (w *Writer) Flush() int {
	n := w.sent
	w.sent = 0
	return n
}
