//go:build !linux

package udp

import "syscall"

// Control leaves the socket as the system made it.
func Control(_, _ string, _ syscall.RawConn) error { return nil }

// Stamped is Control here: the time of reading has to do.
func Stamped(network, address string, c syscall.RawConn) error { return Control(network, address, c) }
