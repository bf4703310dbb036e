//go:build !linux

package udp

import "syscall"

// CanShare reports whether several sockets can listen on one port, and the system deals out the peers among them. Others than Linux
// give all of them to one.
const CanShare = false

// ControlShared is Control here.
func ControlShared(network, address string, c syscall.RawConn) error {
	return Control(network, address, c)
}
