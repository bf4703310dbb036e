package srtlink

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
)

// lossyPath stands between a caller and a listener, loses a share of the datagrams each way and delays the others.
type lossyPath struct {
	front *net.UDPConn
	to    netip.AddrPort
	delay time.Duration
	p     float64

	mu     sync.Mutex // guards what follows
	rng    *rand.Rand
	back   *net.UDPConn
	caller netip.AddrPort
	lost   atomic.Int64
	line   chan delayed // in order: a machine that is busy reorders timers
}

func newLossyPath(t *testing.T, to string, delay time.Duration, p float64) *lossyPath {
	t.Helper()
	front, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	l := &lossyPath{front: front, to: netip.MustParseAddrPort(to), delay: delay, p: p, rng: rand.New(rand.NewPCG(1, 1)), line: make(chan delayed, 4096)}
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case d := <-l.line:
				time.Sleep(time.Until(d.at))
				_, _ = d.c.WriteToUDPAddrPort(d.b, d.to)
			case <-done:
				return
			}
		}
	})
	t.Cleanup(func() {
		close(done)
		_ = front.Close()
		l.mu.Lock()
		if l.back != nil {
			_ = l.back.Close()
		}
		l.mu.Unlock()
		wg.Wait()
	})
	wg.Go(func() {
		b := make([]byte, 2048)
		for {
			n, from, err := front.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			l.mu.Lock()
			l.caller = from
			if l.back == nil {
				if l.back, err = net.ListenUDP("udp4", nil); err != nil {
					l.mu.Unlock()
					return
				}
				back := l.back
				wg.Go(func() { l.returns(back) })
			}
			l.pass(l.back, l.to, b[:n])
			l.mu.Unlock()
		}
	})
	return l
}

func (l *lossyPath) returns(back *net.UDPConn) {
	b := make([]byte, 2048)
	for {
		n, _, err := back.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		l.mu.Lock()
		l.pass(l.front, l.caller, b[:n])
		l.mu.Unlock()
	}
}

// pass is called with mu held.
func (l *lossyPath) pass(c *net.UDPConn, to netip.AddrPort, b []byte) {
	if l.rng.Float64() < l.p {
		l.lost.Add(1)
		return
	}
	select {
	case l.line <- delayed{time.Now().Add(l.delay), c, to, append([]byte(nil), b...)}:
	default:
		l.lost.Add(1)
	}
}

// delayed is a datagram on its way.
type delayed struct {
	at time.Time
	c  *net.UDPConn
	to netip.AddrPort
	b  []byte
}

func (l *lossyPath) addr() string { return l.front.LocalAddr().String() }

// rebind makes it speak to the listener from another port, as a NAT does that has forgotten the caller.
func (l *lossyPath) rebind() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.back.Close()
	l.back = nil // the next packet makes another
}

// libsrt's caller through 10 % of loss each way: every packet comes through, by resends or by parity, clear and encrypted. And
// through a NAT that changes ports under it. How much must come through is judged with -live only: a machine that stands still for
// the latency loses some. In virtual time TestRecovery, TestPacketFilter and TestRebind of package srt judge it always.
func TestLibsrtThroughLoss(t *testing.T) {
	need.RealTime(t)
	slt := need.Program(t, "srt-live-transmit")
	const packets, pass = 600, "sixteen letters!"
	const all = packets
	for _, c := range []struct {
		options, passphrase string
		least               int
		resends             bool
		loss                float64
		rebind              bool
	}{
		{"latency=500", "", all, true, 0.1, false},
		{"latency=500&passphrase=" + pass + "&pbkeylen=32", pass, all, true, 0.1, false},
		{"latency=500&packetfilter=fec,cols:5,rows:4,arq:onreq", "", all, false, 0.1, false},
		{"latency=500&packetfilter=fec,cols:5,rows:4,layout:even,arq:never&passphrase=" + pass, pass, packets * 96 / 100, false, 0.1, false},
		{"latency=200&passphrase=" + pass, pass, all, false, 0, true},
	} {
		t.Run(c.options, func(t *testing.T) {
			t.Parallel()
			var seen [packets]atomic.Bool
			var last atomic.Pointer[Stats]
			l, err := Listen(Config{Addr: "127.0.0.1:0", Passphrase: c.passphrase, Admit: func(Request) (func(context.Context, *Conn), error) {
				return func(_ context.Context, c *Conn) {
					b := make([]byte, MaxPayload)
					for c != nil {
						n, err := c.Read(b)
						s := c.Stats()
						last.Store(&s)
						if err != nil {
							return
						}
						if i := binary.BigEndian.Uint32(b); n == 1316 && i < packets {
							seen[i].Store(true)
						}
					}
				}, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			defer wg.Wait()
			defer cancel()
			wg.Go(func() { _ = l.Serve(ctx) })
			path := newLossyPath(t, l.Addr().String(), 20*time.Millisecond, c.loss)
			in, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			port := in.LocalAddr().(*net.UDPAddr).Port
			_ = in.Close()
			cmd := exec.Command(slt, "-q", fmt.Sprintf("udp://127.0.0.1:%d", port), fmt.Sprintf("srt://%s?streamid=live/x&%s", path.addr(), c.options))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}()
			src, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			b := make([]byte, 1316)
			for end := time.Now().Add(need.Patience); last.Load() == nil; { // until it is connected
				if time.Now().After(end) {
					t.Fatal("not connected")
				}
				binary.BigEndian.PutUint32(b, packets)
				_, _ = src.Write(b)
				time.Sleep(20 * time.Millisecond)
			}
			for i := range packets {
				binary.BigEndian.PutUint32(b, uint32(i))
				_, _ = src.Write(b)
				time.Sleep(3 * time.Millisecond)
				if c.rebind && i%200 == 100 {
					path.rebind()
				}
			}
			for range 40 { // so that a loss at the end shows
				binary.BigEndian.PutUint32(b, packets)
				_, _ = src.Write(b)
				time.Sleep(15 * time.Millisecond)
			}
			n, least := 0, c.least
			if !*live {
				least = packets / 2
			}
			for end := time.Now().Add(8 * time.Second); n < least && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				n = 0
				for i := range seen {
					if seen[i].Load() {
						n++
					}
				}
			}
			t.Logf("%d of %d, %d datagrams lost, %+v", n, packets, path.lost.Load(), *last.Load())
			if rebuilt := last.Load().Rebuilt; rebuilt == 0 && strings.Contains(c.options, "packetfilter") {
				t.Error("nothing rebuilt")
			}
			if n < least || c.resends && last.Load().Retransmitted == 0 {
				t.Errorf("%d of %d came through, want ≥ %d", n, packets, least)
			}
		})
	}
}
