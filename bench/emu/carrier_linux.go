package emu

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairlead-live/fairlead/transport/processor"
)

// maxBatch is how many packets are read from one source before due packets get their turn again.
const maxBatch = 64

// A carrier is the loop that reads packets, asks the lanes and sends them on when they are due. It runs on one OS
// thread of its own, with real-time priority where that is allowed.
//
// Goroutines: start begins one, which owns the lanes and everything the callbacks touch; stop ends it and waits.
type carrier struct {
	lanes    [2]*lane
	start    time.Time
	epoll    int
	wake     int // eventfd
	realtime bool

	receive func(fd int32)        // a source is readable: read a batch and admit it
	deliver func(dir int) (n int) // send what is due, at most a batch; n packets went

	mu    sync.Mutex // guards calls, ended
	calls []func()
	ended bool
	done  chan struct{}
}

func newCarrier() (*carrier, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("emu: epoll: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("emu: eventfd: %w", err)
	}
	c := &carrier{epoll: epoll, wake: wake, done: make(chan struct{})}
	return c, c.watch(wake)
}

// watch makes the loop read from fd.
func (c *carrier) watch(fd int) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("emu: epoll: %w", err)
	}
	return nil
}

// now is the time since the link's start, which packets' fates are told in.
func (c *carrier) now() time.Duration { return time.Since(c.start) }

// call runs f on the loop and waits; false: the loop has ended and f did not run.
func (c *carrier) call(f func()) bool {
	back := make(chan struct{})
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return false
	}
	c.calls = append(c.calls, func() { f(); close(back) })
	c.mu.Unlock()
	c.ring()
	<-back
	return true
}

func (c *carrier) ring() {
	one := [8]byte{1, 0, 0, 0, 0, 0, 0, 0}
	_, _ = unix.Write(c.wake, one[:])
}

// run is the loop; it ends after stop.
func (c *carrier) run() {
	defer close(c.done)
	defer processor.Own()()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var undo func()
	c.realtime, undo = precise()
	defer undo()
	events := make([]unix.EpollEvent, 64)
	for {
		sent := c.deliver(0) + c.deliver(1)
		wait := time.Duration(0)
		if sent == 0 {
			due := min(c.lanes[0].next(), c.lanes[1].next())
			if wait = -1; due != never {
				wait = max(0, due-c.now())
			}
		}
		n, err := epollWait(c.epoll, events, wait)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(fmt.Sprintf("emu: epoll_wait: %v", err)) // only a descriptor of ours closed too early does that
		}
		for _, ev := range events[:max(n, 0)] {
			if int(ev.Fd) != c.wake {
				c.receive(ev.Fd)
			} else if c.answer() {
				return
			}
		}
	}
}

// answer runs what call left and says whether the loop is to end.
func (c *carrier) answer() (ended bool) {
	var b [8]byte
	_, _ = unix.Read(c.wake, b[:])
	c.mu.Lock()
	calls := c.calls
	c.calls, ended = nil, c.ended
	c.mu.Unlock()
	for _, f := range calls {
		f()
	}
	return ended
}

// stop ends the loop, waits for it and closes its own descriptors. It may be called twice.
func (c *carrier) stop() {
	c.mu.Lock()
	first := !c.ended
	c.ended = true
	c.mu.Unlock()
	if first {
		c.ring()
		<-c.done
		unix.Close(c.epoll)
		unix.Close(c.wake)
	}
	<-c.done
}
