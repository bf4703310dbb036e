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

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// Reader reads up to Batch datagrams with one system call and allocates nothing. It belongs to one goroutine.
type Reader struct {
	raw   syscall.RawConn
	msgs  [Batch]mmsghdr
	iovs  [Batch]unix.Iovec
	names [Batch]unix.RawSockaddrInet6 // holds a RawSockaddrInet4 as well
	oob   [Batch][oobSize]byte
	zones zones

	got   int
	errno syscall.Errno
	call  func(fd uintptr) bool // made once, so that Read allocates nothing
}

// NewReader makes a reader of conn, which keeps its other methods.
func NewReader(conn *net.UDPConn) (*Reader, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("udp: reader: %w", err)
	}
	r := &Reader{raw: raw}
	r.call = func(fd uintptr) bool {
		for {
			n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.msgs[0])), Batch, unix.MSG_DONTWAIT, 0, 0)
			switch errno {
			case unix.EINTR:
				continue
			case unix.EAGAIN:
				return false
			}
			r.got, r.errno = int(n), errno
			return true
		}
	}
	return r, nil
}

// Read waits for datagrams and fills into with the first of them; datagram i is into[i][:Size(i)], cut off if it is longer.
// It borrows into until then. n is at least 1 when err is nil.
func (r *Reader) Read(into *[Batch][]byte) (n int, err error) {
	for i := range r.msgs {
		r.iovs[i].Base = &into[i][0]
		r.iovs[i].SetLen(len(into[i]))
		h := &r.msgs[i].hdr
		*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&r.names[i])), Namelen: uint32(unsafe.Sizeof(r.names[i])), Iov: &r.iovs[i], Control: &r.oob[i][0]}
		h.SetIovlen(1)
		h.SetControllen(oobSize)
	}
	for {
		r.got, r.errno = 0, 0
		if err := r.raw.Read(r.call); err != nil {
			return 0, err
		}
		if r.errno != 0 {
			return 0, os.NewSyscallError("recvmmsg", r.errno)
		}
		if r.got > 0 {
			return r.got, nil
		}
	}
}

// Size is the length of datagram i.
func (r *Reader) Size(i int) int { return int(r.msgs[i].n) }

// OOB is the control data of datagram i, lent until the next Read.
func (r *Reader) OOB(i int) []byte { return r.oob[i][:r.msgs[i].hdr.Controllen] }

// From is who sent datagram i.
func (r *Reader) From(i int) netip.AddrPort {
	name := &r.names[i]
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	if name.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr), port)
	}
	a := netip.AddrFrom16(name.Addr)
	if name.Scope_id != 0 {
		a = a.WithZone(r.zones.name(name.Scope_id))
	}
	return netip.AddrPortFrom(a, port)
}

// zones remembers interface names, so that a link-local peer costs one look-up.
type zones map[uint32]string

func (z *zones) name(id uint32) string {
	if s, ok := (*z)[id]; ok {
		return s
	}
	if *z == nil {
		*z = zones{}
	}
	s := fmt.Sprint(id)
	if i, err := net.InterfaceByIndex(int(id)); err == nil {
		s = i.Name
	}
	(*z)[id] = s
	return s
}

// Meta is what control data says about a datagram: its ECN bits, and control data to send with an answer so that it leaves
// from the address the datagram came to: its packet info (ip(7), ipv6(7)), at most 40 bytes, appended to dst.
func Meta(dst, oob []byte) (ecn uint8, source []byte) {
	source = dst
	for len(oob) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
		n := int(h.Len)
		if n < unix.SizeofCmsghdr || n > len(oob) {
			return ecn, source
		}
		data := oob[unix.CmsgLen(0):n]
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TOS && len(data) >= 1:
			ecn = data[0] & 3
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_TCLASS && len(data) >= 4:
			ecn = uint8(binary.NativeEndian.Uint32(data)) & 3
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(source) == len(dst),
			h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(source) == len(dst):
			source = append(source, oob[:min(len(oob), unix.CmsgSpace(n-unix.CmsgLen(0)))]...)
		}
		oob = oob[min(len(oob), unix.CmsgSpace(n-unix.CmsgLen(0))):]
	}
	return ecn, source
}
