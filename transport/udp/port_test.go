package udp

import (
	"bytes"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
)

// ports are both kinds of Port on this system.
func ports(t *testing.T, network string) map[string]Port {
	t.Helper()
	out := map[string]Port{}
	for name, open := range map[string]func(*net.UDPConn) (Port, error){"conn": newConnPort, "open": OpenPort} {
		conn, err := net.ListenUDP(network, nil)
		if err != nil {
			t.Fatal(err)
		}
		p, err := open(conn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		out[name] = p
	}
	return out
}

func TestPortReadsWritesAndWakes(t *testing.T) {
	for _, network := range []string{"udp4", "udp"} {
		for name, p := range ports(t, network) {
			peer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(p.LocalAddr().(*net.UDPAddr).Port))
			into := buffers()
			if n, err := p.ReadAfter(0, into); n != 0 || err != nil {
				t.Errorf("%s %s: nothing has come: %d, %v", network, name, n, err)
			}
			if n, err := p.ReadBefore(time.Millisecond, into); n != 0 || err != nil {
				t.Errorf("%s %s: nothing comes: %d, %v", network, name, n, err)
			}
			for i := range 5 {
				if _, err := peer.WriteToUDPAddrPort(bytes.Repeat([]byte{byte(i)}, i+1), to); err != nil {
					t.Fatal(err)
				}
			}
			for got := 0; got < 5; {
				n, err := p.ReadBefore(5*time.Second, into)
				if err != nil || n == 0 {
					t.Fatalf("%s %s: %d, %v", network, name, n, err)
				}
				for i := range n {
					if p.Size(i) != got+1 || p.From(i).Port() != peer.LocalAddr().(*net.UDPAddr).AddrPort().Port() {
						t.Errorf("%s %s: datagram %d: %d bytes from %v", network, name, got, p.Size(i), p.From(i))
					}
					got++
				}
			}
			back := peer.LocalAddr().(*net.UDPAddr).AddrPort()
			sent := 0
			for i := range 2 * Batch {
				p.Add([]byte{byte(i)}, nil, back)
				sent++
			}
			p.Add(nil, nil, netip.AddrPort{}) // goes nowhere
			p.Flush()
			b := make([]byte, 10)
			for i := range sent {
				_ = peer.SetReadDeadline(time.Now().Add(need.Patience))
				if n, err := peer.Read(b); err != nil || n != 1 || b[0] != byte(i) {
					t.Fatalf("%s %s: datagram %d: %x, %v", network, name, i, b[:n], err)
				}
			}
			p.Wake() // before it waits
			if n, err := p.ReadBefore(time.Minute, into); n != 0 || err != nil {
				t.Errorf("%s %s: woken: %d, %v", network, name, n, err)
			}
			go func() {
				time.Sleep(20 * time.Millisecond)
				p.Wake()
			}()
			if n, err := p.ReadBefore(0, into); n != 0 || err != nil {
				t.Errorf("%s %s: woken: %d, %v", network, name, n, err)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			p.Wake()
			if _, err := p.ReadAfter(0, into); err == nil {
				t.Errorf("%s %s: a closed port reads", network, name)
			}
		}
	}
}

func TestPortAllocatesNothing(t *testing.T) {
	if raceOn {
		t.Log("the race detector allocates")
		return
	}
	for name, p := range ports(t, "udp4") {
		self := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(p.LocalAddr().(*net.UDPAddr).Port))
		into, b := buffers(), make([]byte, 1316)
		if n := testing.AllocsPerRun(100, func() {
			p.Add(b, nil, self)
			p.Add(b, nil, self)
			p.Flush()
			if _, err := p.ReadAfter(0, into); err != nil {
				t.Fatal(err)
			}
			_ = p.From(0)
			runtime.KeepAlive(p.OOB(0))
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
