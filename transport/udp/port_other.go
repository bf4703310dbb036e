//go:build !linux

package udp

import "net"

// OpenPort takes conn.
func OpenPort(conn *net.UDPConn) (Port, error) { return newConnPort(conn) }
