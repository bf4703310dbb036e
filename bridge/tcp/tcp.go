// Package tcp sets the options of TCP sockets that carry live media, where the queue the application sees is not the
// queue: a kernel buffer of 4 MiB hides 8 s of a 4 Mbit/s stream.
//
// All functions take any net.Conn (TLS is looked through) and do nothing to what is not TCP, or on systems without
// the option. What it leaves to others: the bytes.
package tcp

import (
	"crypto/tls"
	"net"
	"time"
)

// NotSentLowWater bounds what the kernel keeps that it has not sent yet: 128 KiB, 0.25 s of 4 Mbit/s.
// Ours; the limit web servers use for the same purpose.
const NotSentLowWater = 128 << 10

// Live keeps the kernel's unsent backlog at lowWater bytes and, when sendBuffer is not 0, its whole send buffer at
// about twice that many bytes (Linux doubles it for its own use). Errors are of the system and may be ignored.
func Live(c net.Conn, lowWater, sendBuffer int) error {
	t := tcpOf(c)
	if t == nil {
		return nil
	}
	if sendBuffer > 0 {
		if err := t.SetWriteBuffer(sendBuffer); err != nil {
			return err
		}
	}
	return setNotSentLowWater(t, lowWater)
}

// LowWater changes what Live set: the kernel takes no more once n bytes wait unsent.
func LowWater(c net.Conn, n int) error {
	if t := tcpOf(c); t != nil {
		return setNotSentLowWater(t, n)
	}
	return nil
}

// GiveUpAfter makes the kernel end the connection when what was sent is not acknowledged, or the peer's window stays shut, for d
// (RFC 5482; without it Linux tries for a quarter of an hour).
func GiveUpAfter(c net.Conn, d time.Duration) error {
	if t := tcpOf(c); t != nil {
		return setUserTimeout(t, d)
	}
	return nil
}

// AckNow has the system acknowledge what comes next at once (Linux; not for good): a peer that leaves Nagle's algorithm on waits for it with
// its next words, 40 ms each time.
func AckNow(c net.Conn) error {
	if t := tcpOf(c); t != nil {
		return setQuickAck(t)
	}
	return nil
}

// Acked returns the bytes of the connection's life that the peer has acknowledged; ok: the system says so.
func Acked(c net.Conn) (n uint64, ok bool) {
	if t := tcpOf(c); t != nil {
		return acked(t)
	}
	return 0, false
}

// Reset closes c at once: what the kernel still holds is thrown away and the peer gets a RST.
func Reset(c net.Conn) {
	if t := tcpOf(c); t != nil {
		_ = t.SetLinger(0)
		_ = t.Close()
		return
	}
	_ = c.Close()
}

// CloseWrite ends our direction, so that the peer reads what was sent and then the end.
func CloseWrite(c net.Conn) {
	if h, ok := c.(interface{ CloseWrite() error }); ok { // TCP, TLS
		_ = h.CloseWrite()
	}
}

// Backlog returns the bytes written that the peer has not acknowledged, 0 when the system does not say.
func Backlog(c net.Conn) int {
	t := tcpOf(c)
	if t == nil {
		return 0
	}
	return backlog(t)
}

func tcpOf(c net.Conn) *net.TCPConn {
	if s, ok := c.(*tls.Conn); ok {
		c = s.NetConn()
	}
	t, _ := c.(*net.TCPConn)
	return t
}
