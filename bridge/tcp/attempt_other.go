//go:build !linux

package tcp

import "net"

type attempt struct{}

func (*attempt) open(*net.TCPConn) {}

func (*attempt) writev([][]byte) (int, error) { return 0, nil }
