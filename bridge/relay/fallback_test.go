package relay

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/push"
)

// udpGate forwards one client's datagrams to a target while it is open. One that is bad delays them by 100 ms each way, and loses every fourth.
type udpGate struct {
	in     *net.UDPConn
	closed atomic.Bool
	bad    atomic.Bool
	n      atomic.Int64
}

// pass hands a datagram on.
func (g *udpGate) pass(b []byte, write func([]byte)) {
	switch {
	case g.closed.Load():
	case !g.bad.Load():
		write(b)
	case g.n.Add(1)%4 != 0:
		b = bytes.Clone(b)
		time.AfterFunc(100*time.Millisecond, func() { write(b) })
	}
}

func newGate(t *testing.T, target net.Addr) *udpGate {
	t.Helper()
	in, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	g := &udpGate{in: in}
	t.Cleanup(func() { _ = in.Close() })
	go func() { // ends with in
		outs := map[netip.AddrPort]*net.UDPConn{}
		defer func() {
			for _, c := range outs {
				_ = c.Close()
			}
		}()
		b := make([]byte, 2000)
		for {
			n, from, err := in.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if outs[from] == nil {
				c, err := net.DialUDP("udp4", nil, target.(*net.UDPAddr))
				if err != nil {
					continue
				}
				outs[from] = c
				go func() { // ends with c
					b := make([]byte, 2000)
					for {
						n, err := c.Read(b)
						if err != nil {
							return
						}
						g.pass(b[:n], func(b []byte) { _, _ = in.WriteToUDPAddrPort(b, from) })
					}
				}()
			}
			out := outs[from]
			g.pass(b[:n], func(b []byte) { _, _ = out.Write(b) })
		}
	}()
	return g
}

// runPush runs p until the test is over.
func runPush(t *testing.T, p *push.Push) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*need.Patience)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Errorf("push: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// A network stops passing UDP in the middle of a stream: it goes on over RTMP, with the reason shown, and back over QUIC when
// UDP passes again. To the relay it stays one stream.
func TestPushFallsBackToRTMPAndReturns(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	r := startQUIC(t, config.Relay{Key: []string{"live/cam"}, Hold: 20 * time.Second})
	addr, _ := r.QUIC()
	gate := newGate(t, addr)
	fairlead := strings.Replace(r.QUICURL("live/cam"), addr.String(), gate.in.LocalAddr().String(), 1)
	p, err := push.New(push.Config{
		Input: clipFile(t, 60), Loop: true, URLs: []string{fairlead + "|" + r.rtmpURL("live/cam")},
		Patience: time.Second, ProbeEvery: 500 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	runPush(t, p)
	until := func(scheme, protocol string) push.Status {
		t.Helper()
		for begin := time.Now(); time.Since(begin) < need.Patience; time.Sleep(20 * time.Millisecond) {
			st := p.Status()[0]
			for _, s := range r.Streams() {
				if strings.HasPrefix(st.To, scheme) && s.Publisher != nil && s.Publisher.Protocol == protocol {
					t.Logf("%s after %v: %+v", scheme, time.Since(begin).Round(10*time.Millisecond), st)
					return st
				}
			}
		}
		t.Fatalf("the stream does not come over %s: %+v, %+v", scheme, p.Status()[0], r.Streams())
		return push.Status{}
	}
	if st := until("fairlead://", "quic"); st.Detour != "" {
		t.Errorf("the first way has a detour: %q", st.Detour)
	}
	time.Sleep(500 * time.Millisecond)
	gate.closed.Store(true)
	if st := until("rtmp://", "rtmp"); st.Detour == "" {
		t.Error("no reason is shown")
	}
	gate.closed.Store(false)
	if st := until("fairlead://", "quic"); st.Detour != "" {
		t.Errorf("back on the first way there is a detour: %q", st.Detour)
	}
}

// Only QUIC passes, and packets are lost: its congestion control holds the stream up, which goes on over RTMP.
func TestPushLeavesAWayThatStarves(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	r := startQUIC(t, config.Relay{Key: []string{"live/cam"}, Hold: 20 * time.Second})
	addr, _ := r.QUIC()
	gate := newGate(t, addr)
	fairlead := strings.Replace(r.QUICURL("live/cam"), addr.String(), gate.in.LocalAddr().String(), 1) + "&transport=datagram"
	p, err := push.New(push.Config{
		Input: clipFile(t, 60), Loop: true, URLs: []string{fairlead + "|" + r.rtmpURL("live/cam")}, Patience: 2 * time.Second, ProbeEvery: need.Patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	runPush(t, p)
	need.Until(t, "the stream comes inside QUIC", func() bool { st := p.Status()[0]; return st.Carriage == "datagram" && st.FramesDelivered > 0 })
	gate.bad.Store(true)
	need.Until(t, "the stream comes over RTMP", func() bool {
		for _, s := range r.Streams() {
			if s.Publisher != nil && s.Publisher.Protocol == "rtmp" && strings.HasPrefix(p.Status()[0].To, "rtmp://") {
				return true
			}
		}
		return false
	})
	if st := p.Status()[0]; st.Detour == "" {
		t.Error("no reason is shown")
	} else {
		t.Log(st.Detour)
	}
}

// UDP does not pass at the start.
func TestPushBeginsOverRTMPWhereUDPIsBlocked(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	r := startQUIC(t, config.Relay{Key: []string{"live/cam"}})
	addr, _ := r.QUIC()
	gate := newGate(t, addr)
	gate.closed.Store(true)
	fairlead := strings.Replace(r.QUICURL("live/cam"), addr.String(), gate.in.LocalAddr().String(), 1)
	p, err := push.New(push.Config{Input: clipFile(t, 60), URLs: []string{fairlead + "|" + r.rtmpURL("live/cam")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err != nil {
		t.Errorf("push: %v", err)
	}
	if st := p.Status()[0]; !strings.HasPrefix(st.To, "rtmp://") || st.FramesSent == 0 || !strings.Contains(st.Detour, "no answer") {
		t.Errorf("status %+v", st)
	}
}
