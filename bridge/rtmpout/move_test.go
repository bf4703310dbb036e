package rtmpout

import (
	"context"

	"net"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmpserver"
)

// tap reads what a destination gets until the stream there ends.
func tap(t *testing.T, c *cdn, name string) <-chan []*media.Frame {
	t.Helper()
	sub, err := c.hub.Subscribe(name, hub.SubscriberInfo{Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan []*media.Frame, 1)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() {
		defer sub.Close()
		var got []*media.Frame
		for {
			f, err := sub.Read(ctx)
			if err != nil {
				out <- got
				return
			}
			if !f.Flags.Has(media.Held) {
				got = append(got, f)
			}
		}
	}()
	return out
}

// numbers are the pictures of a list of frames, by number.
func numbers(in []*media.Frame) (out []int) {
	for _, f := range ofCodec(in, media.H264) {
		out = append(out, int(f.Payload[5])<<8|int(f.Payload[6]))
	}
	return out
}

// patient leaves nothing out, however slow the machine.
var patient = hub.Lag{Thin: time.Hour, Skip: time.Hour, Fresh: time.Hour}

// steady writes pictures in real time, a GOP of 5 each 50 ms, until stop is called, which returns how many.
func steady(t *testing.T, p *hub.Publisher) (stop func() int) {
	quit, done := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				done <- n
				return
			case <-tick.C:
			}
			for _, f := range picture(n, 4000) { // 3 Mbit/s
				if f.Codec.IsVideo() && n%5 == 0 {
					f.Payload[4], f.Flags = 0x65, media.Key
				} else if f.Codec.IsVideo() {
					f.Payload[4], f.Flags = 0x41, 0
				}
				f.DTS, f.PTS = f.DTS/4, f.PTS/4
				_ = p.WriteFrame(f)
			}
			n++
		}
	}()
	stopped := false
	stop = func() int {
		if stopped {
			return 0
		}
		stopped = true
		close(quit)
		return <-done
	}
	t.Cleanup(func() { stop() })
	return stop
}

// Whatever asks for the move: both tiers together get every picture once, the new one from a key frame on, and the old one is told goodbye.
func TestMovesBetweenTwoFrames(t *testing.T) {
	for _, c := range []struct {
		why  string
		move func(t *testing.T, o *Output, a, b *cdn)
	}{
		{"new configuration", func(t *testing.T, o *Output, _, b *cdn) {
			if err := o.Move(Fixed("rtmp://" + b.addr + "/live/a")); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.why, func(t *testing.T) {
			a, b := newCDN(t, "127.0.0.1:0", rtmpserver.Config{}, nil), newCDN(t, "127.0.0.1:0", rtmpserver.Config{}, nil)
			h := hub.New(hub.Config{})
			defer h.Close()
			o, stop := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + a.addr + "/live/a"), Lag: patient})
			atA, atB := tap(t, a, "live/a"), tap(t, b, "live/a")
			p, err := h.Publish("live/a", hub.PublisherInfo{})
			if err != nil {
				t.Fatal(err)
			}
			end := steady(t, p)
			waitFor(t, "live at the first", func() bool { return frameCount(a.hub) > 50 })
			c.move(t, o, a, b)
			waitFor(t, "live at the second", func() bool { return frameCount(b.hub) > 50 })
			waitFor(t, "the end at the first", func() bool { return a.server.Stats().Publishers == 0 })
			end()
			waitFor(t, "all sent", func() bool { return o.Stats().Queued == 0 })
			stop()
			a.stop()
			b.stop()
			at, bt := <-atA, <-atB
			first, second := numbers(at), numbers(bt)
			if len(second) == 0 || !ofCodec(bt, media.H264)[0].IsKeyVideo() {
				t.Fatalf("the second begins with %v", second)
			}
			for i, n := range append(first, second...) {
				if n != first[0]+i {
					t.Fatalf("picture %d at place %d of %d + %d", n, i, len(first), len(second))
				}
			}
			if n := len(ofCodec(at, media.AAC)) + len(ofCodec(bt, media.AAC)); n != len(first)+len(second) {
				t.Errorf("%d of %d sounds", n, len(first)+len(second))
			}
			if st := o.Stats(); st.Publishes != 2 || st.Dropped != 0 || st.EndedBy(CauseMoved) != 1 {
				t.Errorf("stats = %+v", st)
			}
		})
	}
}

// A server that asks to reconnect while it stops, and comes back at the same address: the old session publishes to the end, the new one
// begins as soon as someone listens.
func TestBackAsSoonAsSomeoneListens(t *testing.T) {
	dst := newCDN(t, "127.0.0.1:0", rtmpserver.Config{}, nil)
	h := hub.New(hub.Config{})
	defer h.Close()
	o, _ := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + dst.addr + "/live/a"), Backoff: Backoff{ResetAfter: 50 * time.Millisecond}})
	p, err := h.Publish("live/a", hub.PublisherInfo{})
	if err != nil {
		t.Fatal(err)
	}
	steady(t, p)
	for i := range 3 {
		waitFor(t, "live", func() bool { return frameCount(dst.hub) > 10 })
		dst.stop()
		time.Sleep(time.Duration(50+170*i) * time.Millisecond)
		dst = newCDN(t, dst.addr, rtmpserver.Config{}, nil)
	}
	waitFor(t, "live again", func() bool { return frameCount(dst.hub) > 10 })
	if st := o.Stats(); st.Publishes < 4 || st.EndedBy(CauseRefused) == 0 || st.State != Publishing {
		t.Errorf("stats = %+v", st)
	}
}

func TestBackupTakesOver(t *testing.T) {
	for _, c := range []struct {
		why  string
		hole bool // the primary goes silent, rather than away
	}{{"the primary is gone", false}, {"the primary goes silent", true}} {
		t.Run(c.why, func(t *testing.T) {
			hole := newHole(t)
			a, b := newCDN(t, "127.0.0.1:0", rtmpserver.Config{}, hole.wrap), newCDN(t, "127.0.0.1:0", rtmpserver.Config{}, nil)
			h := hub.New(hub.Config{})
			defer h.Close()
			o, _ := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + a.addr + "/live/a"), Backup: []URL{Fixed("rtmp://" + b.addr + "/live/a")},
				Return: 300 * time.Millisecond})
			p, err := h.Publish("live/a", hub.PublisherInfo{})
			if err != nil {
				t.Fatal(err)
			}
			steady(t, p)
			waitFor(t, "live at the primary", func() bool { return frameCount(a.hub) > 10 })
			if c.hole {
				hole.shut()
			} else {
				a.stop()
			}
			died := time.Now()
			waitFor(t, "live at the backup", func() bool { return frameCount(b.hub) > 0 })
			t.Logf("backup has media after %v", time.Since(died).Round(time.Millisecond))
			if st := o.Stats(); st.Place != 1 || st.State != Publishing {
				t.Errorf("stats = %+v", st)
			}
			if c.hole {
				return
			}
			time.Sleep(400 * time.Millisecond) // at least one try to return fails, and costs nothing
			if st := o.Stats(); st.Place != 1 || st.State != Publishing || st.Publishes > 3 {
				t.Errorf("stats = %+v", st)
			}
			a = newCDN(t, a.addr, rtmpserver.Config{}, nil)
			waitFor(t, "back at the primary", func() bool { return frameCount(a.hub) > 10 })
			waitFor(t, "the end at the backup", func() bool { st := o.Stats(); return st.Place == 0 && st.EndedBy(CauseMoved) == 1 })
		})
	}
}

// hole is a listener's wrapper whose connections can cease to be read.
type hole struct{ closed chan struct{} }

func newHole(t *testing.T) *hole { return &hole{make(chan struct{})} }

func (h *hole) shut() { close(h.closed) }

func (h *hole) wrap(l net.Listener) net.Listener { return &holeListener{l, h} }

type holeListener struct {
	net.Listener
	h *hole
}

func (l *holeListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
	return &holeConn{Conn: c, h: l.h, gone: make(chan struct{})}, nil
}

type holeConn struct {
	net.Conn
	h    *hole
	gone chan struct{}
}

func (c *holeConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b[:min(len(b), 1024)])
	select {
	case <-c.h.closed:
		<-c.gone
		return 0, net.ErrClosed
	default:
	}
	return n, err
}

func (c *holeConn) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && time.Until(t) < 0 {
		c.leave()
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *holeConn) leave() {
	select {
	case <-c.gone:
	default:
		close(c.gone)
	}
}

func (c *holeConn) Close() error {
	c.leave()
	return c.Conn.Close()
}

// Another codec on the same track is another publish, at once.
func TestAnotherCodecIsAnotherPublish(t *testing.T) {
	dst := newCDN(t, "127.0.0.1:0", rtmpserver.Config{}, nil)
	h := hub.New(hub.Config{})
	defer h.Close()
	o, _ := push(t, Config{Hub: h, Stream: "live/a", URL: Fixed("rtmp://" + dst.addr + "/live/a")})
	p, err := h.Publish("live/a", hub.PublisherInfo{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		write(t, p, i, 100)
	}
	waitFor(t, "live", func() bool { return frameCount(dst.hub) > 10 })
	p.Close(nil)
	if p, err = h.Publish("live/a", hub.PublisherInfo{}); err != nil {
		t.Fatal(err)
	}
	got := tap(t, dst, "live/a")
	mp3 := &media.Config{Codec: media.MP3, SampleRate: 44100, Channels: 2}
	for i := range 10 {
		for _, f := range picture(i, 100) {
			if f.Codec.IsAudio() {
				f.Codec, f.Config, f.Payload = media.MP3, mp3, append([]byte{0xff, 0xfb, 0x90, 0x00}, make([]byte, 40)...)
			}
			if err := p.WriteFrame(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	waitFor(t, "published again", func() bool { return o.Stats().Publishes == 2 && frameCount(dst.hub) >= 38 })
	dst.stop()
	if n := len(ofCodec(<-got, media.MP3)); n != 10 {
		t.Errorf("%d sounds of the new codec, want 10", n)
	}
	if st := o.Stats(); st.EndedBy(CauseCodec) != 1 {
		t.Errorf("stats = %+v", st)
	}
}
