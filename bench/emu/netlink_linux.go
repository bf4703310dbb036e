package emu

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// rtnl is a routing netlink socket. It belongs to the network namespace of the thread that opened it and is used by
// one goroutine at a time. It speaks the few words that a namespace link needs, so that iproute2 is not.
type rtnl struct {
	fd  int
	seq uint32
}

func openRtnl() (*rtnl, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("netlink bind: %w", err)
	}
	return &rtnl{fd: fd}, nil
}

func (r *rtnl) close() { unix.Close(r.fd) }

// attr appends one netlink attribute, padded to four bytes.
func attr(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func attr32(b []byte, kind uint16, v uint32) []byte {
	return attr(b, kind, binary.NativeEndian.AppendUint32(nil, v))
}

// do sends one request and waits for its answer: the payload of the first answer that is not a bare acknowledgement.
func (r *rtnl) do(kind, flags uint16, body []byte) ([]byte, error) {
	r.seq++
	msg := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	msg = binary.NativeEndian.AppendUint16(msg, kind)
	msg = binary.NativeEndian.AppendUint16(msg, flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	msg = binary.NativeEndian.AppendUint32(msg, r.seq)
	msg = binary.NativeEndian.AppendUint32(msg, 0)
	msg = append(msg, body...)
	if err := unix.Sendto(r.fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	var answer []byte
	buf := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(r.fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		for b := buf[:n]; len(b) >= unix.NLMSG_HDRLEN; {
			size := int(binary.NativeEndian.Uint32(b))
			if size < unix.NLMSG_HDRLEN || size > len(b) {
				return nil, unix.EBADMSG
			}
			payload := b[unix.NLMSG_HDRLEN:size]
			if binary.NativeEndian.Uint32(b[8:]) == r.seq {
				if binary.NativeEndian.Uint16(b[4:]) != unix.NLMSG_ERROR {
					answer = append(answer, payload...)
				} else if len(payload) < 4 {
					return nil, unix.EBADMSG
				} else if code := int32(binary.NativeEndian.Uint32(payload)); code != 0 {
					return nil, unix.Errno(-code)
				} else {
					return answer, nil
				}
			}
			b = b[min((size+3)&^3, len(b)):]
		}
	}
}

// link is a struct ifinfomsg (16 bytes) for interface index.
func linkMsg(index int, flags, change uint32) []byte {
	b := make([]byte, 4, 16)
	b = binary.NativeEndian.AppendUint32(b, uint32(index))
	b = binary.NativeEndian.AppendUint32(b, flags)
	return binary.NativeEndian.AppendUint32(b, change)
}

// setLink brings an interface up, with an MTU and a queue length in packets (0: as they are) and an alias.
func (r *rtnl) setLink(index, mtu, queue int, alias string) error {
	b := linkMsg(index, unix.IFF_UP, unix.IFF_UP)
	if mtu > 0 {
		b = attr32(b, unix.IFLA_MTU, uint32(mtu))
	}
	if queue > 0 {
		b = attr32(b, unix.IFLA_TXQLEN, uint32(queue))
	}
	if alias != "" {
		b = attr(b, unix.IFLA_IFALIAS, []byte(alias))
	}
	if _, err := r.do(unix.RTM_NEWLINK, 0, b); err != nil {
		return fmt.Errorf("set interface %d up: %w", index, err)
	}
	return nil
}

// addAddr gives an interface an address, and with it the route to its prefix.
func (r *rtnl) addAddr(index int, p netip.Prefix) error {
	family, flags := byte(unix.AF_INET), byte(0)
	if p.Addr().Is6() {
		family, flags = unix.AF_INET6, unix.IFA_F_NODAD
	}
	b := []byte{family, byte(p.Bits()), flags, 0}
	b = binary.NativeEndian.AppendUint32(b, uint32(index))
	b = attr(b, unix.IFA_LOCAL, p.Addr().AsSlice())
	b = attr(b, unix.IFA_ADDRESS, p.Addr().AsSlice())
	if _, err := r.do(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, b); err != nil {
		return fmt.Errorf("add address %v: %w", p, err)
	}
	return nil
}

// addDefaultRoute sends everything without a better route out of an interface.
func (r *rtnl) addDefaultRoute(index int, family byte) error {
	b := []byte{family, 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST, 0, 0, 0, 0}
	b = attr32(b, unix.RTA_OIF, uint32(index))
	if _, err := r.do(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, b); err != nil {
		return fmt.Errorf("add default route: %w", err)
	}
	return nil
}

// linkAttrs returns the attributes of one interface.
func (r *rtnl) linkAttrs(index int) (map[uint16][]byte, error) {
	b, err := r.do(unix.RTM_GETLINK, 0, linkMsg(index, 0, 0))
	if err != nil {
		return nil, fmt.Errorf("look at interface %d: %w", index, err)
	}
	attrs := map[uint16][]byte{}
	for b = b[min(16, len(b)):]; len(b) >= 4; {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			break
		}
		attrs[binary.NativeEndian.Uint16(b[2:])] = b[4:n]
		b = b[min((n+3)&^3, len(b)):]
	}
	return attrs, nil
}

// txDropped is how many packets the kernel threw away because the interface's queue was full.
func (r *rtnl) txDropped(index int) (uint64, error) {
	attrs, err := r.linkAttrs(index)
	if err != nil {
		return 0, err
	}
	// struct rtnl_link_stats64: rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped
	if s := attrs[unix.IFLA_STATS64]; len(s) >= 64 {
		return binary.NativeEndian.Uint64(s[56:]), nil
	}
	return 0, nil
}
