package tcp

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fairlead-live/fairlead/transport/processor"
)

// loopYield is how often a Loop's goroutine passes through Go's scheduler, which wakes another thread to look for work: one that has not for 10 ms
// has its processor taken away where it waits.
const loopYield = 9 * time.Millisecond

// What a loop waits for: edges, since a socket that is looked at again after each read costs a look more; and the end, which an edge tells of
// once, so that it is read for.
const (
	loopIn  = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET
	loopOut = loopIn | unix.EPOLLOUT
	loopEnd = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
)

// loop is Linux's: an epoll instance and a descriptor that wakes it.
type loop struct {
	epoll, wake int

	mu      sync.Mutex // guards what follows
	running bool
	conns   []*looped // by descriptor
	n       int       // of them
	ending  []*looped // whose context has ended
	all     bool      // every handler is to be called
}

// looped is one connection of a loop; all but done belongs to the loop's goroutine once it is registered.
type looped struct {
	l       *loop
	fd      int
	h       Handler
	waits   uint32 // what epoll was told
	pending []byte // written, not taken by the kernel
	done    chan struct{}
	err     error // set before done is closed
	closed  bool
}

func (l *loop) open() (err error) {
	l.epoll, l.wake = -1, -1
	if processor.Shared() == 1 { // a system call that waits would hold the only processor
		return ErrNoLoop
	}
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		_ = unix.Close(l.epoll)
		return os.NewSyscallError("eventfd", err)
	}
	runtime.AddCleanup(l, func(fds [2]int) { _, _ = unix.Close(fds[0]), unix.Close(fds[1]) }, [2]int{l.epoll, l.wake})
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, l.wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(l.wake)}))
}

func (l *loop) serve(ctx context.Context, nc *net.TCPConn, h Handler) (net.Conn, error) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return nc, err
	}
	c := &looped{l: l, fd: -1, h: h, waits: loopIn, done: make(chan struct{})}
	var dup error
	if err := raw.Control(func(fd uintptr) { c.fd, dup = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nc, err
	}
	if dup != nil { // out of descriptors: it stays where it is
		return nc, ErrNoLoop
	}
	_ = nc.Close() // which takes the socket off the poller; c.fd keeps it open
	l.add(c)
	stop := context.AfterFunc(ctx, func() { l.end(c) })
	<-c.done
	stop()
	f := os.NewFile(uintptr(c.fd), "")
	defer f.Close()
	back, err := net.FileConn(f)
	if err != nil {
		return nc, errors.Join(c.err, err)
	}
	if len(c.pending) > 0 {
		_ = back.SetWriteDeadline(time.Now().Add(loopLook))
		_, _ = back.Write(c.pending) // what fails here fails again where the caller writes or reads
	}
	if ctx.Err() != nil {
		return back, context.Cause(ctx)
	}
	return back, c.err
}

// add begins with c.
func (l *loop) add(c *looped) {
	l.mu.Lock()
	for len(l.conns) <= c.fd {
		l.conns = append(l.conns, nil)
	}
	l.conns[c.fd] = c
	l.n++
	if !l.running {
		l.running = true
		go l.run() // ends when there are no connections, and each of those is waited for
	}
	l.mu.Unlock()
	// Last: what has come already is an event at once.
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{Events: loopIn, Fd: int32(c.fd)}); err != nil {
		l.end(c)
	}
}

// end makes the loop's goroutine give c back.
func (l *loop) end(c *looped) {
	l.mu.Lock()
	l.ending = append(l.ending, c)
	l.mu.Unlock()
	l.rouse()
}

func (l *loop) wakeAll() {
	l.mu.Lock()
	l.all = true
	l.mu.Unlock()
	l.rouse()
}

// rouse ends the goroutine's wait, or the next one.
func (l *loop) rouse() {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], 1)
	_, _ = unix.Write(l.wake, b[:])
}

// run is the loop's goroutine.
func (l *loop) run() {
	defer processor.Beside()()
	buf := make([]byte, loopRead)
	events := make([]unix.EpollEvent, 64)
	looked := time.Now()
	yielded := looked
	for {
		n, err := unix.EpollWait(l.epoll, events, int(loopLook.Milliseconds()))
		if err != nil && err != unix.EINTR {
			n = 0
		}
		now := time.Now()
		if now.Sub(yielded) >= loopYield {
			yielded = now
			runtime.Gosched()
		}
		for i := range events[:max(0, n)] {
			e := &events[i]
			if e.Fd == int32(l.wake) {
				var b [8]byte
				_, _ = unix.Read(l.wake, b[:])
				continue
			}
			c := l.conn(e.Fd)
			if c == nil {
				continue
			}
			if e.Events&unix.EPOLLOUT != 0 {
				c.flush()
			}
			if e.Events&^unix.EPOLLOUT != 0 {
				if err := c.read(now, buf, e.Events&loopEnd != 0); err != nil {
					l.release(c, err)
				}
			}
		}
		if now.Sub(looked) >= loopLook {
			looked = now
			l.look(now)
		}
		l.mu.Lock()
		ending, all := l.ending, l.all
		l.ending, l.all = nil, false
		l.mu.Unlock()
		if all {
			for _, c := range l.list() {
				if err := c.h.Handle(now, nil, c); err != nil {
					l.release(c, err)
				}
			}
		}
		for _, c := range ending {
			l.release(c, net.ErrClosed)
		}
		l.mu.Lock()
		if l.n == 0 && len(l.ending) == 0 {
			l.running = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
	}
}

// look ends those whose time is up.
func (l *loop) look(now time.Time) {
	for _, c := range l.list() {
		if d := c.h.Deadline(); !d.IsZero() && !now.Before(d) {
			l.release(c, os.ErrDeadlineExceeded)
		}
	}
}

func (l *loop) list() []*looped {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]*looped, 0, l.n)
	for _, c := range l.conns {
		if c != nil {
			out = append(out, c)
		}
	}
	return out
}

// conn returns the connection of a descriptor; nil: it has been given back.
func (l *loop) conn(fd int32) *looped {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conns[fd]
}

// release gives c back to who waits for it.
func (l *loop) release(c *looped, err error) {
	if c.closed {
		return
	}
	c.closed = true
	_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, c.fd, nil)
	l.mu.Lock()
	l.conns[c.fd] = nil
	l.n--
	l.mu.Unlock()
	c.err = err
	close(c.done)
}

// read reads once. What does not fill buf was all that there was; else, and where the connection has ended too, what is left is another event.
func (c *looped) read(now time.Time, buf []byte, ends bool) error {
	n, err := readNow(c.fd, buf)
	switch {
	case err == unix.EAGAIN:
		return nil
	case err != 0:
		return os.NewSyscallError("read", err)
	case n == 0:
		return io.EOF
	}
	if n == len(buf) || ends {
		c.want(c.waits)
	}
	return c.h.Handle(now, buf[:n], c)
}

// readNow reads from a socket without waiting. Go's scheduler is not told of the call, which costs less than telling; nor is the file system.
func readNow(fd int, b []byte) (int, unix.Errno) {
	for {
		n, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
		if err != unix.EINTR {
			return int(n), err
		}
	}
}

// Write sends b, or keeps what the kernel does not take now.
func (c *looped) Write(b []byte) (int, error) {
	n := 0
	if len(c.pending) == 0 {
		k, err := unix.Write(c.fd, b)
		if err != nil && err != unix.EAGAIN && err != unix.EINTR {
			return 0, os.NewSyscallError("write", err)
		}
		n = max(0, k)
	}
	if n < len(b) {
		if len(c.pending)+len(b)-n > loopPending {
			return n, errDeaf
		}
		if c.pending = append(c.pending, b[n:]...); n > 0 || len(c.pending) == len(b) {
			c.want(loopOut)
		}
	}
	return len(b), nil
}

// flush sends what is pending; errors show when it is read.
func (c *looped) flush() {
	n, _ := unix.Write(c.fd, c.pending)
	if c.pending = c.pending[max(0, n):]; len(c.pending) == 0 {
		c.pending = nil
		c.want(loopIn)
	}
}

// want says what to wait for; what of it is there already is an event.
func (c *looped) want(events uint32) {
	c.waits = events
	_ = unix.EpollCtl(c.l.epoll, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Events: events, Fd: int32(c.fd)})
}
