package udp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
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
	used  int                   // entries of msgs that the last call may have changed
	call  func(fd uintptr) bool // made once, so that Read allocates nothing
	look  func(fd uintptr)
}

// NewReader makes a reader of conn, which keeps its other methods.
func NewReader(conn *net.UDPConn) (*Reader, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("udp: reader: %w", err)
	}
	return newReader(raw), nil
}

func newReader(raw syscall.RawConn) *Reader {
	r := &Reader{raw: raw, used: Batch}
	for i := range r.msgs {
		h := &r.msgs[i].hdr
		h.Name, h.Iov, h.Control = (*byte)(unsafe.Pointer(&r.names[i])), &r.iovs[i], &r.oob[i][0]
		h.SetIovlen(1)
	}
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
	r.look = func(fd uintptr) {
		if !r.call(fd) {
			r.errno = unix.EAGAIN
		}
	}
	return r
}

// Read waits for datagrams and fills into with the first of them; datagram i is into[i][:Size(i)], cut off if it is longer.
// It borrows into until then. n is at least 1 when err is nil.
func (r *Reader) Read(into *[Batch][]byte) (n int, err error) {
	r.prepare(into)
	for {
		r.got, r.errno = 0, 0
		if err := r.raw.Read(r.call); err != nil {
			return 0, err
		}
		if r.errno != 0 {
			return 0, os.NewSyscallError("recvmmsg", r.errno)
		}
		if r.got > 0 {
			r.used = r.got
			return r.got, nil
		}
	}
}

// ReadAfter sleeps for d and fills into with what has come by then, which may be nothing: n is 0. It minds no deadline.
func (r *Reader) ReadAfter(d time.Duration, into *[Batch][]byte) (n int, err error) {
	if d > 0 {
		time.Sleep(d)
	}
	r.prepare(into)
	r.got, r.errno = 0, 0
	if err := r.raw.Control(r.look); err != nil {
		return 0, err
	}
	r.used = max(r.got, 1)
	if r.errno != 0 && r.errno != unix.EAGAIN {
		return 0, os.NewSyscallError("recvmmsg", r.errno)
	}
	return r.got, nil
}

// prepare points at into, and sets up again what the last call has changed.
func (r *Reader) prepare(into *[Batch][]byte) {
	for i := range r.iovs {
		r.iovs[i].Base = &into[i][0]
		r.iovs[i].SetLen(len(into[i]))
	}
	for i := range r.used {
		h := &r.msgs[i].hdr
		h.Namelen = uint32(unsafe.Sizeof(r.names[i]))
		h.SetControllen(oobSize)
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

// stampMost is how late a datagram is read at most, for its stamp to be believed: ours. The system's clock may be set meanwhile.
const stampMost = 2 * time.Second

// Arrived is when a datagram came that was read by now, as its control data says; now, if it does not.
func Arrived(now time.Time, oob []byte) time.Time {
	for len(oob) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
		n := int(h.Len)
		if n < unix.SizeofCmsghdr || n > len(oob) {
			break
		}
		data := oob[unix.CmsgLen(0):n]
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS && len(data) >= 16 {
			stamp := time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
			if late := now.Round(0).Sub(stamp); late > 0 && late <= stampMost {
				return now.Add(-late)
			}
			break
		}
		oob = oob[min(len(oob), unix.CmsgSpace(n-unix.CmsgLen(0))):]
	}
	return now
}

// Unstamped is control data without the time of arrival, for those who leave no room for it: the system puts that first.
func Unstamped(oob []byte) []byte {
	if len(oob) < unix.SizeofCmsghdr {
		return oob
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
	if n := int(h.Len); h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS && n >= unix.SizeofCmsghdr && n <= len(oob) {
		return oob[min(len(oob), unix.CmsgSpace(n-unix.CmsgLen(0))):]
	}
	return oob
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
