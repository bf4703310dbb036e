package emu

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bench/netem"
)

// newPair skips the test where namespaces are not allowed.
func newPair(t *testing.T, c Config) *Pair {
	t.Helper()
	p, err := NewPair(c)
	if errors.Is(err, ErrNotPermitted) || errors.Is(err, ErrUnsupported) {
		need.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// in opens a socket in a namespace.
func in[T any](t *testing.T, p *Pair, side Side, open func() (T, error)) (v T) {
	t.Helper()
	if err := p.Do(side, func() (err error) { v, err = open(); return err }); err != nil {
		t.Fatal(err)
	}
	return v
}

func listenUDP(t *testing.T, p *Pair, side Side, addr netip.Addr) *net.UDPConn {
	c := in(t, p, side, func() (*net.UDPConn, error) {
		return net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	})
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(need.Patience))
	return c
}

func port(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

func TestPairCarriesUDPBothWaysAndNothingElse(t *testing.T) {
	delay := netem.Config{Delay: netem.Delay{Base: 5 * time.Millisecond}}
	p := newPair(t, Config{Up: delay, Down: delay})
	for _, addr := range []func(Side) netip.Addr{p.Addr, p.Addr6} {
		if addr(Near).Is6() && !hasIPv6() {
			t.Log("this kernel has no IPv6")
			continue
		}
		p.Restart(0)
		near, far := listenUDP(t, p, Near, addr(Near)), listenUDP(t, p, Far, addr(Far))
		buf := make([]byte, 2000)
		for i := range 20 {
			begin := time.Now()
			if _, err := near.WriteToUDPAddrPort([]byte{byte(i)}, port(far)); err != nil {
				t.Fatal(err)
			}
			n, from, err := far.ReadFromUDPAddrPort(buf)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := far.WriteToUDPAddrPort(buf[:n], from); err != nil {
				t.Fatal(err)
			}
			if n, err = near.Read(buf); err != nil || n != 1 || buf[0] != byte(i) {
				t.Fatalf("echo %d: %d bytes, %v", i, n, err)
			}
			if rtt := time.Since(begin); rtt < 10*time.Millisecond {
				t.Errorf("round trip %v is shorter than the link's 10 ms", rtt)
			}
		}
		up, down := p.Counters()
		if up.Admitted != 20 || down.Admitted != 20 || up.Sent != 20 || down.Sent != 20 || up.HostDropped+down.HostDropped != 0 {
			t.Errorf("%v: want 20 packets each way and no other\nup   %v\ndown %v", addr(Near), up, down)
		}
	}
}

func TestPairCarriesKernelTCP(t *testing.T) {
	p := newPair(t, Config{
		Up:                netem.Config{Delay: netem.Delay{Base: 2 * time.Millisecond}, Loss: netem.Loss{Model: netem.LossRandom, P: 0.01}},
		Down:              netem.Config{Delay: netem.Delay{Base: 2 * time.Millisecond}},
		Seed:              7,
		CongestionControl: "reno",
	})
	ln := in(t, p, Far, func() (net.Listener, error) { return net.Listen("tcp", p.Addr(Far).String()+":0") })
	defer ln.Close()
	sent := bytes.Repeat([]byte("fairlead"), 1<<17)
	got := make(chan []byte)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			close(got)
			return
		}
		b, _ := io.ReadAll(c)
		c.Close()
		got <- b
	}()
	c := in(t, p, Near, func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) })
	if _, err := c.Write(sent); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if !bytes.Equal(<-got, sent) {
		t.Error("TCP did not carry the bytes")
	}
	up, _ := p.Counters()
	// 1 MiB in segments of at most 1448 bytes: had offload merged them, there would be fewer packets.
	if up.Admitted < 1<<20/1448 || up.Dropped[netem.Lost] == 0 {
		t.Errorf("want at least %d packets and some lost: %v", 1<<20/1448, up)
	}
	cc, err := p.Command(Far, "cat", "/proc/sys/net/ipv4/tcp_congestion_control").Output()
	if err != nil || strings.TrimSpace(string(cc)) != "reno" {
		t.Errorf("congestion control in the namespace is %q (%v), want reno", cc, err)
	}
}

func TestHandoverChangesTheNearAddress(t *testing.T) {
	handover := netem.Config{Schedule: []netem.Step{{At: 200 * time.Millisecond, Kind: netem.StepHandover}}}
	p := newPair(t, Config{Up: handover, Down: handover})
	far, near := listenUDP(t, p, Far, p.Addr(Far)), listenUDP(t, p, Near, p.Addr(Near))
	buf := make([]byte, 10)
	ask := func() netip.AddrPort {
		if _, err := near.WriteToUDPAddrPort([]byte("x"), port(far)); err != nil {
			t.Fatal(err)
		}
		_, from, err := far.ReadFromUDPAddrPort(buf)
		if err != nil {
			t.Fatal(err)
		}
		return from
	}
	var before, after netip.AddrPort
	need.Until(t, "asked before the handover", func() bool { p.Restart(0); before = ask(); return before.Addr() == nearAddr(0, false) })
	need.Until(t, "the handover", func() bool { after = ask(); return after.Addr() != before.Addr() })
	if before.Addr() != nearAddr(0, false) || after.Addr() != nearAddr(1, false) || before.Port() != after.Port() {
		t.Errorf("seen from %v, then from %v", before, after)
	}
	_, _ = far.WriteToUDPAddrPort([]byte("old"), before)
	_, _ = far.WriteToUDPAddrPort([]byte("new"), after)
	n, err := near.Read(buf)
	if err != nil || string(buf[:n]) != "new" {
		t.Errorf("got %q %v, want only what was sent to the new address", buf[:n], err)
	}
	if _, down := p.Counters(); down.OldAddress != 1 {
		t.Errorf("old address = %d, want 1", down.OldAddress)
	}
}

func TestTwoPairsDoNotMeet(t *testing.T) {
	a, b := newPair(t, Config{}), newPair(t, Config{})
	for i, p := range []*Pair{a, b} {
		near, far := listenUDP(t, p, Near, p.Addr(Near)), listenUDP(t, p, Far, p.Addr(Far))
		if _, err := near.WriteToUDPAddrPort([]byte{byte(i)}, port(far)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		if n, err := far.Read(buf); err != nil || n != 1 || buf[0] != byte(i) {
			t.Errorf("pair %d got %v, %v", i, buf[:n], err)
		}
	}
	up, _ := a.Counters()
	if up.Admitted != 1 {
		t.Errorf("the first pair carried %d packets, want its own 1", up.Admitted)
	}
}

func TestCommandSaysWhatIsMissing(t *testing.T) {
	p := newPair(t, Config{})
	if err := p.Command(Near, "no-such-program").Run(); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
	_, err := NewPair(Config{CongestionControl: "no-such-algorithm"})
	if err == nil || !strings.Contains(err.Error(), "no-such-algorithm") {
		t.Errorf("got %v, want it to name the algorithm", err)
	}
}

func TestMain(m *testing.M) {
	if os.Getenv("EMU_TEST_VICTIM") != "" {
		victim()
	}
	os.Exit(m.Run())
}

// victim makes a link with programs in it, says so, and waits to be killed.
func victim() {
	p, err := NewPair(Config{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	cmd := p.Command(Near, "sh", "-c", "sleep 1000 & sleep 1000")
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for len(processesIn(p.ns[Near].ino)) < 3 {
		time.Sleep(time.Millisecond)
	}
	fmt.Println("ready", p.ns[Near].ino)
	select {}
}

func TestNextStartRemovesWhatAKilledOneLeft(t *testing.T) {
	newPair(t, Config{})     // a living link, which must be left alone
	_, _ = RemoveLeftovers() // of whoever was killed before
	own, err := RemoveLeftovers()
	if err != nil || own != 0 {
		t.Fatalf("removed %d of a living link, %v", own, err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "EMU_TEST_VICTIM=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ino uint64
	if _, err := fmt.Fscanf(out, "ready %d\n", &ino); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if left := processesIn(ino); len(left) == 0 {
		t.Fatal("nothing was left behind: the test proves nothing")
	}
	n, err := RemoveLeftovers()
	if err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
	need.Until(t, "gone", func() bool { return len(processesIn(ino)) == 0 })
	if n, err = RemoveLeftovers(); n != 0 || err != nil {
		t.Errorf("the second time removed %d, %v", n, err)
	}
}
