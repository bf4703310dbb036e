package relay

import (
	"bytes"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/ingest"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
	"github.com/fairlead-live/fairlead/transport/srt"
)

// What a whole show goes through, in virtual time: an encoder whose clock is wrong, MPEG-TS, SRT from caller to listener, the demuxer, the hub,
// RTMP from one end of a connection to the other. At the far end every frame is there once, in order, and as far from the first one as in
// the encoder, to the millisecond; so sound and picture are never more than 1 ms apart from where they were.
//
// It crosses the 33 bits of MPEG-TS, the 24, 31 and 32 bits of RTMP, and each 71.6 minutes the 32 bits of SRT.
func TestAShowInVirtualTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		lasts time.Duration
		ppm   float64
		from  time.Duration // the encoder's first time
		lead  time.Duration // RTMP's
		long  bool
	}{
		{"over 33 and 24 bits", 6 * time.Minute, 0, media.FromTicks(1<<33) - 4*time.Minute, 0xffffff*time.Millisecond - 2*time.Minute, false},
		{"over 31 bits", 75 * time.Minute, 100, time.Second, (1<<31)*time.Millisecond - 20*time.Minute, true},
		{"over 32 bits", 75 * time.Minute, -100, time.Second, (1<<32)*time.Millisecond - 20*time.Minute, true},
		{"eight hours, clock too fast by 200 ppm", 8 * time.Hour, 200, media.FromTicks(1<<33) - 4*time.Hour, 200 * time.Millisecond, true},
		{"eight hours, clock too slow by 200 ppm", 8 * time.Hour, -200, time.Second, 200 * time.Millisecond, true},
	} {
		if c.long && testing.Short() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newVirtualShow(t, c.ppm, c.from, c.lead)
			for s.wall < c.lasts {
				s.step(t)
			}
			for end := s.wall + time.Second; s.wall < end; { // what is under way
				s.tick(t, 10*time.Millisecond)
			}
			s.judge(t)
		})
	}
}

// The show's pictures and sound: little of each, so that hours take seconds.
const (
	showPicture = 1001 * time.Second / 10_000 // 9,009 ticks
	showSound   = 64 * time.Millisecond       // AAC at 16 kHz: 5,760 ticks
)

var showZero = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// virtualShow is the chain; wall is the clock of the relay.
type virtualShow struct {
	ppm      float64
	from     time.Duration
	wall     time.Duration
	v, a     *media.Config
	n        [2]int // pictures and units sent
	mux      *mpegts.Muxer
	caller   *srt.Caller
	listener *srt.Listener
	conn     *srt.Conn
	in       *ingest.TS
	clock    atomic.Int64
	hub      *hub.Hub
	pub      *hub.Publisher
	sub      *hub.Subscriber
	client   *rtmp.Client
	server   *rtmp.Server
	writer   *rtmp.FrameWriter
	unwrap   rtmp.Unwrapper
	parser   flv.Parser
	lead     time.Duration
	got      [2]int // frames at the far end
	first    [2]int // number of the first of each kind
	at       [2]time.Duration
	worst    time.Duration
	ts, wire []byte
	back     [][]byte // on the way to the caller
	backAt   time.Duration
	list     [][]byte
}

func newVirtualShow(t *testing.T, ppm float64, from, lead time.Duration) *virtualShow {
	t.Helper()
	fail := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &virtualShow{ppm: ppm, from: from, lead: lead, in: ingest.NewTS(mpegts.Config{})}
	var err error
	s.v, err = media.NewH264Config(
		[][]byte{{0x67, 0x64, 0x00, 0x0c, 0xac, 0x3b, 0x50, 0xb0, 0x4b, 0x42, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x3d, 0x08}},
		[][]byte{{0x68, 0xee, 0x3c, 0x80}})
	fail(err)
	s.a, err = media.NewAACConfig([]byte{0x14, 0x08})
	fail(err)
	s.mux, err = mpegts.NewMuxer([]mpegts.Track{{Index: 0, Codec: media.H264, Config: s.v}, {Index: 1, Codec: media.AAC, Config: s.a}})
	fail(err)
	s.caller, err = srt.NewCaller(srt.CallerConfig{Secret: [32]byte{1}, StreamID: "publish:live/a"})
	fail(err)
	s.listener = srt.NewListener(srt.Config{Secret: [32]byte{2}, Latency: 120 * time.Millisecond})
	s.hub = hub.New(hub.Config{Now: func() time.Time { return showZero.Add(time.Duration(s.clock.Load())) }})
	t.Cleanup(func() { _ = s.hub.Close() })
	s.sub, err = s.hub.Subscribe("live/a", hub.SubscriberInfo{Wait: true})
	fail(err)
	s.pub, err = s.hub.Publish("live/a", hub.PublisherInfo{})
	fail(err)
	target, err := rtmp.ParseURL("rtmp://h/live/a")
	fail(err)
	random := bytes.Repeat([]byte{7}, rtmp.RandomSize)
	s.client = rtmp.NewClient(rtmp.ClientConfig{Target: target, Random: random})
	s.server = rtmp.NewServer(rtmp.ServerConfig{Random: random})
	for !s.client.Ready() {
		up := bytes.Clone(s.client.Output())
		s.serve(t, up)
		for down := bytes.Clone(s.server.Output()); len(down) > 0; {
			_, n, err := s.client.Feed(down)
			fail(err)
			down = down[n:]
		}
	}
	for s.conn == nil || !s.caller.Connected() {
		s.tick(t, 10*time.Millisecond)
	}
	return s
}

// serve feeds the server, which accepts what is asked and hands on media.
func (s *virtualShow) serve(t *testing.T, b []byte) {
	for {
		ev, n, err := s.server.Feed(b)
		if err != nil {
			t.Fatal(err)
		}
		b = b[n:]
		switch ev.Kind {
		case rtmp.EventNone:
			return
		case rtmp.EventPublish:
			s.server.Accept()
		case rtmp.EventMedia:
			for m := range ev.Message.Parts() {
				if m.Type == rtmp.TypeDataAMF0 { // at time 0, whatever the time
					continue
				}
				if f := s.parser.Parse(flv.TagType(m.Type), s.unwrap.Unwrap(m.Timestamp), m.Payload); f != nil {
					s.arrived(t, f)
				}
			}
		}
	}
}

// encoderNow is the encoder's clock.
func (s *virtualShow) encoderNow() time.Time {
	return showZero.Add(time.Duration(float64(s.wall) * (1 + s.ppm/1e6)))
}

// step sends the next frame of the encoder when its clock says so.
func (s *virtualShow) step(t *testing.T) {
	kind := 0
	if next := [2]time.Duration{time.Duration(s.n[0]) * showPicture, time.Duration(s.n[1]) * showSound}; next[1] < next[0] {
		kind = 1
	}
	at := time.Duration(s.n[kind]) * [2]time.Duration{showPicture, showSound}[kind]
	if due := time.Duration(float64(at) / (1 + s.ppm/1e6)); due > s.wall {
		s.tick(t, due-s.wall)
	}
	n := s.n[kind]
	s.n[kind]++
	number := []byte{0x80 | byte(n>>21), 0x80 | byte(n>>14), 0x80 | byte(n>>7), 0x80 | byte(n)}
	f := &media.Frame{Codec: media.H264, DTS: s.from + at, PTS: s.from + at, Config: s.v}
	switch {
	case kind == 1:
		f.Track, f.Codec, f.Flags, f.Config, f.Payload = 1, media.AAC, media.Key, s.a, number
	case n%20 == 0:
		f.Flags, f.Payload = media.Key, media.AppendNAL(nil, append([]byte{0x65, 0x88}, number...))
	default:
		f.Payload = media.AppendNAL(nil, append([]byte{0x41, 0x88}, number...))
	}
	s.ts = s.mux.AppendFrame(s.ts[:0], f)
	for b := s.ts; len(b) > 0; b = b[min(len(b), 1316):] {
		if !s.caller.Push(s.encoderNow(), b[:min(len(b), 1316)]) {
			t.Fatal("the caller takes no more")
		}
	}
	s.tick(t, 0)
}

// tick lets so much time pass, and everything take its course.
func (s *virtualShow) tick(t *testing.T, d time.Duration) {
	s.wall += d
	s.clock.Store(int64(s.wall))
	now, encoder := showZero.Add(s.wall), s.encoderNow()
	from := netip.MustParseAddrPort("192.0.2.1:5000")
	if s.wall > s.backAt { // without a round trip there is nothing to see a clock's drift by
		s.backAt = s.wall
		for _, b := range s.back {
			s.caller.HandleDatagram(encoder, b)
		}
		s.back = s.back[:0]
	}
	for busy := true; busy; {
		busy = false
		for b, ok := s.caller.AppendDatagram(s.wire[:0], encoder); ok; b, ok = s.caller.AppendDatagram(s.wire[:0], encoder) {
			busy, s.wire = true, b
			s.listener.HandleDatagram(now, from, b)
		}
		if r, ok := s.listener.NextRequest(); ok {
			s.conn = s.listener.Accept(now, r)
		}
		for b, _, ok := s.listener.AppendDatagram(s.wire[:0], now); ok; b, _, ok = s.listener.AppendDatagram(s.wire[:0], now) {
			s.back = append(s.back, bytes.Clone(b))
		}
		for c := s.listener.Next(now); c != nil; c = s.listener.Next(now) {
			for p, ok := c.PopPayload(now); ok; p, ok = c.PopPayload(now) {
				s.in.Write(now, p)
			}
			for b, ok := c.AppendDatagram(s.wire[:0], now); ok; b, ok = c.AppendDatagram(s.wire[:0], now) {
				s.back = append(s.back, bytes.Clone(b))
			}
		}
	}
	if err := drain(s.in, s.pub); err != nil {
		t.Fatal(err)
	}
	for s.sub.Stats().Queued > 0 {
		f, err := s.sub.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f.Flags.Has(media.Discontinuity) || f.Flags.Has(media.Held) {
			t.Fatalf("%v into the show a frame has flags %b", s.wall, f.Flags)
		}
		if s.writer == nil {
			s.writer = rtmp.NewFrameWriter(s.client.Media(), f.DTS-s.lead, true)
		}
		s.list = s.writer.AppendFrame(s.list[:0], f, s.sub.Tracks())
		s.wire = s.wire[:0]
		for _, b := range s.list {
			s.wire = append(s.wire, b...)
		}
		s.writer.Flushed()
		s.serve(t, s.wire)
	}
}

// arrived compares a frame at the far end with what the encoder made.
func (s *virtualShow) arrived(t *testing.T, f *media.Frame) {
	kind, p := 0, f.Payload
	if f.Codec.IsAudio() {
		kind = 1
	}
	p = p[len(p)-4:]
	n := int(p[0]&0x7f)<<21 | int(p[1]&0x7f)<<14 | int(p[2]&0x7f)<<7 | int(p[3]&0x7f)
	if s.got[kind] == 0 {
		s.first[kind] = n
	}
	if want := s.first[kind] + s.got[kind]; n != want {
		t.Fatalf("%v into the show frame %d of kind %d comes, want %d", s.wall, n, kind, want)
	}
	s.got[kind]++
	if s.got[kind] > 1 && f.DTS < s.at[kind] {
		t.Fatalf("%v into the show time goes back from %v to %v", s.wall, s.at[kind], f.DTS)
	}
	s.at[kind] = f.DTS
	made := time.Duration(n) * [2]time.Duration{showPicture, showSound}[kind]
	// Both kinds against one zero: the first picture's.
	s.worst = max(s.worst, (f.DTS - s.lead - made + time.Duration(s.first[0])*showPicture).Abs())
}

func (s *virtualShow) judge(t *testing.T) {
	st := s.hub.Streams()[0]
	t.Logf("%v of %v, %d pictures, %d units of sound, error at most %v; SRT drift %v", s.wall.Round(time.Second), s.ppm, s.got[0], s.got[1], s.worst, s.conn.Stats().Drift)
	if s.worst > time.Millisecond || st.Jumps != 0 || st.Clamped != 0 {
		t.Errorf("a frame was off by %v, %d jumps, %d clamped", s.worst, st.Jumps, st.Clamped)
	}
	for kind := range s.n {
		if missing := s.n[kind] - s.first[kind] - s.got[kind]; missing > 1 || s.first[kind] > 3 { // the demuxer may wait for what follows the last one
			t.Errorf("kind %d: from number %d on, %d missing", kind, s.first[kind], missing)
		}
	}
}
