package relay

import (
	"bytes"
	"net"
	"os"
	"strconv"
)

// udpPorts are the UDP ports that the relay listens on.
func (r *Relay) udpPorts() []int {
	var out []int
	for _, a := range []net.Addr{udpAddr(r.srt != nil, func() net.Addr { return r.srt.Addr() }), udpAddr(r.quic != nil, func() net.Addr { return r.quic.Addr() })} {
		if u, ok := a.(*net.UDPAddr); ok {
			out = append(out, u.Port)
		}
	}
	return out
}

func udpAddr(on bool, f func() net.Addr) net.Addr {
	if !on {
		return nil
	}
	return f()
}

// udpDrops says how many datagrams the kernel has thrown away because a buffer of ours was full, and how large a buffer may be; 0 where
// it does not say.
func udpDrops(ports []int) (drops uint64, buffer int) {
	for _, file := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		if b, err := os.ReadFile(file); err == nil {
			drops += dropsIn(b, ports)
		}
	}
	if b, err := os.ReadFile("/proc/sys/net/core/rmem_max"); err == nil {
		buffer, _ = strconv.Atoi(string(bytes.TrimSpace(b)))
	}
	return drops, buffer
}

// dropsIn sums up the last column of the lines whose local port is one of ports (proc(5)).
func dropsIn(table []byte, ports []int) (sum uint64) {
	for line := range bytes.Lines(table) {
		f := bytes.Fields(line)
		if len(f) < 13 {
			continue
		}
		_, hex, ok := bytes.Cut(f[1], []byte(":"))
		if !ok {
			continue
		}
		port, err := strconv.ParseUint(string(hex), 16, 16)
		if err != nil {
			continue
		}
		for _, p := range ports {
			if uint64(p) == port {
				n, _ := strconv.ParseUint(string(f[len(f)-1]), 10, 64)
				sum += n
			}
		}
	}
	return sum
}
