//go:build !linux

package tcp

import (
	"context"
	"net"
)

type loop struct{}

func (*loop) open() error { return ErrNoLoop }

func (*loop) wakeAll() {}

func (*loop) serve(_ context.Context, nc *net.TCPConn, _ Handler) (net.Conn, error) {
	return nc, ErrNoLoop
}
