package rtmpout

import (
	"context"
	crand "crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
	"github.com/fairlead-live/fairlead/bridge/tcp"
)

const (
	// lead is the time of a publish's first key frame: audio that is muxed later than its picture keeps its place.
	// ffmpeg puts 8 AAC frames in one PES and is 137 ms behind at most (measured).
	lead = 200 * time.Millisecond
	// renewAfter is when a publish is ended at a key frame and begun again with times from 0: SRS keeps 31 bits of
	// milliseconds, 24.8 days.
	renewAfter = 20 * 24 * time.Hour
	// lastWords is how long a destination has to take a clean end.
	lastWords = 500 * time.Millisecond
	readSize  = 32 << 10
)

// session is one connection that is publishing, or about to.
type session struct {
	o      *Output
	nc     net.Conn
	client *rtmp.Client
	buf    []byte
	left   []byte // read, not yet fed
	cut    bool   // a write ended inside a message: nothing more can be said
}

// connect dials and goes on until the server lets us publish. redirect: where the last server sent us, or empty.
func (o *Output) connect(ctx context.Context, redirect string) (*session, error) {
	raw, err := o.cfg.URL()
	if err != nil {
		return nil, fmt.Errorf("rtmpout: destination: %w", err)
	}
	target, err := rtmp.ParseURL(raw)
	if err == nil && redirect != "" {
		target, err = moved(target, redirect)
	}
	if err != nil {
		return nil, err
	}
	var auth string
	for step := 0; ; step++ {
		s, err := o.attempt(ctx, target, auth)
		if err == nil {
			return s, nil
		}
		// Adobe authentication takes two refusals to say who we are (rtmp.NextAuth).
		refusal, ok := errors.AsType[*rtmp.StatusError](err)
		if !ok || step == 2 {
			return nil, err
		}
		challenge := make([]byte, 4)
		_, _ = crand.Read(challenge)
		if auth, ok = rtmp.NextAuth(refusal, target.User, target.Password, hex.EncodeToString(challenge)); !ok {
			return nil, err
		}
	}
}

// moved is the target behind a redirect: a whole URL, or a tcUrl that the key is put behind.
func moved(t rtmp.Target, to string) (rtmp.Target, error) {
	n, err := rtmp.ParseURL(to)
	if err != nil || n.Key != t.Key {
		n, err = rtmp.ParseURL(to + "/" + t.Key)
	}
	n.User, n.Password = t.User, t.Password
	return n, err
}

func (o *Output) attempt(ctx context.Context, target rtmp.Target, auth string) (_ *session, err error) {
	o.set(Dialing)
	nc, err := o.dial(ctx, target)
	if err != nil {
		return nil, err
	}
	o.set(Connecting)
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = nc.SetDeadline(time.Now().Add(o.cfg.Setup))
	random := make([]byte, rtmp.RandomSize)
	_, _ = crand.Read(random) // never fails
	s := &session{o: o, nc: nc, buf: make([]byte, readSize)}
	s.client = rtmp.NewClient(rtmp.ClientConfig{
		Target: target, Auth: auth, Random: random, FlashVersion: o.cfg.FlashVersion, ChunkSize: o.cfg.ChunkSize,
		Limits: rtmp.Limits{MessageSize: 64 << 10}, // a server has only commands to say
	})
	if err := s.setup(); err != nil {
		_ = nc.Close()
		if isTimeout(err) && ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", errSetup, err)
		}
		return nil, err
	}
	_ = nc.SetDeadline(time.Time{})
	return s, nil
}

func (o *Output) dial(ctx context.Context, t rtmp.Target) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, o.cfg.DialTimeout)
	defer cancel()
	nc, err := o.cfg.Dial(ctx, "tcp", net.JoinHostPort(t.Host, t.Port))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDial, err)
	}
	_ = tcp.Live(nc, tcp.NotSentLowWater, o.cfg.SendBuffer)
	if !t.TLS {
		return nc, nil
	}
	cfg := &tls.Config{}
	if o.cfg.TLS != nil {
		cfg = o.cfg.TLS.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = t.Host
	}
	tc := tls.Client(nc, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("%w: TLS: %w", errDial, err)
	}
	return tc, nil
}

// setup talks until publishing has begun.
func (s *session) setup() error {
	for !s.client.Ready() {
		if err := s.step(); err != nil {
			return err
		}
	}
	return nil
}

// step feeds what was read, answers, and reads more when nothing is left.
func (s *session) step() error {
	ev, n, err := s.client.Feed(s.left)
	s.left = s.left[n:]
	if out := s.client.Output(); len(out) > 0 {
		_ = s.nc.SetWriteDeadline(time.Now().Add(s.o.cfg.WriteTimeout))
		if _, werr := s.nc.Write(out); werr != nil && err == nil {
			err = werr
		}
	}
	switch {
	case err != nil:
		return err
	case ev.Kind == rtmp.EventReconnect:
		return &movedError{ev.TCURL}
	case ev.Kind != rtmp.EventNone:
		return nil
	}
	n, err = s.nc.Read(s.buf)
	s.left = s.buf[:n]
	if n > 0 {
		return nil
	}
	return err
}

// run sends until ctx ends, the stream ends or the connection fails, and closes the connection.
func (s *session) run(ctx context.Context) error {
	o := s.o
	sub, err := s.subscribe()
	if err != nil {
		_ = s.nc.Close()
		return fmt.Errorf("%w: %w", errStreamEnd, err)
	}
	o.mu.Lock()
	o.stats.State, o.sub, o.conn = Live, sub, s.nc
	o.mu.Unlock()

	sending, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(sending, func() { _ = s.nc.SetWriteDeadline(time.Now().Add(lastWords)) })
	defer stop()
	var reader sync.WaitGroup
	moving := make(chan error, 1)
	reader.Go(func() { // owns s.client until it ends
		for {
			if err := s.step(); err != nil {
				if m, ok := errors.AsType[*movedError](err); ok {
					select {
					case moving <- m:
					default:
					}
					continue
				}
				cancel(err)
				return
			}
		}
	})
	err = s.send(sending, sub, moving)
	cancel(err)
	counts := sub.Stats().Counts
	sub.Close()
	o.mu.Lock()
	o.sub, o.conn = nil, nil
	o.stats.Dropped += counts.Dropped
	o.stats.Gaps += counts.Gaps
	o.mu.Unlock()

	if !s.cut && (ctx.Err() != nil || isClean(err)) {
		_ = s.nc.SetReadDeadline(time.Unix(1, 0))
		reader.Wait()
		s.end()
		return err
	}
	tcp.Reset(s.nc) // what the kernel holds is stale
	reader.Wait()
	return err
}

// isClean says of an end that it was at a message's end and wished by us.
func isClean(err error) bool {
	switch causeOf(err) {
	case CauseStreamEnd, CauseRenew:
		return true
	case CauseRedirect:
		_, moved := errors.AsType[*movedError](err)
		return moved
	}
	return false
}

// end says goodbye: that is what frees the key at the far side.
func (s *session) end() {
	defer s.nc.Close()
	s.client.End()
	_ = s.nc.SetDeadline(time.Now().Add(lastWords))
	if _, err := s.nc.Write(s.client.Output()); err != nil {
		return
	}
	tcp.CloseWrite(s.nc)
	_, _ = io.Copy(io.Discard, io.LimitReader(s.nc, 1<<20))
}

// subscribe joins the stream for this session. The first publish takes the newest GOP as it is; a later one only when
// that GOP is young, so that a reconnect does not push the destination behind.
func (s *session) subscribe() (*hub.Subscriber, error) {
	o := s.o
	info := o.info(false)
	sub, err := o.cfg.Hub.Subscribe(o.cfg.Stream, info)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	again := o.stats.Publishes > 1
	o.mu.Unlock()
	if again && sub.Stats().Lag > o.cfg.MaxStartAge {
		sub.Close()
		info.NoCache = true
		return o.cfg.Hub.Subscribe(o.cfg.Stream, info)
	}
	return sub, nil
}

func (s *session) send(ctx context.Context, sub *hub.Subscriber, moving <-chan error) error {
	o := s.o
	out := tcp.NewVector(s.nc)
	var w *rtmp.FrameWriter
	var tracks []*media.Config
	var first time.Duration
	var last rtmp.FrameStats
	for {
		f, err := sub.Read(ctx)
		switch {
		case err != nil && ctx.Err() != nil: // whose cause may be an EOF too: the server's
			return context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return errStreamEnd
		case err != nil:
			return err
		}
		if w == nil {
			tracks, first = sub.Tracks(), f.DTS
			w = rtmp.NewFrameWriter(s.client.Media(), first-o.lead, true)
		}
		if f.IsKeyVideo() {
			select {
			case err := <-moving:
				return err
			default:
			}
			if f.DTS-first > renewAfter {
				return errRenew
			}
		}
		out.List = w.AppendFrame(out.List, f, tracks)
		_ = s.nc.SetWriteDeadline(time.Now().Add(o.cfg.WriteTimeout))
		if ctx.Err() != nil { // only now: the deadline above may have covered the one that says so
			return context.Cause(ctx)
		}
		err = out.Flush()
		w.Flushed()
		if err != nil {
			s.cut = true
			if isTimeout(err) {
				return fmt.Errorf("%w: %w", errStalled, err)
			}
			if cause := context.Cause(ctx); cause != nil { // the reader knows better: the server's last words
				return cause
			}
			return err
		}
		now := w.Stats()
		o.update(func(st *Stats) {
			st.Frames += now.Frames - last.Frames
			st.Bytes += now.Bytes - last.Bytes
			st.LeftOut += now.Extra + now.Early + now.NoForm - last.Extra - last.Early - last.NoForm
		})
		last = now
	}
}
