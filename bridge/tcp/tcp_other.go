//go:build !linux

package tcp

import "net"

func setNotSentLowWater(*net.TCPConn, int) error { return nil }

func backlog(*net.TCPConn) int { return 0 }
