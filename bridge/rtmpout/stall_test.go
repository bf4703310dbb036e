package rtmpout

import (
	"context"
	"encoding/binary"
	"flag"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmpserver"
)

var stallFor = flag.Duration("stall", 3*time.Second, "how long the destination of TestStalledDestination does not read")

// gate is a listener's wrapper whose connections stop reading while it is shut. What connects meanwhile is accepted and waits.
type gate struct {
	mu   sync.Mutex // guards what follows
	open chan struct{}
}

func newGate() *gate {
	g := &gate{open: make(chan struct{})}
	close(g.open)
	return g
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *gate) reopen() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.open)
}

func (g *gate) pass() {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	<-open
}

func (g *gate) wrap(l net.Listener) net.Listener { return &gateListener{l, g} }

type gateListener struct {
	net.Listener
	g *gate
}

func (l *gateListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	_ = c.(*net.TCPConn).SetReadBuffer(64 << 10)
	return &gateConn{c, l.g}, nil
}

type gateConn struct {
	net.Conn
	g *gate
}

func (c *gateConn) Read(b []byte) (int, error) {
	c.g.pass()
	return c.Conn.Read(b)
}

// studio publishes 30 pictures a second, 4 Mbit/s, a GOP of 2 s, each with the time it was written, until ctx ends.
func studio(ctx context.Context, p *hub.Publisher) {
	begin := time.Now()
	const size = 4_000_000 / 8 / 30
	for n := 0; ; n++ {
		dts := time.Duration(n) * time.Second / 30
		select {
		case <-time.After(time.Until(begin.Add(dts))):
		case <-ctx.Done():
			return
		}
		nal := make([]byte, size)
		flags := media.Flags(0)
		nal[0] = 0x41
		switch {
		case n%60 == 0:
			nal = make([]byte, 6*size)
			nal[0], flags = 0x65, media.Key
		case n%2 == 1:
			nal[0], flags = 0x01, media.Droppable
		}
		for i := 13; i < len(nal); i++ {
			nal[i] = byte(i*7+n) | 1 // no start codes
		}
		binary.BigEndian.PutUint64(nal[1:], uint64(time.Now().UnixNano()))
		binary.BigEndian.PutUint32(nal[9:], uint32(n))
		_ = p.WriteFrame(&media.Frame{Codec: media.H264, Flags: flags, DTS: dts, PTS: dts, Config: videoConfig, Payload: media.AppendNAL(nil, nal)})
		_ = p.WriteFrame(&media.Frame{Track: 1, Codec: media.AAC, Flags: media.Key, DTS: dts, PTS: dts, Config: audioConfig, Payload: make([]byte, 300)})
	}
}

// arrival is a picture at a destination.
type arrival struct {
	n   int
	at  time.Time
	age time.Duration
	key bool
}

// watchPictures notes what arrives at a destination until ctx ends.
func watchPictures(ctx context.Context, t *testing.T, c *cdn, name string) func() []arrival {
	sub, err := c.hub.Subscribe(name, hub.SubscriberInfo{Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []arrival
	go func() {
		defer sub.Close()
		for {
			f, err := sub.Read(ctx)
			if err != nil {
				return
			}
			if f.Codec != media.H264 || f.Flags.Has(media.Held) {
				continue
			}
			now := time.Now()
			a := arrival{int(binary.BigEndian.Uint32(f.Payload[13:])), now, now.Sub(time.Unix(0, int64(binary.BigEndian.Uint64(f.Payload[5:])))), f.IsKeyVideo()}
			mu.Lock()
			got = append(got, a)
			mu.Unlock()
		}
	}()
	return func() []arrival {
		mu.Lock()
		defer mu.Unlock()
		return append([]arrival(nil), got...)
	}
}

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A destination that stops reading, and accepts connections that it does not answer, for a while. Longer ones: -stall 30s.
func TestStalledDestination(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	g := newGate()
	good, bad := newCDN(t, "127.0.0.1:0", rtmpserver.Config{}, nil), newCDN(t, "127.0.0.1:0", rtmpserver.Config{}, g.wrap)
	h := hub.New(hub.Config{})
	defer h.Close()
	p, err := h.Publish("live/a", hub.PublisherInfo{})
	if err != nil {
		t.Fatal(err)
	}
	stalled, _ := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + bad.addr + "/live/a")})
	_, _ = push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + good.addr + "/live/a")})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	atGood, atBad := watchPictures(ctx, t, good, "live/a"), watchPictures(ctx, t, bad, "live/a")
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { studio(ctx, p) })
	waitFor(t, "both", func() bool { return len(atGood()) > 10 && len(atBad()) > 10 })
	before, shut := heap(), time.Now()
	g.shut()
	time.Sleep(*stallFor)
	growth := int64(heap()) - int64(before)
	reopen := time.Now()
	g.reopen()
	waitFor(t, "pictures after a gap", func() bool {
		got := atBad()
		for i := 1; i < len(got); i++ {
			if got[i].at.After(reopen) && got[i].n != got[i-1].n+1 && got[i].key {
				return true
			}
		}
		return false
	})
	time.Sleep(500 * time.Millisecond)
	within := 10 * time.Second // a loaded machine; with -stall it is the promise
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "stall" {
			within = time.Second
		}
	})

	var gap, source time.Duration // of what arrived, of what was written
	healthy := atGood()
	for i := 1; i < len(healthy); i++ {
		if healthy[i].at.After(shut) {
			gap = max(gap, healthy[i].at.Sub(healthy[i-1].at))
			source = max(source, healthy[i].at.Add(-healthy[i].age).Sub(healthy[i-1].at.Add(-healthy[i-1].age)))
			if healthy[i].n != healthy[i-1].n+1 {
				t.Errorf("the healthy one lost pictures %d to %d", healthy[i-1].n+1, healthy[i].n-1)
			}
		}
	}
	// What the kernels held comes first, then the first key frame after a gap.
	var oldest time.Duration
	stale, back := 0, arrival{}
	got := atBad()
	for i := 1; i < len(got); i++ {
		a := got[i]
		switch {
		case !a.at.After(reopen):
		case back.n == 0 && a.n != got[i-1].n+1 && a.key:
			back = a
		case back.n == 0:
			oldest = max(oldest, a.age)
			stale++
		case a.age > within:
			t.Errorf("picture %d is %v old after it is back", a.n, a.age)
		}
	}
	st := stalled.Stats()
	t.Logf("stalled %v: healthy longest gap %.1f ms (source %.1f ms); stalled one: %d pictures up to %.2f s old out of the kernels, then a key frame after %.2f s, %.2f s old; heap %+.1f MB; %d publishes, dropped %d (%d thinned), gaps %d",
		*stallFor, 1000*gap.Seconds(), 1000*source.Seconds(), stale, oldest.Seconds(), back.at.Sub(reopen).Seconds(), back.age.Seconds(), float64(growth)/1e6, st.Publishes, st.Dropped, st.Thinned, st.Gaps)
	if back.n == 0 || back.at.Sub(reopen) > 1100*time.Millisecond+within || back.age > within {
		t.Errorf("back with %+v, %v after it reads again", back, back.at.Sub(reopen))
	}
	if growth > 10_000_000 {
		t.Errorf("%d bytes of memory more", growth)
	}
}
