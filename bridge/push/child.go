package push

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

const (
	// childGrace is how long a process may take to end after SIGTERM.
	childGrace = 500 * time.Millisecond
	// childFrames is how many frames wait to be taken; when they do, the process waits as on a pipe that is full.
	childFrames = 16
	// childLine bounds what is kept of a line of standard error.
	childLine = 300
)

// child is an encoder in a process group of its own. A nil child has nothing to say and has ended.
//
// Goroutines: one reads its stream, one writes its lines, exec.Cmd's reads its standard error; all end before stop returns.
type child struct {
	command string
	cmd     *exec.Cmd
	frames  chan *media.Frame // closed at the end of its stream
	lines   chan string       // the newest that is to be written
	done    chan struct{}     // stop: the reader gives up
	once    sync.Once
	wg      sync.WaitGroup
	err     error // of the stream; after frames is closed
	result  error // of stop

	log  *slog.Logger
	said string // last line of standard error; after the process has been waited for
	part []byte // of the line that is being written

	any    bool          // a frame was taken; owned by the input
	offset time.Duration // onto the input's timeline; owned by the input
}

func startChild(command string, log *slog.Logger) (*child, error) {
	c := &child{command: command, log: log, cmd: exec.Command("sh", "-c", command),
		frames: make(chan *media.Frame, childFrames), lines: make(chan string, 4), done: make(chan struct{})}
	ownGroup(c.cmd)
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.cmd.Stderr, c.cmd.WaitDelay = c, childGrace // who left the group and keeps our pipes open does not keep us
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("encoder %q: %w", brief(command), err)
	}
	c.wg.Go(func() { c.read(stdout) })
	c.wg.Go(func() { c.write(stdin) })
	return c, nil
}

// out is where its frames come; nil, which never gives any, when there is no child.
func (c *child) out() <-chan *media.Frame {
	if c == nil {
		return nil
	}
	return c.frames
}

// read takes the stream apart. A process that is faster than real time is held back.
func (c *child) read(stdout io.Reader) {
	defer close(c.frames)
	src, err := openStream(stdout)
	if err != nil {
		c.err = err
		return
	}
	var began time.Time
	var first time.Duration
	for {
		f, err := src.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				c.err = err
			}
			return
		}
		now := time.Now()
		if due := f.DTS - first; began.IsZero() || (due-now.Sub(began)).Abs() > jump {
			began, first = now, f.DTS
		} else if early := due - now.Sub(began) - lead; early > 0 {
			select {
			case <-time.After(early):
			case <-c.done:
				return
			}
		}
		select {
		case c.frames <- f:
		case <-c.done:
			return
		}
	}
}

// Write takes what the process says: the last line is kept, all of them are logged. It is called from one goroutine.
func (c *child) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if b = rest; len(c.part)+len(line) <= childLine {
			c.part = append(c.part, line...)
		}
		if !whole {
			break
		}
		if said := strings.TrimSpace(string(c.part)); said != "" {
			c.said = said
			c.log.Debug("encoder", "said", said)
		}
		c.part = c.part[:0]
	}
	return n, nil
}

// tell writes a line to the process. It does not wait: where four lines wait already, the oldest is left out.
func (c *child) tell(line string) {
	if c == nil {
		return
	}
	for {
		select {
		case c.lines <- line:
			return
		default:
		}
		select {
		case <-c.lines:
		default:
		}
	}
}

func (c *child) write(stdin io.WriteCloser) {
	defer stdin.Close()
	for {
		select {
		case line := <-c.lines:
			if _, err := io.WriteString(stdin, line+"\n"); err != nil {
				return // it does not listen, or has ended: its stream says so
			}
		case <-c.done:
			return
		}
	}
}

// terminate asks the process group to end, without waiting; what the process still writes is read.
func (c *child) terminate() {
	signalGroup(c.cmd.Process.Pid, false)
	pid := c.cmd.Process.Pid
	c.wg.Go(func() {
		select {
		case <-c.done:
		case <-time.After(childGrace):
			signalGroup(pid, true)
		}
	})
}

// stop ends the process and everything in its group, waits, and returns how it had ended by itself, as a sentence; nil:
// well, or it had not. It may be called twice.
func (c *child) stop() error {
	if c == nil {
		return nil
	}
	c.once.Do(func() { c.result = c.reap() })
	return c.result
}

func (c *child) reap() error {
	over := false // by itself
	select {
	case _, open := <-c.frames:
		over = !open
	default:
	}
	close(c.done)
	pid, exit := c.cmd.Process.Pid, make(chan error, 1)
	go func() { exit <- c.cmd.Wait() }()
	if !over {
		signalGroup(pid, false)
	}
	var err error
	select {
	case err = <-exit:
	case <-time.After(childGrace):
		signalGroup(pid, true)
		err = <-exit
	}
	signalGroup(pid, true) // what a process that ended left in its group
	c.wg.Wait()
	switch {
	case !over:
		return nil
	case c.err != nil && err == nil:
		err = c.err
	case err == nil:
		return nil
	}
	if c.said == "" {
		return fmt.Errorf("encoder %q: %w", brief(c.command), err)
	}
	return fmt.Errorf("encoder %q: %w: %s", brief(c.command), err, c.said)
}

// isMissing reports a command that the shell could not find or run: trying again helps nothing.
func isMissing(err error) bool {
	e, ok := errors.AsType[*exec.ExitError](err)
	return ok && (e.ExitCode() == 126 || e.ExitCode() == 127)
}

// brief is a command for an error.
func brief(command string) string {
	if len(command) > 60 {
		return command[:57] + "…"
	}
	return command
}
