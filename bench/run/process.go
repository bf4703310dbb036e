package run

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// stopWait is how long a program may take to end by itself after SIGTERM.
const stopWait = 500 * time.Millisecond

// process is a program of a cell, in a process group of its own.
//
// Goroutines: startProcess begins one that waits for the program; it ends with it.
type process struct {
	name string
	cmd  *exec.Cmd
	said *tail
	done chan struct{} // closed when it has ended
	err  error         // how; readable after done
}

// startProcess takes cmd, whose SysProcAttr asks for a process group.
func startProcess(name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, cmd: cmd, said: &tail{}, done: make(chan struct{})}
	cmd.Stderr = p.said
	if cmd.Stdout == nil {
		cmd.Stdout = p.said
	}
	cmd.WaitDelay = stopWait // a child that keeps our pipes open does not keep us
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	return p, nil
}

// stop ends the program and everything in its group, and waits. It may be called twice.
func (p *process) stop() {
	signalGroup(p.cmd.Process.Pid, false)
	select {
	case <-p.done:
	case <-time.After(stopWait):
	}
	signalGroup(p.cmd.Process.Pid, true) // also what a program that ended left in its group
	<-p.done
}

// failure describes a program that has ended by itself badly; nil: it runs, or ended well.
func (p *process) failure() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	if p.err == nil {
		return nil
	}
	var exit *exec.ExitError
	if errors.As(p.err, &exit) && p.said.String() != "" {
		return fmt.Errorf("%s: %w: %s", p.name, p.err, p.said)
	}
	return fmt.Errorf("%s: %w", p.name, p.err)
}

// tail keeps the last 2 KiB that a program said.
type tail struct {
	mu sync.Mutex // guards b
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const keep = 2 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b); n > keep {
		t.b = append(t.b[:0], t.b[n-keep:]...)
	}
	return len(p), nil
}

// String is the last lines, in one.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.Fields(string(bytes.TrimSpace(t.b))), " ")
}
