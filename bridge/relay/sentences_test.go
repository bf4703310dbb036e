package relay

import (
	"net"
	"os"
	"testing"
)

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
