package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// writerRoom is the longest datagram a Writer takes, and sourceRoom the control data with it.
const (
	writerRoom = 1536
	sourceRoom = 40
)

// Writer collects datagrams and sends up to Batch of them with one system call. It belongs to one goroutine and allocates nothing.
type Writer struct {
	raw   syscall.RawConn
	six   bool // the socket is of AF_INET6: IPv4 addresses are mapped
	msgs  [Batch]mmsghdr
	iovs  [Batch]unix.Iovec
	names [Batch]unix.RawSockaddrInet6
	oob   [Batch][sourceRoom]byte
	data  [Batch][writerRoom]byte
	ids   map[string]uint32 // interface indices of zones

	n, done, sent int
	call          func(fd uintptr) // made once, so that Flush allocates nothing
}

// NewWriter makes a writer of conn, which keeps its other methods.
func NewWriter(conn *net.UDPConn) (*Writer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	a, ok := conn.LocalAddr().(*net.UDPAddr)
	return newWriter(raw, ok && a.IP.To4() == nil), nil
}

func newWriter(raw syscall.RawConn, six bool) *Writer {
	w := &Writer{raw: raw, six: six}
	w.call = func(fd uintptr) {
		for w.done < w.n {
			h := &w.msgs[w.done].hdr
			n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&w.msgs[w.done])), uintptr(w.n-w.done), unix.MSG_DONTWAIT, 0, 0)
			switch {
			case errno == unix.EINTR:
			case errno == unix.EAGAIN:
				return // the send buffer is full: what is left is lost, as on the way
			case errno != 0 && h.Control != nil:
				h.Control = nil // that address of ours is gone: from another one
				h.SetControllen(0)
			case errno != 0:
				w.done++ // this one does not go; the others may
			default:
				w.done, w.sent = w.done+int(n), w.sent+int(n)
			}
		}
	}
	return w
}

// Add queues a datagram, and copies it. source is control data of Meta, or empty. What is queued is sent by Flush, or when Batch is
// reached. What is too long is not sent.
func (w *Writer) Add(b, source []byte, to netip.AddrPort) {
	if len(b) > writerRoom || len(b) == 0 || len(source) > sourceRoom {
		return
	}
	i := w.n
	length, ok := w.address(&w.names[i], to)
	if !ok {
		return
	}
	copy(w.data[i][:], b)
	w.iovs[i].Base = &w.data[i][0]
	w.iovs[i].SetLen(len(b))
	h := &w.msgs[i].hdr
	*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&w.names[i])), Namelen: length, Iov: &w.iovs[i]}
	h.SetIovlen(1)
	if len(source) > 0 {
		copy(w.oob[i][:], source)
		h.Control = &w.oob[i][0]
		h.SetControllen(len(source))
	}
	if w.n++; w.n == Batch {
		w.Flush()
	}
}

// address fills in a socket address for the socket's family.
func (w *Writer) address(name *unix.RawSockaddrInet6, to netip.AddrPort) (length uint32, ok bool) {
	a := to.Addr()
	if !w.six {
		if a = a.Unmap(); !a.Is4() {
			return 0, false
		}
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		*four = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.As4()}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&four.Port))[:], to.Port())
		return unix.SizeofSockaddrInet4, a.IsValid()
	}
	if !a.IsValid() {
		return 0, false
	}
	*name = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: a.As16()}
	if zone := a.Zone(); zone != "" {
		name.Scope_id = w.zone(zone)
	}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], to.Port())
	return unix.SizeofSockaddrInet6, true
}

func (w *Writer) zone(name string) uint32 {
	id, ok := w.ids[name]
	if !ok {
		if i, err := net.InterfaceByName(name); err == nil {
			id = uint32(i.Index)
		}
		if w.ids == nil {
			w.ids = map[string]uint32{}
		}
		w.ids[name] = id
	}
	return id
}

// Flush sends what is queued and returns how many datagrams the system took. It never waits.
func (w *Writer) Flush() int {
	if w.n == 0 {
		return 0
	}
	w.done, w.sent = 0, 0
	_ = w.raw.Control(w.call) // a closed socket sends nothing
	w.n = 0
	return w.sent
}
