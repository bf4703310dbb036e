package relay

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
)

// A latency of 120 in ffmpeg's microseconds is explained.
func TestRelayExplainsALatencyInMicroseconds(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds of real time: make test runs it")
	}
	ffmpeg := need.Program(t, "ffmpeg")
	r := startRelay(t, config.Relay{SRT: "127.0.0.1:0", Key: []string{"live/cam"}})
	url := strings.Replace(r.srtURL("live/cam", 120*time.Millisecond), "latency=120000", "latency=120", 1)
	if !strings.Contains(url, "latency=120&") && !strings.HasSuffix(url, "latency=120") {
		t.Fatalf("the URL has another form: %s", url)
	}
	start(t, ffmpeg, "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=30", "-t", "60", "-c:v", "libx264", "-preset", "ultrafast", "-g", "60",
		"-pix_fmt", "yuv420p", "-f", "mpegts", url)
	for limit := time.Now().Add(50 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		for _, s := range r.Advice("live/cam") {
			if s.Rule == "latency_unit" {
				t.Log(s.Text, s.Evidence)
				return
			}
		}
		if time.Now().After(limit) {
			t.Fatalf("not explained: %v", r.Advice("live/cam"))
		}
	}
}

// A second publisher of the key is told to the operator.
func TestPastGrowsAndBeginsAnew(t *testing.T) {
	var p past
	for i := range uint64(200) {
		p.add(10 * i)
	}
	if got := p.over(60); got != 600 {
		t.Errorf("over 60 s: %d, want 600", got)
	}
	p.add(5)
	p.add(7)
	if got := p.over(60); got != 2 {
		t.Errorf("a counter that began anew: %d, want 2", got)
	}
}

// The kernel's table is read as it is: a socket whose buffer overflows shows.
func TestKernelDropsAreSeen(t *testing.T) {
	if _, err := os.Stat("/proc/net/udp"); err != nil {
		t.Log("no /proc/net/udp here")
		return
	}
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	out, err := net.DialUDP("udp4", nil, c.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for range 100 {
		_, _ = out.Write(make([]byte, 1000))
	}
	if n, _ := udpDrops([]int{c.LocalAddr().(*net.UDPAddr).Port}); n < 50 {
		t.Errorf("%d drops seen of about 95", n)
	}
	if n := dropsIn([]byte("  sl  local_address\n 1: 0100007F:0035 00000000:0000 07 0:0 0:0 0 0 0 17 2 x 42\nnonsense\n"), []int{53}); n != 42 {
		t.Errorf("a line of proc(5): %d, want 42", n)
	}
}
