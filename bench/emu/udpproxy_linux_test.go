package emu

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bench/netem/profile"
)

func newUDP(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetReadBuffer(4 << 20)
	_ = c.SetDeadline(time.Now().Add(need.Patience))
	return c
}

func newProxy(t *testing.T, target netip.AddrPort, c Config) *UDPProxy {
	t.Helper()
	p, err := NewUDPProxy(netip.MustParseAddrPort("127.0.0.1:0"), target, c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func send(t *testing.T, c *net.UDPConn, b []byte, to netip.AddrPort) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort(b, to); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c *net.UDPConn) ([]byte, netip.AddrPort) {
	t.Helper()
	b := make([]byte, 1<<16)
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n], from
}

func TestProxyKeepsClientsApart(t *testing.T) {
	server, alice, bob := newUDP(t), newUDP(t), newUDP(t)
	p := newProxy(t, port(server), Config{Up: netem.Config{Delay: netem.Delay{Base: 3 * time.Millisecond}}})
	defer p.Close()
	for _, size := range []int{0, 1, 1316, smallPacket, smallPacket + 1, 60000} {
		for i, client := range []*net.UDPConn{alice, bob} {
			msg := bytes.Repeat([]byte{byte(i + 1)}, size)
			begin := time.Now()
			send(t, client, msg, p.Addr())
			got, from := receive(t, server)
			if took := time.Since(begin); took < 3*time.Millisecond {
				t.Errorf("%d bytes arrived after %v, want 3 ms or more", size, took)
			}
			if !bytes.Equal(got, msg) {
				t.Fatalf("%d bytes became %d", size, len(got))
			}
			send(t, server, got, from)
			if back, from := receive(t, client); !bytes.Equal(back, msg) || from != p.Addr() {
				t.Fatalf("%d bytes came back as %d from %v", size, len(back), from)
			}
		}
	}
	up, down := p.Counters()
	if up.Sent != 12 || down.Sent != 12 || up.InFlight+down.InFlight+up.SendErrors+down.SendErrors != 0 {
		t.Errorf("up %v\ndown %v", up, down)
	}
	if want := uint64(2 * (28*6 + 1 + 1316 + 2*smallPacket + 1 + 60000)); up.SentBytes != want {
		t.Errorf("sent %d bytes, want %d: payload and 28 bytes of headers each", up.SentBytes, want)
	}
}

func TestProxyHandoverChangesTheSourcePort(t *testing.T) {
	server, client := newUDP(t), newUDP(t)
	var p *UDPProxy
	ask := func() netip.AddrPort {
		send(t, client, []byte("1"), p.Addr())
		_, from := receive(t, server)
		return from
	}
	var before, after netip.AddrPort
	for at := 50 * time.Millisecond; ; at *= 4 { // until the first packet is through before the handover
		handover := netem.Config{Schedule: []netem.Step{{At: at, Kind: netem.StepHandover}}}
		begin := time.Now()
		p = newProxy(t, port(server), Config{Up: handover, Down: handover})
		defer p.Close()
		if before = ask(); time.Since(begin) < at {
			break
		}
	}
	need.Until(t, "the target sees another port", func() bool { after = ask(); return after != before })
	send(t, server, []byte("old"), before)
	send(t, server, []byte("new"), after)
	if got, _ := receive(t, client); string(got) != "new" {
		t.Errorf("client got %q, want only what went to the new address", got)
	}
}

// feed sends packets of the given sizes through a proxy and returns its verdicts.
func feed(t *testing.T, c Config, n int) []netem.Verdict {
	t.Helper()
	var log bytes.Buffer
	c.Verdicts = &log
	server, client := newUDP(t), newUDP(t)
	p := newProxy(t, port(server), c)
	b := make([]byte, 1316)
	for i := range n {
		send(t, client, b[:100+i*7919%1200], p.Addr())
		if i%50 == 49 || i == n-1 { // no more at once than a socket's buffer holds
			for end := time.Now().Add(need.Patience); ; time.Sleep(100 * time.Microsecond) {
				if up, _ := p.Counters(); up.HostDropped > 0 || time.Now().After(end) {
					t.Fatalf("of %d packets sent: %v", i+1, up)
				} else if up.Admitted == uint64(i+1) {
					break
				}
			}
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := ReadVerdicts(&log)
	if err != nil || len(all) != n {
		t.Fatalf("%d verdicts, want %d: %v", len(all), n, err)
	}
	return all
}

var impaired = []struct {
	name string
	link netem.Config
}{
	{"random", netem.Config{Loss: netem.Loss{Model: netem.LossRandom, P: 0.1}, Duplicate: netem.Chance{P: 0.02}}},
	{"bursts", netem.Config{Loss: netem.Loss{Model: netem.LossGE, P: 0.02, R: 0.3, Bad: 0.8}, Delay: netem.Delay{Base: 5 * time.Millisecond, Jitter: 3 * time.Millisecond}}},
	{"queue", netem.Config{Rate: 8 * netem.Mbit, Limit: netem.Limit{Packets: 20}, Loss: netem.Loss{Model: netem.LossRandom, P: 0.02}}},
	{"corrupt", netem.Config{Corrupt: netem.Chance{P: 0.05}, Reorder: netem.Reorder{P: 0.1}, Delay: netem.Delay{Base: 2 * time.Millisecond}}},
}

func TestLiveVerdictsAreTheModels(t *testing.T) {
	for _, c := range impaired {
		t.Run(c.name, func(t *testing.T) {
			config := Config{Up: c.link, Seed: 42}
			if err := netem.Replay(config.Up, config.Seed, feed(t, config, 1000)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheSameCommandTwiceDropsTheSamePackets(t *testing.T) {
	config := Config{Up: impaired[1].link, Seed: 3}
	first, second := feed(t, config, 1000), feed(t, config, 1000)
	lost := 0
	for i := range first {
		if first[i].Fate.Drop != second[i].Fate.Drop {
			t.Fatalf("packet %d: %v, then %v", i, first[i].Fate, second[i].Fate)
		}
		if first[i].Fate.Drop == netem.Lost {
			lost++
		}
	}
	if lost == 0 {
		t.Error("nothing was lost: the test proves nothing")
	}
	config.Seed = 4
	if third := feed(t, config, 1000); sameFates(first, third) {
		t.Error("another seed loses the same packets")
	}
}

// Issue 3: sim and emu agree packet for packet on 1,000 packets of each profile.
func TestEveryProfileIsTheSameLiveAndInVirtualTime(t *testing.T) {
	for i, p := range profile.List() {
		if testing.Short() && i%16 != 0 {
			continue
		}
		config := Config{Up: p.Up, Seed: 11}
		live := feed(t, config, 1000)
		if err := netem.Replay(p.Up, config.Seed, live); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		// Whatever the pace: at one packet a millisecond the same numbers are lost.
		link := netem.NewLink(p.Up, config.Seed, netem.Up)
		for n, v := range live {
			if _, fate := link.AdmitECT(time.Duration(n)*time.Millisecond, v.Size, false); byNumber(p.Up) && (fate.Drop == netem.Lost) != (v.Fate.Drop == netem.Lost) {
				t.Errorf("%s: packet %d: live %v, in virtual time %v", p.Name, n, v.Fate, fate)
				break
			}
		}
	}
}

// byNumber says whether the packet's number alone decides its loss.
func byNumber(c netem.Config) bool {
	return c.Loss.Model != netem.LossTime && len(c.Schedule) == 0
}

func sameFates(a, b []netem.Verdict) bool {
	for i := range a {
		if a[i].Fate.Drop != b[i].Fate.Drop {
			return false
		}
	}
	return true
}
