package emu

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socketBuffer is asked of the kernel for each UDP socket: half a second at 100 Mbit/s.
const socketBuffer = 8 << 20

// udpSocket opens a socket that never blocks, bound to local (the zero AddrPort: any) and connected to remote (the zero
// AddrPort: not).
func udpSocket(local, remote netip.AddrPort) (int, error) {
	family := unix.AF_INET
	if local.Addr().Is6() || remote.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	for opt, force := range map[int]int{unix.SO_RCVBUF: unix.SO_RCVBUFFORCE, unix.SO_SNDBUF: unix.SO_SNDBUFFORCE} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, socketBuffer) != nil { // needs CAP_NET_ADMIN
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, opt, socketBuffer) // as much as net.core.*mem_max allows
		}
	}
	if local.IsValid() {
		if err := unix.Bind(fd, sockaddr(local)); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("bind %v: %w", local, err)
		}
	}
	if remote.IsValid() {
		if err := unix.Connect(fd, sockaddr(remote)); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("connect to %v: %w", remote, err)
		}
	}
	return fd, nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// localAddr is where a socket is bound.
func localAddr(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, err
}

// socketDrops is how many datagrams the kernel dropped because the socket's buffer was full.
func socketDrops(fd int) uint64 {
	var info [9]uint32 // SK_MEMINFO_VARS; SK_MEMINFO_DROPS is 8 (linux/sock_diag.h)
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0
	}
	return uint64(info[8])
}

// udpBatch is how many datagrams one system call moves.
const udpBatch = 32

type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// A datagrams is room for one system call's worth of datagrams. It belongs to one goroutine.
type datagrams struct {
	msgs  [udpBatch]mmsghdr
	iovs  [udpBatch][2]unix.Iovec
	names [udpBatch]unix.RawSockaddrInet6 // holds a RawSockaddrInet4 as well
	spill [udpBatch][]byte                // the rest of a datagram larger than a new packet
}

// receive reads up to udpBatch datagrams into packets of the pool. The packets are the caller's.
func (d *datagrams) receive(fd int, pool *pool, into *[udpBatch]*packet) (n int, err error) {
	for i := range d.msgs {
		if into[i] == nil {
			into[i] = pool.get()
		}
		if d.spill[i] == nil {
			d.spill[i] = make([]byte, 1<<16)
		}
		room := into[i].data[:smallPacket]
		d.iovs[i][0].Base, d.iovs[i][1].Base = &room[0], &d.spill[i][0]
		d.iovs[i][0].SetLen(len(room))
		d.iovs[i][1].SetLen(len(d.spill[i]))
		h := &d.msgs[i].hdr
		*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&d.names[i])), Namelen: uint32(unsafe.Sizeof(d.names[i])), Iov: &d.iovs[i][0]}
		h.SetIovlen(2)
	}
	got, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&d.msgs[0])), udpBatch, unix.MSG_DONTWAIT, 0, 0)
	if n, err = count(got, errno); err != nil {
		return 0, err
	}
	for i := range n {
		size := int(d.msgs[i].n)
		if into[i].data = into[i].data[:min(size, smallPacket)]; size > smallPacket {
			into[i].data = append(into[i].data, d.spill[i][:size-smallPacket]...)
		}
	}
	return n, nil
}

// from is who sent datagram i of the last receive.
func (d *datagrams) from(i int) netip.AddrPort {
	name := &d.names[i]
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	if name.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(name.Addr), port)
}

// send writes packets to one socket, to an address each where to is not nil. It returns how many were refused.
func (d *datagrams) send(fd int, packets []*packet, to func(*packet) netip.AddrPort) (refused int) {
	for i, k := range packets {
		d.iovs[i][0] = unix.Iovec{}
		if len(k.data) > 0 {
			d.iovs[i][0].Base = &k.data[0]
		}
		d.iovs[i][0].SetLen(len(k.data))
		d.msgs[i].hdr = unix.Msghdr{Iov: &d.iovs[i][0]}
		d.msgs[i].hdr.SetIovlen(1)
		if to != nil {
			d.msgs[i].hdr.Name = (*byte)(unsafe.Pointer(&d.names[i]))
			d.msgs[i].hdr.Namelen = d.name(i, to(k))
		}
	}
	for at := 0; at < len(packets); {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&d.msgs[at])), uintptr(len(packets)-at), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == 0:
			at += int(n)
		case errno == unix.EINTR:
		default: // the first one's: a closed port behind it, a full buffer
			refused++
			at++
		}
	}
	return refused
}

// name writes an address into slot i and returns its length.
func (d *datagrams) name(i int, a netip.AddrPort) uint32 {
	d.names[i] = unix.RawSockaddrInet6{Family: unix.AF_INET6}
	name := &d.names[i]
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], a.Port())
	if a.Addr().Is4() {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		four.Family, four.Addr = unix.AF_INET, a.Addr().As4()
		return uint32(unsafe.Sizeof(*four))
	}
	name.Addr = a.Addr().As16()
	return uint32(unsafe.Sizeof(*name))
}
