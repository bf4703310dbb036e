package udp

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Control sets both socket buffers to ReceiveBuffer, over the system's limit where we may, up to it where not.
// It fits net.ListenConfig.Control.
func Control(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		for _, o := range [...][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
			if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, o[0], ReceiveBuffer) != nil {
				_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, o[1], ReceiveBuffer)
			}
		}
	})
}

// Stamped is Control, and the system notes when each datagram came: Arrived says so, however late it is read.
func Stamped(network, address string, c syscall.RawConn) error {
	if err := Control(network, address, c); err != nil {
		return err
	}
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) // where it cannot, the time of reading has to do
	})
}
