package continuity

import (
	"context"
	"crypto/rand"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
)

// arrival is a frame at a tier.
type arrival struct {
	at      time.Time
	session int           // which publish it belongs to, from 1
	dts     time.Duration // as the relay says
	audio   bool
	key     bool
	stamped bool          // by the publisher, so what follows is known
	n       uint32        // number of the picture
	age     time.Duration // since it was written
	source  time.Duration // its DTS at the publisher
}

// tier is a destination: an RTMP server that notes every frame, can stop reading, and can go away.
type tier struct {
	addr   string
	sounds map[string]time.Duration // the clip's audio frames that are like no other: where in the clip
	buffer int                      // the kernel's, of each connection

	mu       sync.Mutex // guards what follows
	ln       net.Listener
	conns    map[net.Conn]bool
	open     chan struct{} // closed: it reads
	sessions int
	live     int
	got      []arrival
	wg       sync.WaitGroup
}

func newTier() (*tier, error) {
	sounds, err := soundsOf()
	if err != nil {
		return nil, err
	}
	t := &tier{addr: "127.0.0.1:0", sounds: sounds, buffer: 64 << 10, conns: map[net.Conn]bool{}, open: make(chan struct{})}
	close(t.open)
	return t, t.listen()
}

func soundsOf() (map[string]time.Duration, error) {
	c, err := clip.New()
	if err != nil {
		return nil, err
	}
	out, count := map[string]time.Duration{}, map[string]int{}
	for range clip.Pictures + clip.AudioFrames {
		if f := c.Next(); f.Codec.IsAudio() {
			out[string(f.Payload)] = f.DTS
			count[string(f.Payload)]++
		}
	}
	maps.DeleteFunc(out, func(k string, _ time.Duration) bool { return count[k] > 1 })
	return out, nil
}

// listen begins, or begins again at the same address.
func (t *tier) listen() error {
	ln, err := net.Listen("tcp", t.addr)
	for i := 0; err != nil && i < 100; i++ {
		time.Sleep(10 * time.Millisecond)
		ln, err = net.Listen("tcp", t.addr)
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.ln, t.addr = ln, ln.Addr().String()
	t.mu.Unlock()
	t.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.(*net.TCPConn).SetReadBuffer(t.buffer)
			t.mu.Lock()
			t.conns[c] = true
			t.mu.Unlock()
			t.wg.Go(func() {
				t.serve(c)
				_ = c.Close()
				t.mu.Lock()
				delete(t.conns, c)
				t.mu.Unlock()
			})
		}
	})
	return nil
}

// kill ends the listener and every connection, and waits.
func (t *tier) kill() {
	t.mu.Lock()
	_ = t.ln.Close()
	for c := range t.conns {
		_ = c.Close()
	}
	t.mu.Unlock()
	t.wg.Wait()
}

// shut stops reading, reopen goes on.
func (t *tier) shut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open = make(chan struct{})
}

func (t *tier) reopen() {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.open:
	default:
		close(t.open)
	}
}

// arrivals returns what came so far, and how many publishes there were.
func (t *tier) arrivals() ([]arrival, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.got), t.sessions
}

// publishing reports whether a session is there.
func (t *tier) publishing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live > 0
}

func (t *tier) serve(c net.Conn) {
	random := make([]byte, rtmp.RandomSize)
	_, _ = rand.Read(random)
	m := rtmp.NewServer(rtmp.ServerConfig{Random: random})
	var parser flv.Parser
	var clock rtmp.Unwrapper
	session := 0
	defer func() {
		if session > 0 {
			t.mu.Lock()
			t.live--
			t.mu.Unlock()
		}
	}()
	buf := make([]byte, 32<<10)
	for {
		t.mu.Lock()
		open := t.open
		t.mu.Unlock()
		<-open
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		now := time.Now()
		for b := buf[:n]; ; {
			ev, n, err := m.Feed(b)
			b = b[n:]
			switch ev.Kind {
			case rtmp.EventPublish:
				t.mu.Lock()
				t.sessions++
				t.live++
				session = t.sessions
				t.mu.Unlock()
				parser, clock = flv.Parser{}, rtmp.Unwrapper{}
				m.Accept()
			case rtmp.EventMedia:
				if msg := ev.Message; msg.Type == rtmp.TypeAudio || msg.Type == rtmp.TypeVideo {
					if f := parser.Parse(flv.TagType(msg.Type), clock.Unwrap(msg.Timestamp), msg.Payload); f != nil {
						t.note(now, session, f)
					}
				}
			}
			if out := m.Output(); len(out) > 0 {
				_, _ = c.Write(out)
			}
			if err != nil || ev.Kind == rtmp.EventStop {
				return
			}
			if ev.Kind == rtmp.EventNone {
				break
			}
		}
	}
}

func (t *tier) note(now time.Time, session int, f *media.Frame) {
	a := arrival{at: now, session: session, dts: f.DTS, audio: f.Codec.IsAudio(), key: f.IsKeyVideo()}
	if at, ok := t.sounds[string(f.Payload)]; ok && a.audio {
		a.stamped, a.source = true, at
	} else if s, ok := stampOf(f.Payload); ok {
		a.stamped, a.n, a.source, a.age = true, s.n, s.dts, now.Sub(s.at)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.got = append(t.got, a)
}

// until waits for a condition.
func until(ctx context.Context, limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); !ok(); {
		if ctx.Err() != nil || time.Now().After(end) {
			return false
		}
		time.Sleep(2 * time.Millisecond)
	}
	return true
}
