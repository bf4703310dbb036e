//go:build !linux

package udp

import "syscall"

// Control leaves the socket as the system made it.
func Control(_, _ string, _ syscall.RawConn) error { return nil }
