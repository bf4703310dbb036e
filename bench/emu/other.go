//go:build !linux

package emu

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"runtime"
	"time"
)

type session struct{}

func unsupported(what string) error {
	return fmt.Errorf("emu: %s on %s: %w", what, runtime.GOOS, ErrUnsupported)
}

// A Pair exists on Linux only.
type Pair struct{}

// NewPair returns ErrUnsupported.
func NewPair(Config) (*Pair, error) { return nil, unsupported("namespace link") }

func (*Pair) Restart(uint64)              {}
func (*Pair) Addr(Side) netip.Addr        { return netip.Addr{} }
func (*Pair) Addr6(Side) netip.Addr       { return netip.Addr{} }
func (*Pair) Do(Side, func() error) error { return unsupported("namespace link") }
func (*Pair) Command(Side, string, ...string) *exec.Cmd {
	return &exec.Cmd{Err: unsupported("namespace link")}
}
func (*Pair) Forward(string, uint16, string) error { return unsupported("namespace link") }
func (*Pair) Counters() (up, down Counters)        { return }
func (*Pair) Realtime() bool                       { return false }
func (*Pair) Close() error                         { return nil }

// OwnGroup does nothing here.
func OwnGroup(*exec.Cmd) {}

// Run starts cmd and waits for it; when ctx ends it is killed.
func Run(ctx context.Context, cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	return errors.Join(cmd.Wait(), context.Cause(ctx))
}

// RemoveLeftovers has nothing to do: links exist on Linux only.
func RemoveLeftovers() (int, error) { return 0, nil }

// A UDPProxy exists on Linux only.
type UDPProxy struct{}

// NewUDPProxy returns ErrUnsupported.
func NewUDPProxy(_, _ netip.AddrPort, _ Config) (*UDPProxy, error) {
	return nil, unsupported("UDP proxy")
}

func (*UDPProxy) Restart(uint64)                {}
func (*UDPProxy) Addr() netip.AddrPort          { return netip.AddrPort{} }
func (*UDPProxy) Counters() (up, down Counters) { return }
func (*UDPProxy) Realtime() bool                { return false }
func (*UDPProxy) Close() error                  { return nil }

// A Check is one line of the self test.
type Check struct {
	Link, What string
	Got, Want  string
	Pass       bool
	Busy       float64
	HostP99    time.Duration
	HostMax    time.Duration
}

// SelfTest returns ErrUnsupported.
func SelfTest(context.Context, time.Duration, func(Check)) error { return unsupported("self test") }
