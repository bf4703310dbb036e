package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/emu"
	"github.com/fairlead-live/fairlead/bench/need"
)

// run is one command line; args are words of a shell without quotes.
func run(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = Main(ctx, args, &out, &err)
	return code, out.String(), err.String()
}

// needPair skips where namespaces are not allowed.
func needPair(t *testing.T) {
	t.Helper()
	p, err := emu.NewPair(emu.Config{})
	if errors.Is(err, emu.ErrNotPermitted) || errors.Is(err, emu.ErrUnsupported) {
		need.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
}

func TestWrongUseIsRefusedWithTheWord(t *testing.T) {
	for _, c := range []struct {
		why  string
		args []string
		want string
	}{
		{"nothing", nil, "usage"},
		{"no such command", []string{"lnik"}, `"lnik"`},
		{"no profile", []string{"link", "--", "true"}, "which profile"},
		{"no command", []string{"link", "clean"}, "which command"},
		{"two profiles", []string{"link", "clean", "dirty", "--", "true"}, `"dirty"`},
		{"unknown profile", []string{"link", "lte-drivin", "--", "true"}, "lte-drivin"},
		{"bad words", []string{"link", "loss random 5", "--", "true"}, `"5"`},
		{"a negative rate", []string{"link", "rate -4mbit", "--", "true"}, "-4mbit"},
		{"p > 1", []string{"link", "loss random 101%", "--", "true"}, "101%"},
		{"unknown flag", []string{"link", "clean", "--sed", "3", "--", "true"}, "sed"},
		{"proxy without target", []string{"link", "clean", "--udp", "9000"}, "LISTEN=TARGET"},
		{"proxy with a namespace's flag", []string{"link", "clean", "--udp", "9000=9001", "--far", "true"}, "namespaces"},
		{"bad forward", []string{"link", "clean", "--forward", "sctp:9", "--", "true"}, "sctp:9"},
		{"selftest takes no words", []string{"selftest", "now"}, `"now"`},
	} {
		code, _, stderr := run(t.Context(), c.args...)
		if code != exitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: code %d, want %d and %s in %q", c.why, code, exitUsage, c.want, stderr)
		}
	}
	for _, args := range [][]string{{"help"}, {"link", "-h"}, {"selftest", "--help"}} {
		if code, stdout, stderr := run(t.Context(), args...); code != exitOK || !strings.Contains(stdout+stderr, "usage") {
			t.Errorf("%v: code %d, %q", args, code, stdout+stderr)
		}
	}
}

func TestLinkRunsACommandAndPassesItsCodeOn(t *testing.T) {
	needPair(t)
	log := filepath.Join(t.TempDir(), "verdicts")
	script := `echo "$FAIRLEAD_NEAR $FAIRLEAD_FAR"; echo hello > /dev/udp/$FAIRLEAD_FAR/9; sleep 1; exit 7` // the packet leaves, however busy the machine
	code, stdout, stderr := run(t.Context(), "link", "delay 5ms loss random 100%", "--seed", "3", "--verdicts", log, "--", "bash", "-c", script)
	if code != 7 || stdout != "10.99.0.1 10.99.0.2\n" {
		t.Errorf("code %d, stdout %q, want 7 and both addresses", code, stdout)
	}
	if !strings.Contains(stderr, "up   packets=1 ") || !strings.Contains(stderr, "dropped_loss=1") {
		t.Errorf("want one packet, lost, in %q", stderr)
	}
	b, err := os.ReadFile(log)
	if err != nil || !strings.HasPrefix(string(b), "up 0 ") || !strings.HasSuffix(string(b), " 34 not-ect loss\n") {
		t.Errorf("verdicts %q, %v", b, err)
	}
}

func TestInterruptEndsTheCommandAndTheFarSide(t *testing.T) {
	needPair(t)
	ctx, cancel := context.WithCancel(t.Context())
	mark := filepath.Join(t.TempDir(), "started")
	go func() {
		for end := time.Now().Add(need.Patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if _, err := os.Stat(mark); err == nil {
				break
			}
		}
		cancel()
	}()
	sleep := fmt.Sprintf("exec sleep 1000.%d", os.Getpid()) // nothing but the interrupt ends either side
	code, _, stderr := run(ctx, "link", "clean", "--settle", "1ms", "--far", sleep, "--", "sh", "-c", "touch "+mark+"; "+sleep)
	if code != 130 || !strings.Contains(stderr, "link: down ") {
		t.Errorf("code %d, want 130, and counters: %q", code, stderr)
	}
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range procs { // not by emu.RemoveLeftovers, which counts what another package's tests kill, too
		if b, _ := os.ReadFile(p); strings.HasPrefix(string(b), "sleep\x001000."+strconv.Itoa(os.Getpid())) {
			t.Errorf("%s is left", p)
		}
	}
}

func TestProxyBesideACommand(t *testing.T) {
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	got := make(chan string, 1)
	go func() {
		b := make([]byte, 100)
		_ = server.SetReadDeadline(time.Now().Add(need.Patience))
		n, _, _ := server.ReadFromUDP(b)
		got <- string(b[:n])
	}()
	free, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	listen := free.LocalAddr().String()
	free.Close()
	script := "printf proxied > /dev/udp/" + strings.Replace(listen, ":", "/", 1) + "; sleep 1"
	code, _, stderr := run(t.Context(), "link", "delay 5ms", "--udp", listen+"="+server.LocalAddr().String(), "--", "bash", "-c", script)
	if code != exitOK || <-got != "proxied" || !strings.Contains(stderr, "udp up   packets=1 bytes=35 sent=1") {
		t.Errorf("code %d, %q", code, stderr)
	}
}

func TestSelftestMeasuresEveryLine(t *testing.T) {
	need.RealTime(t)
	code, stdout, stderr := run(t.Context(), "selftest", "-each", "100ms")
	if code == exitUsage || stderr != "" {
		t.Fatalf("code %d, %q", code, stderr)
	}
	// How good the figures are is this machine's business; that they are there is ours.
	for _, line := range []string{"delay error p50", "loss of 10 %", "rate of 20 Mbit/s", "control: added p99", "UDP throughput"} {
		if strings.Count(stdout, line) < 1 {
			t.Errorf("no line about %q in\n%s", line, stdout)
		}
	}
}
