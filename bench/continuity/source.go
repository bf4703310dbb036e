package continuity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmpout"
)

// marker opens a stamp, which is ASCII so that nothing in it needs an emulation prevention byte.
const marker = "fairlead-continuity"

// stamp says what a picture is.
type stamp struct {
	at  time.Time
	n   uint32
	dts time.Duration
}

// stamped returns a picture's payload behind a SEI message (ITU-T H.264 D.1.7, user data unregistered) with its stamp, padded to size bytes.
func stamped(payload []byte, s stamp, size int) []byte {
	text := marker + fmt.Sprintf("%016x%08x%016x", uint64(s.at.UnixNano()), s.n, uint64(s.dts))
	body := append([]byte(text), bytes.Repeat([]byte{'.'}, max(0, size-len(payload)-len(text)))...)
	nal := []byte{6, 5}
	n := len(body)
	for ; n >= 255; n -= 255 {
		nal = append(nal, 255)
	}
	nal = append(append(append(nal, byte(n)), body...), 0x80)
	return append(media.AppendNAL(nil, nal), payload...)
}

// stampOf finds the stamp of a picture.
func stampOf(payload []byte) (s stamp, ok bool) {
	i := bytes.Index(payload, []byte(marker))
	if i < 0 {
		return s, false
	}
	var at, dts uint64
	if _, err := fmt.Sscanf(string(payload[i+len(marker):min(len(payload), i+len(marker)+40)]), "%016x%08x%016x", &at, &s.n, &dts); err != nil {
		return s, false
	}
	s.at, s.dts = time.Unix(0, int64(at)), time.Duration(dts)
	return s, true
}

// source publishes the clip over RTMP, in real time, until it is killed.
type source struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex // guards what follows
	conn net.Conn
	dead bool
}

var errDead = errors.New("continuity: killed")

// newSource begins to publish live/cam; from is the encoder's clock at the start.
func newSource(ctx context.Context, addr string, bitrate int, from time.Duration) (*source, error) {
	return newSourceOf(ctx, addr, "live/cam", bitrate, from)
}

func newSourceOf(ctx context.Context, addr, name string, bitrate int, from time.Duration) (*source, error) {
	c, err := clip.New()
	if err != nil {
		return nil, err
	}
	s := &source{}
	ctx, s.cancel = context.WithCancel(ctx)
	h := hub.New(hub.Config{})
	o, err := rtmpout.New(rtmpout.Config{Hub: h, Stream: name, URL: rtmpout.Fixed("rtmp://" + addr + "/" + name),
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := (&net.Dialer{}).DialContext(ctx, network, address)
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.dead && err == nil {
				_ = nc.Close()
				return nil, errDead
			}
			s.conn = nc
			return nc, err
		}})
	if err != nil {
		return nil, err
	}
	p, err := h.Publish(name, hub.PublisherInfo{})
	if err != nil {
		return nil, err
	}
	s.wg.Go(func() { _ = o.Run(ctx) })
	s.wg.Go(func() {
		defer h.Close()
		begin := time.Now()
		var n uint32
		for {
			f := c.Next()
			select {
			case <-time.After(time.Until(begin.Add(f.DTS))):
			case <-ctx.Done():
				return
			}
			g := *f
			g.DTS, g.PTS = g.DTS+from, g.PTS+from
			if g.Codec.IsVideo() {
				g.Payload = stamped(g.Payload, stamp{time.Now(), n, g.DTS}, bitrate/8/clip.FrameRate)
				n++
			}
			_ = p.WriteFrame(&g)
		}
	})
	return s, nil
}

// kill ends it as a process ends that is killed: its kernel closes the connection, nobody says goodbye.
func (s *source) kill() {
	s.mu.Lock()
	s.dead = true
	if s.conn != nil {
		_ = s.conn.Close()
	}
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
}
