package udp

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairlead-live/fairlead/transport/processor"
)

// OpenPort takes conn.
//
// With more than one processor the socket leaves the runtime's poller: that wakes a thread for each packet that comes while the
// loop sleeps, which was a third of a listener's CPU time. The loop then sleeps and waits in system calls of its own (package processor).
func OpenPort(conn *net.UDPConn) (Port, error) {
	if processor.Shared() == 1 {
		return newConnPort(conn) // a system call that waits would hold the only one
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	p := &rawPort{fd: -1, addr: conn.LocalAddr()}
	var dup error
	if err := raw.Control(func(fd uintptr) { p.fd, dup = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	if dup != nil {
		return nil, os.NewSyscallError("fcntl", dup)
	}
	if p.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		_ = unix.Close(p.fd)
		return nil, os.NewSyscallError("eventfd", err)
	}
	p.back = processor.Beside()
	_ = conn.Close() // which takes the socket off the poller; p.fd keeps it open
	a, ok := p.addr.(*net.UDPAddr)
	p.Reader, p.Writer = newReader(rawFD{p}), newWriter(rawFD{p}, ok && a.IP.To4() == nil)
	return p, nil
}

// rawPort is a Port beside the runtime's poller.
type rawPort struct {
	*Reader
	*Writer
	addr net.Addr
	naps int
	back func() // gives the processor back

	mu       sync.Mutex // guards the descriptors against Close
	fd, wake int
	closed   bool
}

func (p *rawPort) ReadBefore(d time.Duration, into *[Batch][]byte) (int, error) {
	runtime.Gosched() // as in ReadAfter
	fds := [2]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}, {Fd: int32(p.wake), Events: unix.POLLIN}}
	var timeout *unix.Timespec
	if d > 0 {
		t := unix.NsecToTimespec(int64(d))
		timeout = &t
	}
	_, err := unix.Ppoll(fds[:], timeout, nil)
	if err != nil && err != unix.EINTR {
		return 0, os.NewSyscallError("ppoll", err)
	}
	if fds[1].Revents != 0 {
		var b [8]byte
		_, _ = unix.Read(p.wake, b[:])
	}
	return p.Reader.ReadAfter(0, into)
}

func (p *rawPort) ReadAfter(d time.Duration, into *[Batch][]byte) (int, error) {
	if d > 0 {
		t := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&t, nil) // a signal ends it early, which does no harm
		if p.naps++; p.naps%4 == 0 {
			// A goroutine that has not passed through the scheduler for 10 ms has its processor taken away in each system call.
			runtime.Gosched()
		}
	}
	return p.Reader.ReadAfter(0, into)
}

func (p *rawPort) Wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		var b [8]byte
		binary.NativeEndian.PutUint64(b[:], 1)
		_, _ = unix.Write(p.wake, b[:])
	}
}

func (p *rawPort) LocalAddr() net.Addr { return p.addr }

func (p *rawPort) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	p.closed = true
	p.back()
	_ = unix.Close(p.wake)
	err := unix.Close(p.fd)
	p.fd = -1
	return os.NewSyscallError("close", err)
}

// rawFD is a Port's socket for a Reader and a Writer that never wait.
type rawFD struct{ p *rawPort }

var _ syscall.RawConn = rawFD{}

func (r rawFD) Control(f func(fd uintptr)) error {
	f(uintptr(r.p.fd))
	return nil
}

func (r rawFD) Read(func(fd uintptr) bool) error  { return errors.ErrUnsupported }
func (r rawFD) Write(func(fd uintptr) bool) error { return errors.ErrUnsupported }
