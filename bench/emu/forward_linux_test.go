package emu

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bench/netem"
)

func TestForwardReachesTheHostsLoopback(t *testing.T) {
	p := newPair(t, Config{Up: netem.Config{Delay: netem.Delay{Base: time.Millisecond}}})
	server := newUDP(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err == nil {
			_, _ = io.Copy(c, c)
			c.Close()
		}
	}()
	if err := p.Forward("tcp", 1935, ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if err := p.Forward("udp", 8890, port(server).String()); err != nil {
		t.Fatal(err)
	}
	if err := p.Forward("sctp", 1, "127.0.0.1:1"); err == nil {
		t.Error("forwarding sctp: no error")
	}

	c := in(t, p, Near, func() (net.Conn, error) { return net.Dial("tcp", p.Addr(Far).String()+":1935") })
	_ = c.SetDeadline(time.Now().Add(need.Patience))
	_, _ = c.Write([]byte("tcp"))
	_ = c.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(c); string(b) != "tcp" {
		t.Errorf("TCP echo %q, %v", b, err)
	}
	c.Close()

	near := listenUDP(t, p, Near, p.Addr(Near))
	send(t, near, []byte("udp"), netip.AddrPortFrom(p.Addr(Far), 8890))
	b, from := receive(t, server)
	send(t, server, b, from)
	if b, from := receive(t, near); string(b) != "udp" || from.Addr() != p.Addr(Far) {
		t.Errorf("UDP echo %q from %v", b, from)
	}
}

func TestTCPProxyDelaysAndLosesNothing(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan []byte, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		b, _ := io.ReadAll(c)
		got <- b
		c.Close()
	}()
	const delay = 30 * time.Millisecond
	p, err := NewTCPProxy(netip.MustParseAddrPort("127.0.0.1:0"), ln.Addr().(*net.TCPAddr).AddrPort(), Config{
		Up: netem.Config{
			Delay: netem.Delay{Base: delay}, Rate: 20 * netem.Mbit, Limit: netem.Limit{Packets: 10},
			Loss: netem.Loss{Model: netem.LossRandom, P: 0.5},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want := bytes.Repeat([]byte("fairlead"), 1<<14) // 128 KiB: 52 ms at 20 Mbit/s
	begin := time.Now()
	_, _ = c.Write(want)
	_ = c.(*net.TCPConn).CloseWrite()
	select {
	case b := <-got:
		if !bytes.Equal(b, want) {
			t.Errorf("%d bytes of %d came", len(b), len(want))
		}
	case <-time.After(need.Patience):
		t.Fatal("nothing came")
	}
	if took := time.Since(begin); took < delay+52*time.Millisecond {
		t.Errorf("took %v, want at least 82 ms", took)
	}
}

func TestRunForwardsTheInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.Command("sh", "-c", "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.01; done")
	OwnGroup(cmd)
	r, w := io.Pipe()
	cmd.Stdout = w
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cmd) }()
	ready := make([]byte, 6)
	if _, err := io.ReadFull(r, ready); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	cancel()
	err := <-done
	w.Close()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !errors.Is(err, context.Canceled) || !ok || exit.ExitCode() != 3 {
		t.Errorf("got %v, want canceled and exit code 3", err)
	}
}
