package udp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// messages are a Burst's for sendmmsg(2).
type messages struct {
	raw     syscall.RawConn
	address func(name *unix.RawSockaddrInet6, to netip.AddrPort) (length uint32, ok bool) // Writer's
	segment bool                                                                          // GSO works as far as we know

	msgs  [Batch]mmsghdr
	iovs  [Batch]unix.Iovec
	first [Batch + 1]int // datagram a message begins with
	oob   [Batch][segmentSpace]byte
	name  unix.RawSockaddrInet6
	size  uint32

	n, done int
	errno   syscall.Errno
	call    func(fd uintptr) bool // made once, so that Flush allocates nothing
}

// segmentSpace is unix.CmsgSpace(2).
const segmentSpace = unix.SizeofCmsghdr + 8

func (m *messages) init(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("udp: burst: %w", err)
	}
	a, ok := conn.LocalAddr().(*net.UDPAddr)
	m.raw, m.address = raw, newWriter(raw, ok && a.IP.To4() == nil).address
	err = raw.Control(func(fd uintptr) {
		_, e := unix.GetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT)
		m.segment = e == nil
	})
	if err != nil {
		return fmt.Errorf("udp: burst: %w", err)
	}
	m.call = func(fd uintptr) bool {
		for {
			n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&m.msgs[0])), uintptr(m.n), unix.MSG_DONTWAIT, 0, 0)
			switch errno {
			case unix.EINTR:
				continue
			case unix.EAGAIN:
				return false
			}
			m.done, m.errno = int(n), errno
			return true
		}
	}
	return nil
}

// send sends every datagram of b.
func (m *messages) send(b *Burst, to netip.AddrPort) (failed int, err error) {
	var ok bool
	if m.size, ok = m.address(&m.name, to); !ok {
		return b.n, &net.AddrError{Err: "no address of this socket's family", Addr: to.String()}
	}
	single, before := 0, -1 // datagrams before single go one by one; before it had to be, so many had failed, -1: it was no question
	for at := 0; at < b.n || before >= 0; {
		if before >= 0 && at >= single {
			m.segment = failed > before // one by one they go: it was the segments
			before = -1
			continue
		}
		m.n = 0
		for i := at; i < b.n; m.n++ {
			n := 1
			if m.segment && i >= single {
				n = b.run(i)
			}
			m.message(b, m.n, i, n)
			i += n
		}
		m.done, m.errno = 0, 0
		if e := m.raw.Write(m.call); e != nil {
			return failed + b.n - at, e
		}
		if m.errno == 0 {
			at = m.first[m.done]
			continue
		}
		// sendmmsg gives the error of its first message.
		if n := m.first[1] - at; n > 1 {
			if single = at + n; noSegments(m.errno) {
				before = failed
			}
			continue
		}
		failed, err = failed+1, os.NewSyscallError("sendmmsg", m.errno)
		at++
	}
	return failed, err
}

// message makes message k of n datagrams from i on.
func (m *messages) message(b *Burst, k, i, n int) {
	first, last := b.datagram(i), b.datagram(i+n-1)
	m.iovs[k].Base = unsafe.SliceData(first)
	m.iovs[k].SetLen(len(first)*(n-1) + len(last))
	h := &m.msgs[k].hdr
	*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&m.name)), Namelen: m.size, Iov: &m.iovs[k]}
	h.SetIovlen(1)
	if n > 1 {
		c := (*unix.Cmsghdr)(unsafe.Pointer(&m.oob[k][0]))
		c.Level, c.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
		c.SetLen(unix.CmsgLen(2))
		binary.NativeEndian.PutUint16(m.oob[k][unix.CmsgLen(0):], uint16(len(first)))
		h.Control = &m.oob[k][0]
		h.SetControllen(unix.CmsgSpace(2))
	}
	m.first[k], m.first[k+1] = i, i+n
}
