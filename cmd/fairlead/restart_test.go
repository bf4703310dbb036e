package main

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/rtmpserver"
)

// A relay that is killed (-9) and started again: fairlead push, and an encoder in a loop, are back without anybody's help, and the destinations
// have pictures again. docs/relay.md has the figure; here it must be within what a player's buffer may hold.
func TestKilledRelayIsBack(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	ffmpeg := need.Program(t, "ffmpeg")
	h := hub.New(hub.Config{})
	defer h.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { _ = rtmpserver.New(rtmpserver.Config{Hub: h}).Serve(ctx, l) })
	frames := func(name string) uint64 {
		for _, s := range h.Streams() {
			if s.Name == name && s.Publisher != nil {
				return s.Counts.Frames
			}
		}
		return 0
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "clip.ts")
	if out, err := exec.Command(ffmpeg, "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=30", "-f", "lavfi", "-i", "sine=f=440:r=48000", "-t", "90",
		"-c:v", "libx264", "-preset", "ultrafast", "-g", "60", "-c:a", "aac", file).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	port := func(network string) string {
		if network == "udp" {
			c, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			return c.LocalAddr().String()
		}
		c, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.Addr().String()
	}
	quic, rtmp, web := port("udp"), port("tcp"), port("tcp")
	relay := func() *process {
		return startFairlead(t, "relay", "--srt", "", "--rtmp", rtmp, "--quic", quic, "--http", web, "--api", "", "--key", "live/a", "--key", "live/b",
			"--quic-cert", filepath.Join(dir, "cert.pem"), "--quic-key", filepath.Join(dir, "key.pem"),
			"--push", "live/a=rtmp://"+l.Addr().String()+"/live/a", "--push", "live/b=rtmp://"+l.Addr().String()+"/live/b")
	}
	first := relay()
	startFairlead(t, "push", file, first.find(t, `'(fairlead://[^']+live/a[^']*)'`))
	wg.Go(func() { // while true; do ffmpeg …; done
		for ctx.Err() == nil {
			_ = exec.CommandContext(ctx, ffmpeg, "-v", "error", "-re", "-i", file, "-c", "copy", "-f", "flv", "rtmp://"+rtmp+"/live/b").Run()
			time.Sleep(100 * time.Millisecond)
		}
	})
	both := func(what string) {
		t.Helper()
		for end := time.Now().Add(need.Patience); frames("live/a") < 60 || frames("live/b") < 60; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %d and %d frames", what, frames("live/a"), frames("live/b"))
			}
		}
	}
	both("at first")
	_ = first.cmd.Process.Kill()
	_ = first.cmd.Wait()
	time.Sleep(500 * time.Millisecond)
	wasA, wasB := frames("live/a"), frames("live/b")
	began := time.Now()
	relay()
	var a, b time.Duration
	for (a == 0 || b == 0) && time.Since(began) < need.Patience {
		if n := frames("live/a"); a == 0 && n > wasA {
			a = time.Since(began)
		}
		if n := frames("live/b"); b == 0 && n > wasB {
			b = time.Since(began)
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Logf("the destination has media %v (fairlead push), %v (ffmpeg in a loop) after the start of the relay", a.Round(time.Millisecond), b.Round(time.Millisecond))
	if a == 0 || b == 0 {
		t.Errorf("not back: %v, %v", a, b)
	}
}
