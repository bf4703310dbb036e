package emu

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Between asking a command to end and insisting: interrupt, then terminate, then kill.
const (
	interruptGrace = 5 * time.Second
	terminateGrace = 2 * time.Second
)

// OwnGroup gives cmd a process group of its own and lets it die with this process, as Pair.Command does.
func OwnGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// Run starts cmd (of Pair.Command, or any with a process group of its own) and waits for it. When ctx ends, the whole
// process group is interrupted, then terminated, then killed. Where standard input is a terminal, the command becomes its
// foreground, so that Ctrl-C and typing reach it.
// It returns the command's error; context.Cause(ctx) is in the chain when ctx ended it.
func Run(ctx context.Context, cmd *exec.Cmd) error {
	if home, ok := foreground(); ok && cmd.Stdin == os.Stdin && cmd.SysProcAttr != nil && cmd.SysProcAttr.Setpgid {
		cmd.SysProcAttr.Foreground, cmd.SysProcAttr.Ctty = true, int(os.Stdin.Fd())
		defer func() {
			signal.Ignore(syscall.SIGTTOU) // what a background process gets for taking the terminal back
			_ = unix.IoctlSetPointerInt(int(os.Stdin.Fd()), unix.TIOCSPGRP, home)
			signal.Reset(syscall.SIGTTOU)
		}()
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	err := stop(cmd.Process.Pid, done)
	return errors.Join(context.Cause(ctx), err)
}

// stop ends a process group, whose leader's Wait comes on done.
func stop(group int, done <-chan error) error {
	for _, step := range []struct {
		sig   syscall.Signal
		grace time.Duration
	}{{syscall.SIGINT, interruptGrace}, {syscall.SIGTERM, terminateGrace}} {
		_ = syscall.Kill(-group, step.sig)
		select {
		case err := <-done:
			return err
		case <-time.After(step.grace):
		}
	}
	_ = syscall.Kill(-group, syscall.SIGKILL)
	return <-done
}

// foreground is the process group that has the terminal on standard input, when that is ours.
func foreground() (group int, ok bool) {
	group, err := unix.IoctlGetInt(int(os.Stdin.Fd()), unix.TIOCGPGRP)
	return group, err == nil && group == syscall.Getpgrp()
}
