package tcp

import (
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// iovMax is how many buffers one writev takes (Linux's UIO_MAXIOV).
const iovMax = 1024

// attempt writes to a socket without waiting for it, and without an allocation.
type attempt struct {
	raw  syscall.RawConn // nil: not possible
	iov  []unix.Iovec
	msg  unix.Msghdr
	n    uintptr
	err  unix.Errno
	call func(fd uintptr) // made once
}

func (a *attempt) open(t *net.TCPConn) {
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	a.raw = raw
	a.call = func(fd uintptr) {
		for { // raw: it does not wait, and so Go's scheduler need not be told of it, which costs; sendmsg: writev goes by way of the file system
			a.n, _, a.err = unix.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&a.msg)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			if a.err != unix.EINTR {
				return
			}
		}
	}
}

// writev returns how many bytes the kernel has taken, 0 when it takes none now.
func (a *attempt) writev(list [][]byte) (int, error) {
	if a.raw == nil {
		return 0, nil
	}
	for _, b := range list[:min(len(list), iovMax)] {
		if len(b) > 0 {
			v := unix.Iovec{Base: &b[0]}
			v.SetLen(len(b))
			a.iov = append(a.iov, v)
		}
	}
	a.n, a.err = 0, 0
	var err error
	if len(a.iov) > 0 {
		a.msg.Iov = &a.iov[0]
		a.msg.SetIovlen(len(a.iov))
		err = a.raw.Control(a.call)
	}
	clear(a.iov)
	a.iov = a.iov[:0]
	switch {
	case err != nil:
		return 0, err
	case a.err == unix.EAGAIN:
		return 0, nil
	case a.err != 0:
		return 0, os.NewSyscallError("sendmsg", a.err)
	}
	return int(a.n), nil
}
