package udp

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A datagram bears the time of its arrival, not that of its reading, on sockets that ask for what quic-go asks for, too.
func TestArrived(t *testing.T) {
	for _, c := range []struct{ listen, to string }{{"127.0.0.1:0", "127.0.0.1"}, {"[::]:0", "127.0.0.1"}, {"[::1]:0", "::1"}} {
		lc := net.ListenConfig{Control: Stamped}
		pc, err := lc.ListenPacket(context.Background(), "udp", c.listen)
		if err != nil {
			t.Logf("%s: %v", c.listen, err)
			continue
		}
		defer pc.Close()
		conn := pc.(*net.UDPConn)
		raw, _ := conn.SyscallConn()
		_ = raw.Control(func(fd uintptr) {
			for _, o := range [][2]int{{unix.IPPROTO_IP, unix.IP_RECVTOS}, {unix.IPPROTO_IP, unix.IP_PKTINFO}, {unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS}, {unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO}} {
				_ = unix.SetsockoptInt(int(fd), o[0], o[1], 1)
			}
		})
		r, err := NewReader(conn)
		if err != nil {
			t.Fatal(err)
		}
		to := netip.AddrPortFrom(netip.MustParseAddr(c.to), conn.LocalAddr().(*net.UDPAddr).AddrPort().Port())
		var into [Batch][]byte
		for i := range into {
			into[i] = make([]byte, 100)
		}
		const grain = 5 * time.Millisecond // clocks of two kinds
		read := func() (ok bool) {
			before := time.Now()
			if _, err := conn.WriteToUDPAddrPort([]byte("x"), to); err != nil {
				t.Fatal(err)
			}
			sent := time.Now()
			time.Sleep(50 * time.Millisecond)
			if _, err := r.Read(&into); err != nil {
				t.Fatal(err)
			}
			at := Arrived(time.Now(), r.OOB(0))
			if at.Before(before.Add(-grain)) {
				t.Errorf("%s: arrived %v before it was sent", c.listen, before.Sub(at))
			}
			return !at.After(sent.Add(40 * time.Millisecond))
		}
		stamped := read()
		for range 100 { // the system begins to stamp a while after it was first asked to
			if stamped {
				break
			}
			stamped = read()
		}
		if !stamped {
			t.Errorf("%s: the time of arrival is that of reading", c.listen)
		}
		if left := len(Unstamped(r.OOB(0))); left > 128 || len(r.OOB(0))-left != 32 {
			t.Errorf("%s: %d of %d bytes of control data without the stamp, and quic-go leaves room for 128", c.listen, left, len(r.OOB(0)))
		}
		if now := time.Now(); !Arrived(now, nil).Equal(now) {
			t.Error("another time without control data")
		}
		t.Logf("%s: %d bytes of control data", c.listen, len(r.OOB(0)))
	}
}
