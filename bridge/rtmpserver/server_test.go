package rtmpserver

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
)

// bench is a hub with a server on loopback.
type bench struct {
	hub    *hub.Hub
	server *Server
	addr   string
}

func start(t *testing.T, cfg Config) *bench {
	t.Helper()
	h := hub.New(hub.Config{})
	cfg.Hub = h
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{hub: h, server: New(cfg), addr: l.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		h.Close()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(need.Patience):
			t.Error("Serve does not end")
		}
		if st := b.server.Stats(); st.Connections != 0 || st.Publishers != 0 || st.Players != 0 {
			t.Errorf("left behind: %+v", st)
		}
	})
	return b
}

// client is our client on a socket, driven by the test.
type client struct {
	*rtmp.Client
	nc    net.Conn
	buf   []byte
	left  []byte
	frame *rtmp.FrameWriter
}

// dial connects and runs until the session is ready; path is app/key.
func dial(t *testing.T, b *bench, path string, play bool) (*client, error) {
	t.Helper()
	nc, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	target, err := rtmp.ParseURL("rtmp://" + b.addr + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{nc: nc, buf: make([]byte, 64<<10)}
	c.Client = rtmp.NewClient(rtmp.ClientConfig{Target: target, Play: play, Random: make([]byte, rtmp.RandomSize)})
	if _, err := c.event(rtmp.EventReady); err != nil {
		return c, err
	}
	c.frame = rtmp.NewFrameWriter(c.Media(), 0, true)
	return c, nil
}

// event reads up to the next event of a kind.
func (c *client) event(kind rtmp.EventKind) (rtmp.Event, error) {
	for {
		ev, n, err := c.Feed(c.left)
		c.left = c.left[n:]
		if out := c.Output(); len(out) > 0 {
			if _, err := c.nc.Write(out); err != nil {
				return rtmp.Event{}, err
			}
		}
		if err != nil || ev.Kind == kind {
			return ev, err
		}
		if ev.Kind != rtmp.EventNone {
			continue
		}
		_ = c.nc.SetReadDeadline(time.Now().Add(need.Patience))
		n, err = c.nc.Read(c.buf)
		if c.left = c.buf[:n]; err != nil {
			return rtmp.Event{}, err
		}
	}
}

func (c *client) write(t *testing.T, frames ...*media.Frame) {
	t.Helper()
	for _, f := range frames {
		b := net.Buffers(c.frame.AppendFrame(nil, f, configs))
		if _, err := b.WriteTo(c.nc); err != nil {
			t.Fatal(err)
		}
		c.frame.Flushed()
	}
}

var (
	videoConfig, _ = media.NewH264Config(
		[][]byte{{0x67, 0x64, 0x00, 0x0c, 0xac, 0x3b, 0x50, 0xb0, 0x4b, 0x42, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x3d, 0x08}},
		[][]byte{{0x68, 0xee, 0x3c, 0x80}})
	audioConfig, _ = media.NewAACConfig([]byte{0x12, 0x10})
	configs        = []*media.Config{videoConfig, audioConfig}
)

// picture n of a stream of 25 a second, a key frame each second, and the audio beside it.
func picture(n int) []*media.Frame {
	dts := time.Duration(n) * 40 * time.Millisecond
	nal := []byte{0x41, byte(n >> 8), byte(n), 1, 2, 3}
	flags := media.Flags(0)
	if n%25 == 0 {
		nal[0], flags = 0x65, media.Key
	}
	return []*media.Frame{
		{Track: 0, Codec: media.H264, Flags: flags, DTS: dts, PTS: dts + 80*time.Millisecond, Config: videoConfig, Payload: media.AppendNAL(nil, slices.Concat(nal, make([]byte, 100*(n%90))))},
		{Track: 1, Codec: media.AAC, Flags: media.Key, DTS: dts, PTS: dts, Config: audioConfig, Payload: []byte{byte(n >> 8), byte(n), 9}},
	}
}

// collect reads n frames of a player through the FLV parser.
func (c *client) collect(t *testing.T, n int) []*media.Frame {
	t.Helper()
	var p flv.Parser
	var out []*media.Frame
	for len(out) < n {
		ev, err := c.event(rtmp.EventMedia)
		if err != nil {
			t.Fatalf("after %d frames: %v", len(out), err)
		}
		for m := range ev.Message.Parts() {
			if m.Type == rtmp.TypeDataAMF0 {
				continue
			}
			if f := p.Parse(flv.TagType(m.Type), time.Duration(m.Timestamp)*time.Millisecond, m.Payload); f != nil {
				out = append(out, f)
			}
		}
	}
	if st := p.Stats(); st.Configs != 2 {
		t.Errorf("%d sequence headers, want one of each track", st.Configs)
	}
	return out
}

func TestPublishAndPlayCarryEveryFrame(t *testing.T) {
	b := start(t, Config{})
	pub, err := dial(t, b, "live/a", false)
	if err != nil {
		t.Fatal(err)
	}
	var sent []*media.Frame
	send := func(from, to int) {
		for i := from; i < to; i++ {
			fs := picture(i)
			sent = append(sent, fs...)
			pub.write(t, fs...)
		}
	}
	send(0, 10)
	waitFor(t, func() bool { return len(b.hub.Streams()) == 1 && b.hub.Streams()[0].Counts.Frames == 20 })
	player, err := dial(t, b, "live/a", true)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return b.server.Stats().Players == 1 })
	send(10, 60)
	got := player.collect(t, len(sent))
	offset := got[0].DTS - sent[0].DTS
	for i, f := range got {
		w := sent[i]
		if f.Codec != w.Codec || string(f.Payload) != string(w.Payload) || f.DTS-offset != w.DTS || f.PTS-f.DTS != w.PTS-w.DTS || f.Flags != w.Flags {
			t.Fatalf("frame %d: %v %v %v %d bytes, want %v %v %v %d bytes", i, f.Codec, f.DTS-offset, f.Flags, len(f.Payload), w.Codec, w.DTS, w.Flags, len(w.Payload))
		}
	}
	// A clean end, and the same connection's key is free at once.
	pub.End()
	_, _ = pub.nc.Write(pub.Output())
	waitFor(t, func() bool { return b.server.Stats().Publishers == 0 })
	again, err := dial(t, b, "live/a", false)
	if err != nil {
		t.Fatal(err)
	}
	again.write(t, picture(0)...)
	again.write(t, picture(1)...)
	for _, f := range player.collectMore(t, 4) {
		if f.DTS <= got[len(got)-1].DTS {
			t.Errorf("the next publisher's frame is at %v, before the last one's %v", f.DTS, got[len(got)-1].DTS)
		}
	}
}

// collectMore is collect for a stream whose headers came already: only times and kinds matter.
func (c *client) collectMore(t *testing.T, n int) (out []*media.Frame) {
	t.Helper()
	for len(out) < n {
		ev, err := c.event(rtmp.EventMedia)
		if err != nil {
			t.Fatal(err)
		}
		if m := ev.Message; m.Type != rtmp.TypeDataAMF0 && m.Payload[1] == 1 {
			out = append(out, &media.Frame{DTS: time.Duration(m.Timestamp) * time.Millisecond})
		}
	}
	return out
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(need.Patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come")
		}
	}
}

func TestRefusalsSayWhy(t *testing.T) {
	b := start(t, Config{Authorize: func(_ context.Context, r Request) (string, error) {
		switch {
		case strings.HasPrefix(r.Key, "secret") && r.Query != "token=x":
			return "", ErrUnauthorized
		case r.App == "closed":
			return "", errors.New("not here")
		}
		return "", nil
	}})
	if _, err := dial(t, b, "live/a", false); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		play bool
		want error
		code string
		why  Refusal
	}{
		{"live/a", false, rtmp.ErrBadName, rtmp.CodePublishBadName, RefusedInUse},
		{"live/secret", false, rtmp.ErrUnauthorized, rtmp.CodePublishDenied, RefusedUnauthorized},
		{"closed/a", false, rtmp.ErrRejected, rtmp.CodePublishRejected, RefusedRejected},
		{"live/b", true, rtmp.ErrNotFound, rtmp.CodePlayNotFound, RefusedNotFound},
		{"live/secret", true, rtmp.ErrUnauthorized, rtmp.CodePlayFailed, RefusedUnauthorized},
	} {
		before := b.server.Stats().Refusals(c.why)
		cl, err := dial(t, b, c.path, c.play)
		st, _ := errors.AsType[*rtmp.StatusError](err)
		if !errors.Is(err, c.want) || st == nil || st.Code != c.code {
			t.Errorf("%s: %v, want %v", c.path, err, c.want)
			continue
		}
		_ = cl.nc.SetReadDeadline(time.Now().Add(need.Patience))
		if _, err := io.Copy(io.Discard, cl.nc); err != nil {
			t.Errorf("%s: not closed after the refusal: %v", c.path, err)
		}
		if got := b.server.Stats().Refusals(c.why); got != before+1 {
			t.Errorf("%s: %v counted %d times", c.path, c.why, got-before)
		}
	}
	if _, err := dial(t, b, "live/secret?token=x", false); err != nil {
		t.Errorf("with the token: %v", err)
	}
}

func TestSlowAndStrangePeersAreCut(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	b := start(t, Config{Handshake: 1500 * time.Millisecond, Setup: 2 * time.Second, FirstMedia: 1500 * time.Millisecond, Idle: 1500 * time.Millisecond})
	var all sync.WaitGroup
	ended := func(nc net.Conn, feed func() error) {
		all.Go(func() {
			defer nc.Close()
			_ = nc.SetReadDeadline(time.Now().Add(need.Patience))
			gone := make(chan error, 1)
			go func() { _, err := io.Copy(io.Discard, nc); gone <- err }()
			for range 1500 {
				select {
				case err := <-gone:
					if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
						t.Errorf("not cut: %v", err)
					}
					return
				case <-time.After(30 * time.Millisecond):
					if feed != nil && feed() != nil {
						feed = nil
					}
				}
			}
			t.Error("not cut")
		})
	}
	raw := func() net.Conn {
		nc, err := net.Dial("tcp", b.addr)
		if err != nil {
			t.Fatal(err)
		}
		return nc
	}
	ended(raw(), nil)
	drip := raw()
	ended(drip, func() error { _, err := drip.Write([]byte{3}); return err })
	http := raw()
	_, _ = http.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	ended(http, nil)
	// Behind the handshake: bytes come, commands do not.
	shaken := raw()
	_, _ = shaken.Write(append(rtmp.AppendC0C1(nil, 0, rtmp.DigestNone, make([]byte, rtmp.RandomSize)), make([]byte, 1536)...))
	ended(shaken, func() error { _, err := shaken.Write([]byte{0}); return err })
	// A publisher that never sends media, and one that stops in the middle of a message and drips.
	if c, err := dial(t, b, "live/mute", false); err != nil {
		t.Error(err)
	} else {
		ended(c.nc, nil)
	}
	if c, err := dial(t, b, "live/drip", false); err != nil {
		t.Error(err)
	} else {
		c.write(t, picture(0)...)
		_, _ = c.nc.Write([]byte{6, 0, 0, 0, 0, 100, 0, 9, 1, 0, 0, 0})
		ended(c.nc, func() error { _, err := c.nc.Write([]byte{1}); return err })
	}
	all.Wait()
	waitFor(t, func() bool { return b.server.Stats().Connections == 0 })
	st := b.server.Stats()
	if st.Refusals(RefusedHandshake) != 3 || st.Refusals(RefusedSilent) != 3 {
		t.Errorf("refusals = %v, want 3 handshake, 3 silent", st.Refused)
	}
}

func TestAPlayerThatReadsNothingDelaysNobody(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	b := start(t, Config{WriteTimeout: 2 * time.Second})
	pub, err := dial(t, b, "live/a", false)
	if err != nil {
		t.Fatal(err)
	}
	pub.write(t, picture(0)...)
	pub.write(t, picture(1)...)
	waitFor(t, func() bool { return b.hub.Publishing("live/a") })
	deaf, err := dial(t, b, "live/a", true) // reads nothing from here on
	if err != nil {
		t.Fatal(err)
	}
	_ = deaf.nc.(*net.TCPConn).SetReadBuffer(32 << 10)
	good, err := dial(t, b, "live/a", true)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return b.server.Stats().Players == 2 })
	const n = 74 // 3 s and under 8 MB, so that the good one's queue is long enough however slow the machine
	go func() {
		for i := 2; i < n; i++ {
			fs := picture(i)
			fs[0].Payload = media.AppendNAL(nil, slices.Concat([]byte{0x41, 1}, make([]byte, 80_000)))
			if i%25 == 0 {
				fs[0].Payload[4] = 0x65
			}
			for _, f := range fs {
				buf := net.Buffers(pub.frame.AppendFrame(nil, f, configs))
				if _, err := buf.WriteTo(pub.nc); err != nil {
					return
				}
				pub.frame.Flushed()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	good.collect(t, 2*n)
	waitFor(t, func() bool { return b.server.Stats().Players == 1 })
}

func TestTooManyConnections(t *testing.T) {
	b := start(t, Config{MaxConns: 2, Handshake: time.Minute, Setup: time.Minute})
	for range 2 {
		nc, err := net.Dial("tcp", b.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close() // and until then nobody collects it as garbage
	}
	waitFor(t, func() bool { return b.server.Stats().Connections == 2 })
	if nc, err := net.Dial("tcp", b.addr); err == nil { // else the reset came first
		_ = nc.SetReadDeadline(time.Now().Add(need.Patience))
		if _, err := nc.Read(make([]byte, 1)); err == nil {
			t.Error("the third connection is served")
		}
	}
	if st := b.server.Stats(); st.Refusals(RefusedTooMany) != 1 {
		t.Errorf("refused %v", st.Refused)
	}
}

func TestPlayersHearTheEnd(t *testing.T) {
	b := start(t, Config{})
	pub, err := dial(t, b, "live/a", false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		pub.write(t, picture(i)...)
	}
	waitFor(t, func() bool { return b.hub.Publishing("live/a") })
	player, err := dial(t, b, "live/a", true)
	if err != nil {
		t.Fatal(err)
	}
	b.hub.Close()
	for err == nil {
		_, err = player.event(rtmp.EventMedia)
	}
	if !errors.Is(err, rtmp.ErrClosed) {
		t.Errorf("got %v, want the server's word that the stream ended", err)
	}
	pub.write(t, picture(3)...)
	if _, err = pub.event(rtmp.EventMedia); !errors.Is(err, rtmp.ErrRejected) {
		t.Errorf("the publisher got %v, want a rejection", err)
	}
}
