package tcp

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

func setNotSentLowWater(t *net.TCPConn, n int) error { return set(t, unix.TCP_NOTSENT_LOWAT, n) }

func setQuickAck(t *net.TCPConn) error { return set(t, unix.TCP_QUICKACK, 1) }

func setUserTimeout(t *net.TCPConn, d time.Duration) error {
	return set(t, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}

func set(t *net.TCPConn, option, n int) error {
	raw, err := t.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, option, n)
	})
	if err != nil {
		return err
	}
	return set
}

func backlog(t *net.TCPConn) (n int) {
	raw, err := t.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if v, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			n = v
		}
	})
	return n
}

func acked(t *net.TCPConn) (n uint64, ok bool) {
	raw, err := t.SyscallConn()
	if err != nil {
		return 0, false
	}
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n, ok = info.Bytes_acked, true
		}
	})
	return n, ok
}
