package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport/srtlink"
)

// srtOutput calls an SRT listener.
type srtOutput struct {
	addr string
	cfg  srtlink.DialConfig
	warn func(msg string, args ...any)

	mu     sync.Mutex // guards what follows
	conn   *srtlink.Conn
	state  string
	again  int
	frames uint64
	unsent uint64
	before uint64 // payload bytes of the connections before
}

func (p *Push) newSRT(raw string) (output, error) {
	addr, cfg, err := parseSRT(raw)
	if err != nil {
		return nil, err
	}
	cfg.Caller = p.cfg.SRTCaller
	return &srtOutput{addr: addr, cfg: cfg, state: "connecting", warn: p.cfg.Logger.Warn}, nil
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
	s.conn, s.state = conn, "connected"
	s.mu.Unlock()
	if s.cfg.Filter != "" && s.cfg.Caller != srtlink.GoSRT && conn.Stats().Filter == "" {
		s.warn("the listener takes no packet filter: sending without", "to", s.addr, "packetfilter", s.cfg.Filter)
	}
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
	var cut cut
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
			if mux, err = mpegts.NewMuxer(mpegts.TracksOfConfigs(sub.Tracks())); err != nil {
				return err
			}
		}
		st := s.link().Stats()
		if !cut.admit(f, st.Backlog, st.Latency) {
			s.count(0, 1)
			continue
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

// cut leaves out pictures up to the next key frame when what waits to be sent would be late: the rest of the stream then is in
// time, and nothing that is sent refers to what is not.
type cut struct{ on bool }

func (c *cut) admit(f *media.Frame, backlog, latency time.Duration) bool {
	if !f.Codec.IsVideo() {
		return true
	}
	switch {
	case backlog > latency/2 && latency > 0:
		c.on = true
	case f.Flags.Has(media.Key):
		c.on = backlog > latency/4
	}
	return !c.on
}

// srtPayload is 7 transport packets: libsrt's live payload size.
const srtPayload = 7 * mpegts.PacketSize

func (s *srtOutput) link() *srtlink.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn
}

func (s *srtOutput) count(sent, unsent uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames += sent
	s.unsent += unsent
}

func (s *srtOutput) write(b []byte) error {
	s.count(1, 0)
	conn := s.link()
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
	end := time.After(cmp.Or(s.link().Stats().Latency, srtlink.DefaultLatency) + 200*time.Millisecond)
	for quiet := 0; quiet < 2 || s.cfg.Caller == srtlink.GoSRT; {
		select {
		case <-time.After(110 * time.Millisecond): // statistics are up to 100 ms old
		case <-end:
			return
		case <-ctx.Done():
			return
		}
		if quiet++; s.link().Stats().Unacked > 0 {
			quiet = 0
		}
	}
}

func (s *srtOutput) reconnect(ctx context.Context, why error) error {
	s.mu.Lock()
	s.state = "reconnecting"
	s.unsent++
	s.before += s.conn.Stats().SentBytes
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
	if conn := s.link(); conn != nil {
		_ = conn.Close()
	}
}

func (s *srtOutput) status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{To: "srt://" + s.addr, State: s.state, FramesSent: s.frames, Unsent: s.unsent, Reconnects: s.again}
	if s.conn != nil {
		c := s.conn.Stats()
		st.SendBytes, st.RTT, st.Target = s.before+c.SentBytes, c.RTT, int64(c.Target)
		st.Queue, st.Reason = c.Queue, congestion.Track.String()
		st.Packets, st.Resent, st.Parity = c.Sent, c.Resent, c.Parity
	}
	return st
}
