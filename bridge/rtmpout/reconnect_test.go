package rtmpout

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
	"github.com/fairlead-live/fairlead/bridge/rtmpserver"
)

// asker is a destination that can ask to reconnect (E-RTMP v2).
type asker struct {
	addr string
	done chan struct{} // closed when its publisher has ended

	mu    sync.Mutex // guards what follows
	m     *rtmp.Server
	c     net.Conn
	got   []*media.Frame
	clean bool // it was told that the publish is over
}

func newAsker(t *testing.T) *asker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &asker{addr: l.Addr().String(), done: make(chan struct{}), m: rtmp.NewServer(rtmp.ServerConfig{Random: make([]byte, rtmp.RandomSize)})}
	go func() {
		defer close(a.done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		_ = l.Close() // one connection is enough: a second one to the same address is refused
		defer c.Close()
		a.mu.Lock()
		a.c = c
		a.mu.Unlock()
		a.serve(c)
	}()
	t.Cleanup(func() { _ = l.Close() })
	return a
}

func (a *asker) serve(c net.Conn) {
	var p flv.Parser
	buf := make([]byte, 32<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		a.mu.Lock()
		for b := buf[:n]; ; {
			ev, n, err := a.m.Feed(b)
			b = b[n:]
			switch ev.Kind {
			case rtmp.EventPublish:
				a.m.Accept()
			case rtmp.EventStop:
				a.clean = true
			case rtmp.EventMedia:
				if m := ev.Message; m.Type == rtmp.TypeAudio || m.Type == rtmp.TypeVideo {
					if f := p.Parse(flv.TagType(m.Type), time.Duration(m.Timestamp)*time.Millisecond, m.Payload); f != nil {
						a.got = append(a.got, f)
					}
				}
			}
			_, _ = c.Write(a.m.Output())
			if err != nil || ev.Kind == rtmp.EventNone {
				break
			}
		}
		a.mu.Unlock()
	}
}

func (a *asker) ask(tcURL string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	ok := a.m.RequestReconnect(tcURL, "draining")
	_, _ = a.c.Write(a.m.Output())
	return ok
}

func (a *asker) frames() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.got)
}

// A server that asks to reconnect elsewhere gets every frame up to the key frame that the other begins with, and a goodbye.
func TestServerAsksToReconnect(t *testing.T) {
	a, b := newAsker(t), newCDN(t, "127.0.0.1:0", rtmpserver.Config{}, nil)
	h := hub.New(hub.Config{})
	defer h.Close()
	o, stop := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + a.addr + "/live/a"), Lag: patient})
	p, err := h.Publish("live/a", hub.PublisherInfo{})
	if err != nil {
		t.Fatal(err)
	}
	atB := tap(t, b, "live/a")
	end := steady(t, p)
	waitFor(t, "live at the first", func() bool { return a.frames() > 50 })
	if !a.ask("rtmp://" + b.addr + "/live") {
		t.Fatal("our own client does not say that it understands")
	}
	waitFor(t, "live at the second", func() bool { return frameCount(b.hub) > 50 })
	end()
	waitFor(t, "all sent", func() bool { return o.Stats().Queued == 0 })
	stop()
	b.stop()
	bt := <-atB
	select {
	case <-a.done:
	case <-time.After(need.Patience):
		t.Fatal("the first connection does not end")
	}
	first, second := numbers(a.got), numbers(bt)
	if len(second) == 0 || !ofCodec(bt, media.H264)[0].IsKeyVideo() || !a.clean {
		t.Fatalf("the second begins with %v; goodbye: %v", second, a.clean)
	}
	for i, n := range append(first, second...) {
		if n != first[0]+i {
			t.Fatalf("picture %d at place %d of %d + %d", n, i, len(first), len(second))
		}
	}
	if st := o.Stats(); st.Publishes != 2 || st.Dropped != 0 || st.EndedBy(CauseMoved) != 1 {
		t.Errorf("stats = %+v", st)
	}
}
