//go:build !linux

package emu

import (
	"fmt"
	"net/netip"
	"os/exec"
	"runtime"
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
func (*Pair) Counters() (up, down Counters) { return }
func (*Pair) Realtime() bool                { return false }
func (*Pair) Close() error                  { return nil }

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
