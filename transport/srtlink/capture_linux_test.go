package srtlink

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/transport/srt"
)

var capture = flag.String("capture", "", "write what srt-live-transmit sends with packet filters into this directory, for the tests of transport/srt/filter")

// TestCapture makes the golden captures of package filter: a caller's conclusion, then its data and parity, a line each: header, length of the
// body, body without its zeros at the end.
//
//	go test ./transport/srtlink -run TestCapture -capture $PWD/transport/srt/filter/testdata
func TestCapture(t *testing.T) {
	if *capture == "" {
		t.Log("-capture writes them")
		return
	}
	slt := need.Program(t, "srt-live-transmit")
	const pass = "sixteen letters!"
	for name, filter := range map[string]string{
		"cols-even-5x3": "fec,cols:5,rows:-3,layout:even", "ctr-row-5": "fec,cols:5,rows:1", "ctr-even-5x4": "fec,cols:5,rows:4,layout:even",
		"ctr-cols-5x3": "fec,cols:5,rows:-3", "ctr-cols-even-5x3": "fec,cols:5,rows:-3,layout:even",
	} {
		cfg, options := Config{Addr: "127.0.0.1:0"}, "streamid=publish:live/x&packetfilter="+filter
		if strings.HasPrefix(name, "ctr-") {
			cfg.Passphrase = pass
			options += "&passphrase=" + pass
		}
		up := make(chan struct{})
		cfg.Admit = func(Request) (func(context.Context, *Conn), error) {
			return func(_ context.Context, c *Conn) {
				close(up)
				_ = c.Deliver(func(time.Time, []byte) error { return nil })
			}, nil
		}
		l, err := Listen(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = l.Serve(ctx) })
		addr, lines := recorded(t, l.Addr().String())
		port := unusedPort(t)
		command(t, slt, "-q", fmt.Sprintf("udp://127.0.0.1:%d", port), fmt.Sprintf("srt://%s?%s", addr, options))
		src, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, uint64(len(name))))
		<-up
		time.Sleep(time.Second)
		for range 62 {
			b := make([]byte, 20+rng.IntN(44))
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			_, _ = src.Write(b)
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(300 * time.Millisecond)
		_ = src.Close()
		cancel()
		wg.Wait()
		text := lines()
		if err := os.WriteFile(filepath.Join(*capture, name+".hex"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d lines", name, strings.Count(text, "\n"))
	}
}

// recorded is a path that notes what goes to the listener.
func recorded(t *testing.T, to string) (addr string, lines func() string) {
	t.Helper()
	var text strings.Builder
	said := false
	l := newPath(t, to, 0, func(up bool, p []byte) bool {
		hello := up && p[0] == 0x80 && p[1] == 0 && binary.BigEndian.Uint32(p[36:]) == 0xFFFFFFFF
		if up && (hello && !said || p[0]&0x80 == 0 && (p[4]&4 == 0 || binary.BigEndian.Uint32(p[4:])&(1<<26-1) == 0)) {
			said = said || hello
			body := p[srt.HeaderLen:]
			fmt.Fprintf(&text, "%s %d %s\n", hex.EncodeToString(p[:srt.HeaderLen]), len(body), hex.EncodeToString(bytes.TrimRight(body, "\x00")))
		}
		return false
	})
	return l.addr(), func() string {
		l.mu.Lock()
		defer l.mu.Unlock()
		return text.String()
	}
}
