package emu

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// epollWait waits to the nanosecond: Go's own poller and epoll_wait round to milliseconds. wait < 0: for ever.
// It falls back to ppoll on the epoll descriptor where epoll_pwait2 (Linux 5.11) is missing.
func epollWait(epoll int, events []unix.EpollEvent, wait time.Duration) (int, error) {
	if wait == 0 {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		return count(n, errno)
	}
	ts := unix.NsecToTimespec(int64(max(wait, 0)))
	var until unsafe.Pointer // nil: for ever
	if wait > 0 {
		until = unsafe.Pointer(&ts)
	}
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(until), 0, 0)
	if errno != unix.ENOSYS {
		return count(n, errno)
	}
	fd := unix.PollFd{Fd: int32(epoll), Events: unix.POLLIN}
	ready, _, errno := unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fd)), 1, uintptr(until), 0, 0, 0)
	if ready == 0 || errno != 0 {
		return count(0, errno)
	}
	return epollWait(epoll, events, 0)
}

func count(n uintptr, errno unix.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// readFD and writeFD are for descriptors that never block: they skip the scheduler's bookkeeping of a blocking call.
func readFD(fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return count(n, errno)
}

func writeFD(fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return count(n, errno)
}
