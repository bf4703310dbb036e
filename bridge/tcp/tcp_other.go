//go:build !linux

package tcp

import (
	"net"
	"time"
)

func setNotSentLowWater(*net.TCPConn, int) error { return nil }

func setQuickAck(*net.TCPConn) error { return nil }

func setUserTimeout(*net.TCPConn, time.Duration) error { return nil }

func backlog(*net.TCPConn) int { return 0 }

func acked(*net.TCPConn) (uint64, bool) { return 0, false }
