package rtmpout

import (
	"context"
	crand "crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
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
	readSize  = 4 << 10 // a server has only commands to say
)

// session is one connection that is publishing, or about to.
type session struct {
	o      *Output
	to     *destination
	nc     net.Conn
	client *rtmp.Client
	opts   Options
	buf    []byte
	left   []byte // read, not yet fed
	tx     sender

	sub     *hub.Subscriber
	moving  chan error // what to end with at the next key frame; capacity 1
	asked   func(*session, *movedError)
	kill    context.CancelCauseFunc
	began   time.Time
	live    time.Duration // how long, once ended
	err     error         // why it ended
	mark    ackMark
	backlog backlog
}

// connect dials and goes on until the server lets us publish. redirect: where the last server sent us, or empty. tracks: what is to be pushed.
func (o *Output) connect(ctx context.Context, to *destination, redirect string, tracks []*media.Config) (*session, error) {
	raw, err := to.url()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errURL, err)
	}
	raw, opts, err := ParseOptions(raw)
	if err != nil {
		return nil, err
	}
	if err := opts.unfit(tracks); err != nil {
		return nil, err
	}
	target, err := rtmp.ParseURL(raw)
	if err == nil && opts.sign != nil {
		target, err = opts.sign.signed(target, time.Now())
	}
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
			s.to, s.opts = to, opts
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
	nc, err := o.dial(ctx, target)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = nc.SetDeadline(time.Now().Add(o.cfg.Setup))
	random := make([]byte, rtmp.RandomSize)
	_, _ = crand.Read(random) // never fails
	s := &session{o: o, nc: nc, buf: make([]byte, readSize), moving: make(chan error, 1)}
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
	_ = tcp.GiveUpAfter(nc, o.cfg.WriteTimeout)
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
		_ = tcp.AckNow(s.nc) // SRS answers in several writes
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
		if werr := s.say(out); werr != nil && err == nil {
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
