package relay

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/transport/srtlink"
)

// Garbage on every port: nothing panics, nothing stays behind, and a publisher beside it is not disturbed.
func TestGarbageOnEveryPort(t *testing.T) {
	need.RealTime(t)
	r := startRelay(t, config.Relay{Key: []string{"live/cam", "live/junk"}})
	srt, rtmp, web := r.Addrs()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var good sync.WaitGroup
	good.Go(func() {
		if err := publishClip(ctx, srt.String(), "live/cam"); err != nil {
			t.Error(err)
		}
	})
	waitStream(t, r, "live/cam")
	f := newFollower(t)
	playing, stop := context.WithCancel(ctx)
	good.Go(func() {
		if err := watch(playing, r.FLVURL("live/cam"), f.add); err != nil {
			t.Error(err)
		}
	})
	goroutines, heap := resources()

	rnd := rand.New(rand.NewPCG(7, 7))
	junk := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	udpJunk(t, srt, junk, rnd)
	for i := range 40 {
		tcpJunk(t, rtmp, junk(rnd.IntN(4000)+1))
		tcpJunk(t, web, junk(rnd.IntN(4000)+1))
		tcpJunk(t, rtmp, append([]byte{3}, junk(1536+rnd.IntN(3000))...)) // a handshake, then noise
		tcpJunk(t, web, []byte(strings.Repeat("GET / HTTP/1.1\r\n", i+1)))
		tcpJunk(t, web, fmt.Appendf(nil, "GET /%s.flv HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat("../", i)))
	}
	trickle := time.Now()
	trickled := oneBytePerSecond(t, rtmp)
	brokenTS(t, srt, junk)

	need.Until(t, "the RTMP client of one byte a second being cut", func() bool {
		select {
		case <-trickled:
			return true
		default:
			return false
		}
	})
	t.Logf("one byte a second was cut after %v", time.Since(trickle).Round(time.Second))
	need.Until(t, "goroutines back where they were", func() bool {
		http.DefaultClient.CloseIdleConnections()
		now, _ := resources()
		return now <= goroutines+3
	})
	if _, now := resources(); now > heap+32<<20 {
		t.Errorf("heap grew from %d to %d bytes", heap, now)
	}
	stop()
	cancel()
	good.Wait()
	f.check(t, "the player beside it", 3*30)
}

func resources() (goroutines int, heap uint64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return runtime.NumGoroutine(), m.HeapAlloc
}

func udpJunk(t *testing.T, to net.Addr, junk func(int) []byte, rnd *rand.Rand) {
	t.Helper()
	c, err := net.Dial("udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// An induction handshake as a caller sends it (SRT draft §3.2.1), whole and cut short.
	hs := make([]byte, 64)
	hs[0] = 0x80
	hs[19], hs[23] = 4, 2
	hs[39] = 1
	for i := range 2000 {
		b := junk(rnd.IntN(1500) + 1)
		switch i % 4 {
		case 1:
			b = hs[:rnd.IntN(len(hs))+1]
		case 2:
			b[0] = 0x80 // a control packet of a kind nobody knows
		case 3:
			copy(b, hs[:min(len(b), 24)]) // a handshake with noise behind
		}
		_, _ = c.Write(b)
		if i%100 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

func tcpJunk(t *testing.T, to net.Addr, b []byte) {
	t.Helper()
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write(b)
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
	_, _ = io.Copy(io.Discard, bufio.NewReader(c))
}

// oneBytePerSecond sends a valid RTMP handshake, one byte a second; the channel closes when the relay hangs up.
func oneBytePerSecond(t *testing.T, to net.Addr) <-chan struct{} {
	t.Helper()
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		for b := byte(3); ; b = 0 {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			var in [1]byte
			if _, err := c.Read(in[:]); err != nil {
				if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
					return
				}
			}
		}
	}()
	return cut
}

// brokenTS publishes transport packets whose PES, tables and adaptation fields are noise.
func brokenTS(t *testing.T, srt net.Addr, junk func(int) []byte) {
	t.Helper()
	conn, err := srtlink.Dial(srt.String(), srtlink.DialConfig{StreamID: "live/junk"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 300 {
		b := junk(1316)
		for at := 0; at < len(b); at += 188 {
			b[at] = 0x47
			if i%3 == 0 { // aim at the tables
				b[at+1], b[at+2], b[at+3] = 0x40, 0, 0x10
			}
		}
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(200 * time.Millisecond)
}
