//go:build !linux

package udp

import (
	"net"
	"net/netip"
)

// messages sends one datagram a call here.
type messages struct{ conn *net.UDPConn }

func (m *messages) init(conn *net.UDPConn) error { m.conn = conn; return nil }

func (m *messages) send(b *Burst, to netip.AddrPort) (failed int, err error) {
	for i := range b.n {
		if _, e := m.conn.WriteToUDPAddrPort(b.datagram(i), to); e != nil {
			failed, err = failed+1, e
		}
	}
	return failed, err
}
