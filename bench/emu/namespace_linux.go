package emu

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A namespace is a nameless network namespace and the OS thread that lives in it. It exists as long as a process or a
// descriptor of ours refers to it, so a killed fairlead leaves none behind unless a process still runs inside.
type namespace struct {
	file *os.File // /proc/…/ns/net
	ino  uint64
	work chan func()
	done chan struct{} // closed when the thread has gone home
}

// newNamespace makes a network namespace. It needs CAP_SYS_ADMIN.
func newNamespace() (*namespace, error) {
	ns := &namespace{work: make(chan func()), done: make(chan struct{})}
	started := make(chan error)
	go ns.live(started)
	if err := <-started; err != nil {
		return nil, err
	}
	return ns, nil
}

// live is the thread. It returns to the namespace it came from before it ends, because Go may have started a process
// with Pdeathsig from this very thread earlier, and ending the thread would kill that process.
func (ns *namespace) live(started chan<- error) {
	defer close(ns.done)
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		started <- fmt.Errorf("open own network namespace: %w", err)
		return
	}
	defer unix.Close(home)
	if err := ns.enter(); err != nil {
		started <- err
		if unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		return
	}
	started <- nil
	for f := range ns.work {
		f()
	}
	if unix.Setns(home, unix.CLONE_NEWNET) == nil {
		runtime.UnlockOSThread()
	}
	ns.file.Close()
}

func (ns *namespace) enter() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	file, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		file.Close()
		return err
	}
	ns.file, ns.ino = file, st.Ino
	return nil
}

// do runs f on the namespace's thread: a socket opened there belongs to the namespace and may be used from anywhere.
func (ns *namespace) do(f func() error) error {
	err := errors.New("emu: f did not return")
	back := make(chan struct{})
	ns.work <- func() { defer close(back); err = f() }
	<-back
	return err
}

// close sends the thread home and waits for it. It is called once, by the owner.
func (ns *namespace) close() {
	close(ns.work)
	<-ns.done
}

// path names the namespace for other processes, as long as this one lives.
func (ns *namespace) path() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.file.Fd())
}

// precise makes the calling OS thread wake up on time: the shortest timer slack, and real-time priority where the
// process may have it. It says whether it got the priority; undo gives it back.
func precise() (realtime bool, undo func()) {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	fifo := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 10, Flags: unix.SCHED_FLAG_RESET_ON_FORK}
	err := unix.SchedSetAttr(0, fifo, 0)
	return err == nil, func() {
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}, 0)
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0)
	}
}
