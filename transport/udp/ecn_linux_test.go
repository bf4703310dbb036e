package udp

import (
	"net"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// The ECN bits that a datagram bore on the way are those that Meta tells, over IPv4, IPv6, and IPv4 to a socket of both.
func TestECNBitsAreKept(t *testing.T) {
	for _, c := range []struct{ listen, to string }{{"127.0.0.1:0", "127.0.0.1"}, {"[::]:0", "127.0.0.1"}, {"[::1]:0", "::1"}} {
		pc, err := net.ListenPacket("udp", c.listen)
		if err != nil {
			t.Logf("%s: %v", c.listen, err)
			continue
		}
		defer pc.Close()
		conn := pc.(*net.UDPConn)
		raw, err := conn.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		_ = raw.Control(func(fd uintptr) { // as quic-go asks for; the one that is of the other family fails
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1)
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1)
		})
		r, err := NewReader(conn)
		if err != nil {
			t.Fatal(err)
		}
		to := &net.UDPAddr{IP: net.ParseIP(c.to), Port: conn.LocalAddr().(*net.UDPAddr).Port}
		tx, err := net.DialUDP("udp", nil, to)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Close()
		var into [Batch][]byte
		for i := range into {
			into[i] = make([]byte, 100)
		}
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		for ecn := range uint8(4) { // RFC 3168 §5: not capable, ECT(1), ECT(0), congestion experienced
			if to.IP.To4() != nil {
				err = ipv4.NewConn(tx).SetTOS(int(ecn))
			} else {
				err = ipv6.NewConn(tx).SetTrafficClass(int(ecn))
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Write([]byte{ecn}); err != nil {
				t.Fatal(err)
			}
			if n, err := r.Read(&into); err != nil || n != 1 {
				t.Fatalf("%s: read %d, %v", c.listen, n, err)
			}
			if got, _ := Meta(nil, r.OOB(0)); got != ecn || into[0][0] != ecn {
				t.Errorf("%s: ECN bits %02b, sent with %02b", c.listen, got, into[0][0])
			}
		}
	}
}
