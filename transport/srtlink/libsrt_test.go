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

// path stands between a caller and a listener: it loses what lose says, and delays the rest.
type path struct {
	front *net.UDPConn
	to    netip.AddrPort
	delay time.Duration
	lose  func(up bool, b []byte) bool // of a datagram to the listener, or from it; with mu held

	mu     sync.Mutex // guards what follows
	back   *net.UDPConn
	caller netip.AddrPort
	lost   atomic.Int64
	late   atomic.Int64 // most that a datagram was later than delay, ns: this machine's fault
	line   chan delayed // in order: a machine that is busy reorders timers
}

// delayed is a datagram on its way.
type delayed struct {
	at time.Time
	c  *net.UDPConn
	to netip.AddrPort
	b  []byte
}

// share loses that share of all datagrams.
func share(p float64, seed uint64) func(bool, []byte) bool {
	rng := rand.New(rand.NewPCG(seed, 1))
	return func(bool, []byte) bool { return rng.Float64() < p }
}

func newPath(t *testing.T, to string, delay time.Duration, lose func(up bool, b []byte) bool) *path {
	t.Helper()
	front, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	l := &path{front: front, to: netip.MustParseAddrPort(to), delay: delay, lose: lose, line: make(chan delayed, 4096)}
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case d := <-l.line:
				time.Sleep(time.Until(d.at))
				l.late.Store(max(l.late.Load(), int64(time.Since(d.at))))
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
			l.pass(true, l.back, l.to, b[:n])
			l.mu.Unlock()
		}
	})
	return l
}

func (l *path) returns(back *net.UDPConn) {
	b := make([]byte, 2048)
	for {
		n, _, err := back.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		l.mu.Lock()
		l.pass(false, l.front, l.caller, b[:n])
		l.mu.Unlock()
	}
}

// pass is called with mu held.
func (l *path) pass(up bool, c *net.UDPConn, to netip.AddrPort, b []byte) {
	if l.lose(up, b) {
		l.lost.Add(1)
		return
	}
	select {
	case l.line <- delayed{time.Now().Add(l.delay), c, to, append([]byte(nil), b...)}:
	default:
		l.lost.Add(1)
	}
}

func (l *path) addr() string { return l.front.LocalAddr().String() }

// rebind makes it speak to the listener from another port, as a NAT does that has forgotten the caller.
func (l *path) rebind() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.back.Close()
	l.back = nil // the next packet makes another
}

const (
	lossPackets = 600
	lossPass    = "sixteen letters!"
)

// throughLoss is one run of TestLibsrtThroughLoss.
type throughLoss struct {
	options, passphrase string
	least               int // that must come through with -live
	resends             bool
	loss                float64
	rebind              bool
}

// stoodStill is how late a datagram may be on a machine that is quick enough for -live.
const stoodStill = 10 * time.Millisecond

// libsrt's caller through 10 % of loss each way: every packet comes through, by resends or by parity, clear and encrypted. And
// through a NAT that changes ports under it. How much must come through is judged with -live only, one run after another, and anew when the machine
// has stood still meanwhile: one that does so for the latency loses some. In virtual time TestRecovery, TestPacketFilter and TestRebind of package srt
// judge it always.
//
//	go test ./transport/srtlink -run TestLibsrtThroughLoss -live -v
func TestLibsrtThroughLoss(t *testing.T) {
	need.RealTime(t)
	slt := need.Program(t, "srt-live-transmit")
	for _, c := range []throughLoss{
		{"latency=500", "", lossPackets, true, 0.1, false},
		{"latency=500&passphrase=" + lossPass + "&pbkeylen=32", lossPass, lossPackets, true, 0.1, false},
		{"latency=500&packetfilter=fec,cols:5,rows:4,arq:onreq", "", lossPackets, false, 0.1, false},
		{"latency=500&packetfilter=fec,cols:5,rows:4,layout:even,arq:never&passphrase=" + lossPass, lossPass, lossPackets * 96 / 100, false, 0.1, false},
		{"latency=200&passphrase=" + lossPass, lossPass, lossPackets, false, 0, true},
	} {
		t.Run(c.options, func(t *testing.T) {
			if !*live {
				t.Parallel()
				c.least = lossPackets / 2
			}
			for try := 1; ; try++ {
				n, s, late := c.run(t, slt)
				t.Logf("%d of %d, %+v", n, lossPackets, s)
				if s.Rebuilt == 0 && strings.Contains(c.options, "packetfilter") {
					t.Error("nothing rebuilt")
				}
				if n >= c.least && (!c.resends || s.Retransmitted > 0) {
					return
				}
				if try < 10 && late > stoodStill {
					t.Logf("this machine has let a datagram wait for %v: once more", late)
					continue
				}
				t.Fatalf("%d of %d came through, %d resends, want ≥ %d", n, lossPackets, s.Retransmitted, c.least)
			}
		})
	}
}

// run sends lossPackets and says how many came through, and how late the path was.
func (c *throughLoss) run(t *testing.T, slt string) (n int, stats Stats, late time.Duration) {
	t.Helper()
	var seen [lossPackets]atomic.Bool
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
				if i := binary.BigEndian.Uint32(b); n == 1316 && i < lossPackets {
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
	path := newPath(t, l.Addr().String(), 20*time.Millisecond, share(c.loss, 1))
	port := unusedPort(t)
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
	send := func(i int, wait time.Duration) {
		binary.BigEndian.PutUint32(b, uint32(i))
		_, _ = src.Write(b)
		time.Sleep(wait)
	}
	for end := time.Now().Add(need.Patience); last.Load() == nil; { // until it is connected
		if time.Now().After(end) {
			t.Fatal("not connected")
		}
		send(lossPackets, 20*time.Millisecond)
	}
	for i := range lossPackets {
		send(i, 3*time.Millisecond)
		if c.rebind && i%200 == 100 {
			path.rebind()
		}
	}
	for range 40 { // so that a loss at the end shows
		send(lossPackets, 15*time.Millisecond)
	}
	for end := time.Now().Add(8 * time.Second); n < c.least && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		n = 0
		for i := range seen {
			if seen[i].Load() {
				n++
			}
		}
	}
	return n, *last.Load(), time.Duration(path.late.Load())
}
