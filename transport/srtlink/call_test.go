package srtlink

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/transport/srt"
)

var live = flag.Bool("live", false, "comparisons with srt-live-transmit in real time: some minutes, on a quiet machine")

// Our caller to libsrt's listener, through 8 % of loss each way: clear, encrypted, with parity in every layout and arq mode. How much must come
// through is judged with -live only, at a latency of 300 ms: a machine that stands still for so long loses what is no fault of the caller's. In
// virtual time TestCallerRecovery and TestCallerParity of package srt judge it always.
func TestCallLibsrt(t *testing.T) {
	need.RealTime(t)
	slt := need.Program(t, "srt-live-transmit")
	const packets, pass = 300, "sixteen letters!"
	const all = packets
	latency := 1500 * time.Millisecond
	if *live {
		latency = 300 * time.Millisecond
	}
	for _, c := range []struct {
		options string // of the listener
		cfg     DialConfig
		filter  string // agreed on
		least   int
		resends bool
	}{
		{"latency=LATENCY", DialConfig{StreamID: "publish:live/x"}, "", all, true},
		{"latency=20&passphrase=" + pass, DialConfig{Latency: latency, Passphrase: pass, KeyLen: 32}, "", all, true},
		{"latency=LATENCY", DialConfig{Filter: "fec,cols:5,rows:5,layout:even,arq:always"}, "fec,arq:always,cols:5,layout:even,rows:5", all, true},
		{"latency=LATENCY&packetfilter=fec,cols:6,rows:4", DialConfig{Filter: "fec"}, "fec,arq:onreq,cols:6,layout:staircase,rows:4", all, false},
		{"latency=LATENCY&passphrase=" + pass, DialConfig{Filter: "fec,cols:5,rows:4,arq:never", Passphrase: pass}, "fec,arq:never,cols:5,layout:staircase,rows:4", packets * 96 / 100, false},
		{"latency=LATENCY", DialConfig{Filter: "fec,cols:8,rows:-4,arq:never"}, "fec,arq:never,cols:8,layout:staircase,rows:-4", packets * 90 / 100, false},
		{"latency=LATENCY", DialConfig{Filter: "fec,cols:5,arq:onreq"}, "fec,arq:onreq,cols:5,layout:staircase,rows:1", all - 4, true},
	} {
		t.Run(c.options+" "+c.cfg.Filter, func(t *testing.T) {
			if !*live {
				t.Parallel() // how much comes through is not judged
			}
			in, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			port := unusedPort(t)
			cmd := exec.Command(slt, "-q", fmt.Sprintf("srt://127.0.0.1:%d?mode=listener&%s", port, strings.ReplaceAll(c.options, "LATENCY", fmt.Sprint(latency.Milliseconds()))), "udp://"+in.LocalAddr().String())
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}()
			path := newPath(t, fmt.Sprintf("127.0.0.1:%d", port), 15*time.Millisecond, share(0.08, 1))
			var conn *Conn
			for end := time.Now().Add(need.Patience); ; {
				if conn, err = Dial(path.addr(), c.cfg); err == nil {
					break
				}
				if time.Now().After(end) {
					t.Fatal(err)
				}
			}
			defer conn.Close()
			var came atomic.Int64
			got := make(chan int)
			go func() {
				seen := map[uint32]bool{}
				b := make([]byte, 2048)
				for {
					n, err := in.Read(b)
					if err != nil {
						break
					}
					if i := binary.BigEndian.Uint32(b); n == 1316 && i < packets {
						seen[i] = true
						came.Store(int64(len(seen)))
					}
				}
				got <- len(seen)
			}()
			b := make([]byte, 1316)
			for i := range packets + 30 { // the last ones so that a loss at the end shows
				binary.BigEndian.PutUint32(b, uint32(i))
				if _, err := conn.Write(b); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Millisecond)
			}
			least := c.least
			if !*live {
				least = packets / 2
			}
			for end := time.Now().Add(c.cfg.Latency + 5*time.Second); int(came.Load()) < least && time.Now().Before(end); {
				time.Sleep(20 * time.Millisecond)
			}
			s := conn.Stats()
			_ = in.Close()
			n := <-got
			t.Logf("%d of %d, %d datagrams lost, %+v", n, packets, path.lost.Load(), s)
			if n < least || c.resends && s.Resent == 0 || !c.resends && c.cfg.Filter != "fec" && s.Resent > 0 || s.Filter != c.filter || s.Latency != latency {
				t.Errorf("%d of %d came through, want ≥ %d; filter %q, want %q", n, packets, least, s.Filter, c.filter)
			}
		})
	}
}

func unusedPort(t *testing.T) int {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

func TestCallRefused(t *testing.T) {
	if _, err := Dial("127.0.0.1:1", DialConfig{Filter: "fec,cols:1"}); !errors.Is(err, srt.ErrOptions) {
		t.Errorf("got %v, want %v", err, srt.ErrOptions)
	}
	began := time.Now()
	if _, err := Dial(fmt.Sprintf("127.0.0.1:%d", unusedPort(t)), DialConfig{Timeout: 100 * time.Millisecond}); !errors.Is(err, srt.ErrNobody) {
		t.Errorf("got %v after %v, want %v", err, time.Since(began), srt.ErrNobody)
	}
}

// The machine gets another address: what is sent from the old one reaches nobody, and the connection goes on from the new one.
func TestCallMoves(t *testing.T) {
	need.RealTime(t)
	got := make(chan byte, 1000)
	l, err := Listen(Config{Addr: "127.0.0.1:0", MigrateClear: true, Latency: 40 * time.Millisecond, Admit: func(Request) (func(context.Context, *Conn), error) {
		return func(_ context.Context, c *Conn) {
			b := make([]byte, MaxPayload)
			for {
				if _, err := c.Read(b); err != nil {
					return
				}
				got <- b[0]
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
	conn, err := Dial(l.Addr().String(), DialConfig{StreamID: "publish:live/x"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	nobody, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	gone, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}, nobody.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	k := conn.link.(*call)
	k.mu.Lock()
	old := k.conn
	k.conn = gone
	k.mu.Unlock()
	_ = old.Close()
	end := time.After(need.Patience)
	for i := byte(0); ; i++ {
		if _, err := conn.Write([]byte{i}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-got:
			return
		case <-end:
			t.Fatal("nothing arrives from the new address")
		case <-time.After(20 * time.Millisecond):
		}
	}
}
