package relay

import (
	"context"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bench/tier"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmpout"
	"github.com/fairlead-live/fairlead/bridge/tcp"
)

// unsentLimits reads TCP_NOTSENT_LOWAT back from every socket of this process that has a peer, and the port given at its own end or its peer's.
func unsentLimits(port int) (limits []int) {
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	portOf := func(a unix.Sockaddr, err error) int {
		if a, ok := a.(*unix.SockaddrInet4); ok && err == nil {
			return a.Port
		}
		return -1
	}
	for _, e := range dir {
		fd, _ := strconv.Atoi(e.Name())
		peer := portOf(unix.Getpeername(fd))
		if peer < 0 || peer != port && portOf(unix.Getsockname(fd)) != port {
			continue
		}
		if n, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT); err == nil && n > 0 && n <= tcp.NotSentLowWater {
			limits = append(limits, n)
		}
	}
	return limits
}

// What the kernel may hold back is set on the sockets of players over HTTP and RTMP, and of destinations. (The other ends of those connections are
// sockets of this process, too, and have no limit.)
func TestTheKernelHoldsLittle(t *testing.T) {
	need.RealTime(t)
	far, _ := tier.Counting(t)
	r := startRelay(t, config.Relay{Key: []string{"live/cam"}, Push: []string{"live/cam=rtmp://" + far + "/live/cam"}})
	srt, rtmp, http := r.Addrs()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	all.Go(func() {
		if err := publishClip(ctx, srt.String(), "live/cam"); err != nil {
			t.Error(err)
		}
	})
	waitStream(t, r, "live/cam")
	all.Go(func() { _ = watch(ctx, r.FLVURL("live/cam"), func(*media.Frame) {}) })
	player, err := net.Dial("tcp", rtmp.String())
	if err != nil {
		t.Fatal(err)
	}
	defer player.Close()
	need.Until(t, "the destination publishes", func() bool { return r.Outputs()[0].Stats().State == rtmpout.Publishing })
	_, port, _ := net.SplitHostPort(far)
	n, _ := strconv.Atoi(port)
	for what, port := range map[string]int{"destination": n, "RTMP player": rtmp.(*net.TCPAddr).Port, "HTTP player": http.(*net.TCPAddr).Port} {
		need.Until(t, what+" has a limit", func() bool { return len(unsentLimits(port)) > 0 })
	}
}
