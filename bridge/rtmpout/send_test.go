package rtmpout

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
)

// drain is a destination that accepts one publish and throws away what comes, without memory of its own.
func drain(t *testing.T) (addr string, got *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	got = &atomic.Int64{}
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		m := rtmp.NewServer(rtmp.ServerConfig{Random: make([]byte, rtmp.RandomSize)})
		buf := make([]byte, 64<<10)
		for accepted := false; ; {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			if accepted {
				got.Add(int64(n))
				continue
			}
			for b := buf[:n]; ; {
				ev, n, err := m.Feed(b)
				b = b[n:]
				if ev.Kind == rtmp.EventPublish {
					m.Accept()
					accepted = true
				}
				if _, werr := c.Write(m.Output()); err != nil || werr != nil {
					return
				}
				if ev.Kind == rtmp.EventNone {
					break
				}
			}
		}
	}()
	return l.Addr().String(), got
}

// A frame on its way from the hub to the socket costs no memory in steady state. (The parser that makes it does: a frame and its payload.)
func TestSendingCostsNoAllocation(t *testing.T) {
	addr, got := drain(t)
	h := hub.New(hub.Config{})
	defer h.Close()
	o, _ := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + addr + "/live/a")})
	p, err := h.Publish("live/a", hub.PublisherInfo{})
	if err != nil {
		t.Fatal(err)
	}
	const runs = 160
	var frames []*media.Frame
	for n := range runs + 200 {
		frames = append(frames, picture(n, 5000)...)
	}
	n := 0
	step := func() {
		before := got.Load()
		for range 2 {
			if err := p.WriteFrame(frames[n]); err != nil {
				t.Fatal(err)
			}
			n++
		}
		for got.Load() < before+5000 {
			runtime.Gosched()
		}
	}
	for range 5 {
		_ = p.WriteFrame(frames[n])
		n++
	}
	waitFor(t, "live", func() bool {
		_ = p.WriteFrame(frames[n])
		n++
		return o.Stats().State == Publishing && got.Load() > 0
	})
	for range 60 {
		step()
	}
	if allocs := testing.AllocsPerRun(runs/2, step); allocs != 0 && !raceEnabled {
		t.Errorf("%v allocations for a picture and its sound", allocs)
	}
}
