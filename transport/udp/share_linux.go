package udp

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// CanShare reports whether several sockets can listen on one port, and the system deals out the peers among them.
const CanShare = true

// ControlShared is Control, and lets several sockets listen on one port (SO_REUSEPORT, socket(7)): each peer's datagrams come to one of
// them, chosen by a hash of both addresses. It fits net.ListenConfig.Control.
func ControlShared(network, address string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }); e != nil {
		return e
	}
	if err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return Control(network, address, c)
}
