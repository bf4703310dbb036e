package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
	"github.com/fairlead-live/fairlead/bridge/rtmpout"
	"github.com/fairlead-live/fairlead/transport/srtlink"
)

func (p *Push) newOutput(raw string) (output, error) {
	scheme, _, _ := strings.Cut(raw, "://")
	switch scheme {
	case "fairlead":
		return p.newUplink(raw)
	case "srt":
		return p.newSRT(raw)
	case "rtmp", "rtmps":
		o, err := rtmpout.New(rtmpout.Config{Hub: p.hub, Stream: p.name, URL: rtmpout.Fixed(raw), Logger: p.cfg.Logger})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", config.ErrUsage, err)
		}
		return &rtmpOutput{o: o}, nil
	}
	return nil, fmt.Errorf("%w: %q is not a fairlead://, srt://, rtmp:// or rtmps:// URL", config.ErrUsage, raw)
}

// rtmpOutput is rtmpout's own; it dials when there are frames, and again and again.
type rtmpOutput struct{ o *rtmpout.Output }

func (r *rtmpOutput) open(context.Context) error { return nil }
func (r *rtmpOutput) close()                     {}

func (r *rtmpOutput) run(ctx context.Context, h *hub.Hub, name string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The stream's end is seen by a subscriber of our own; what the output has queued gets a moment.
	sub, err := h.Subscribe(name, hub.SubscriberInfo{Protocol: "push", Wait: true})
	if err != nil {
		return err
	}
	defer sub.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for {
			if _, err := sub.Read(ctx); err != nil {
				break
			}
		}
		for range 20 {
			if st := r.o.Stats(); st.Queued == 0 && st.Backlog == 0 {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		cancel()
	})
	return r.o.Run(ctx)
}

func (r *rtmpOutput) status() Status {
	st := r.o.Stats()
	return Status{To: st.Destination, State: st.State.String(), FramesSent: st.Frames, Unsent: st.Dropped, SendBytes: st.Bytes, Reconnects: int(max(1, st.Publishes) - 1)}
}

// srtOutput calls an SRT listener.
type srtOutput struct {
	addr string
	cfg  srtlink.DialConfig

	mu     sync.Mutex // guards what follows
	conn   *srtlink.Conn
	state  string
	again  int
	frames uint64
	unsent uint64
}

func (p *Push) newSRT(raw string) (output, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Port() == "" {
		return nil, fmt.Errorf("%w: %q is not srt://HOST:PORT?streamid=…", config.ErrUsage, raw)
	}
	q := u.Query()
	s := &srtOutput{addr: u.Host, state: "connecting", cfg: srtlink.DialConfig{StreamID: q.Get("streamid"), Passphrase: q.Get("passphrase")}}
	for word := range q {
		if word != "streamid" && word != "passphrase" && word != "latency" {
			return nil, fmt.Errorf("%w: %q is not one of streamid, passphrase, latency", config.ErrUsage, word)
		}
	}
	if v := q.Get("latency"); v != "" {
		if s.cfg.Latency, err = time.ParseDuration(v); err != nil {
			return nil, fmt.Errorf("%w: latency %q has no unit; write 300ms (ffmpeg means µs, libsrt's tools ms)", config.ErrUsage, v)
		}
	}
	return s, nil
}

func (s *srtOutput) open(context.Context) error {
	conn, err := srtlink.Dial(s.addr, s.cfg)
	if _, refused := errors.AsType[*srtlink.Rejection](err); refused {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn, s.state = conn, "connected"
	return nil
}

func (s *srtOutput) run(ctx context.Context, h *hub.Hub, name string) error {
	sub, err := h.Subscribe(name, hub.SubscriberInfo{Protocol: "push", Peer: s.addr, Wait: true})
	if err != nil {
		return err
	}
	defer sub.Close()
	var mux *mpegts.Muxer
	var out []byte
	for {
		f, err := sub.Read(ctx)
		if errors.Is(err, io.EOF) {
			s.flush(ctx)
			return nil
		}
		if err != nil {
			return err
		}
		if mux == nil {
			if mux, err = mpegts.NewMuxer(tracks(sub.Tracks())); err != nil {
				return err
			}
		}
		out = mux.AppendFrame(out[:0], f)
		if err := s.write(out); err != nil {
			if err := s.reconnect(ctx, err); err != nil {
				return err
			}
			mux.Restart()
		}
	}
}

// tracks lists configurations as the hub numbers them.
func tracks(configs []*media.Config) []mpegts.Track {
	var out []mpegts.Track
	for i, c := range configs {
		out = append(out, mpegts.Track{Index: uint8(i), Codec: c.Codec, Config: c})
	}
	return out
}

// srtPayload is 7 transport packets: libsrt's live payload size.
const srtPayload = 7 * mpegts.PacketSize

func (s *srtOutput) write(b []byte) error {
	s.mu.Lock()
	conn := s.conn
	s.frames++
	s.mu.Unlock()
	for len(b) > 0 {
		n := min(len(b), srtPayload)
		if _, err := conn.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// flush leaves what has been written the time to be sent again where it is lost.
func (s *srtOutput) flush(ctx context.Context) {
	select {
	case <-time.After(max(s.cfg.Latency, srtlink.DefaultLatency) + 200*time.Millisecond):
	case <-ctx.Done():
	}
}

func (s *srtOutput) reconnect(ctx context.Context, why error) error {
	s.mu.Lock()
	s.state = "reconnecting"
	s.unsent++
	s.mu.Unlock()
	s.close()
	for wait := time.Duration(0); ; wait = min(2*wait+200*time.Millisecond, 2*time.Second) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return why
		}
		err := s.open(ctx)
		if err == nil {
			s.mu.Lock()
			s.again++
			s.mu.Unlock()
			return nil
		}
		if errors.Is(err, ErrRefused) {
			return err
		}
	}
}

func (s *srtOutput) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

func (s *srtOutput) status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{To: "srt://" + s.addr, State: s.state, FramesSent: s.frames, Unsent: s.unsent, Reconnects: s.again}
	if s.conn != nil {
		c := s.conn.Stats()
		st.SendBytes, st.RTT = c.SentBytes, c.RTT
	}
	return st
}
