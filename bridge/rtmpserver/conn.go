package rtmpserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
	"github.com/fairlead-live/fairlead/bridge/tcp"
)

// readSize is how much one read of a socket takes: two chunks of the largest common size fit a syscall's cost well.
const readSize = 32 << 10

// conn is one connection; its reader goroutine owns everything here but the player's.
type conn struct {
	s    *Server
	nc   net.Conn
	log  *slog.Logger
	m    *rtmp.Server
	from time.Time // accepted, or when the last publish ended: setup runs from here

	pub       *hub.Publisher // nil: not publishing
	watcher   Watcher        // nil: nobody
	parser    flv.Parser
	memory    *media.Arena // of its frames
	clock     rtmp.Unwrapper
	lastMedia time.Time // or when publishing began
	anyMedia  bool
	app       string // published to

	wake   atomic.Pointer[net.Conn] // nc, for those who wake its reader
	moving atomic.Pointer[string]   // where to the peer shall go; nil: it may stay
	asked  bool                     // it has been told

	player *player // nil: not playing

	ctx    context.Context // the server's
	stop   func() bool     // takes back that ctx ends the wait for nc
	inLoop io.Writer       // where a loop has the connection; nil: it is ours
	noLoop bool
	aside  rtmp.Event // what a loop may not handle, and what came behind it
	rest   []byte
}

// Why a connection ends, beyond errors of sockets and peers.
var (
	errSilent    = errors.New("rtmpserver: peer is silent")
	errRefused   = errors.New("rtmpserver: refused")
	errStopped   = errors.New("rtmpserver: peer stopped")
	errShutdown  = errors.New("rtmpserver: server is stopping")
	errStreamEnd = errors.New("rtmpserver: stream ended")
	errDraining  = errors.New("rtmpserver: server is going away")
)

func (s *Server) serve(ctx context.Context, nc net.Conn) {
	c := &conn{s: s, ctx: ctx, from: time.Now(), log: s.cfg.Logger.With("peer", nc.RemoteAddr().String())}
	c.use(nc)
	_ = tcp.Live(nc, tcp.NotSentLowWater, 0)
	random := make([]byte, rtmp.RandomSize)
	_, _ = rand.Read(random) // never fails
	c.m = rtmp.NewServer(rtmp.ServerConfig{Random: random})
	s.keep(c)
	defer s.drop(c)
	err := c.run(ctx)
	c.stop()
	c.finish(err)
	s.count(func(st *Stats) { st.add(c.m.Stats(), c.parser.Stats()) })
	c.report(err)
}

// use makes nc the connection.
func (c *conn) use(nc net.Conn) {
	c.nc = nc
	c.wake.Store(&nc)
	c.stop = context.AfterFunc(c.ctx, func() { _ = nc.SetReadDeadline(time.Unix(1, 0)) })
}

// run reads until the connection ends, and says why.
func (c *conn) run(ctx context.Context) error {
	var buf []byte
	var armed time.Time
	for {
		// Not for every message: it moves a timer. One that is armed too early is armed again when it fires.
		if d := c.deadline(); d.IsZero() || armed.IsZero() || d.Before(armed) || d.Sub(armed) > armEvery {
			if err := c.nc.SetReadDeadline(d); err != nil {
				return err
			}
			armed = d
		}
		if ctx.Err() != nil { // only now: the deadline above may have covered the one that says so
			return errShutdown
		}
		if err := c.move(); err != nil { // here for the same reason
			return err
		}
		if c.player != nil && c.player.ended() {
			return c.player.err
		}
		if c.pub != nil && !c.noLoop {
			buf = nil
			if err := c.loop(ctx); err != nil {
				return err
			}
			armed = time.Time{}
			continue
		}
		if buf == nil {
			buf = make([]byte, readSize)
		}
		n, err := c.nc.Read(buf)
		now := time.Now()
		if ferr := c.feed(ctx, now, buf[:n]); ferr != nil {
			return ferr
		}
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil && !c.overdue(now) && !(c.player != nil && c.player.ended()) {
				armed = time.Time{}
				continue
			}
			return c.readError(ctx, now, err)
		}
	}
}

// armEvery is how far the read deadline may lag behind. Ours.
const armEvery = time.Second

func (c *conn) readError(ctx context.Context, now time.Time, err error) error {
	switch {
	case ctx.Err() != nil:
		return errShutdown
	case c.player != nil && c.player.ended():
		return c.player.err
	case errors.Is(err, os.ErrDeadlineExceeded) && c.overdue(now):
		return errSilent
	}
	return err
}

// deadline is when the peer must have made progress: bytes alone are none.
func (c *conn) deadline() time.Time {
	cfg := &c.s.cfg
	switch {
	case c.player != nil:
		return time.Time{} // players say nothing; the writer notices dead ones
	case c.pub != nil && !c.anyMedia:
		return c.lastMedia.Add(cfg.FirstMedia)
	case c.pub != nil:
		return c.lastMedia.Add(cfg.Idle)
	case !c.m.Handshaken():
		return c.from.Add(cfg.Handshake)
	default:
		return c.from.Add(cfg.Setup)
	}
}

// overdue says whether the peer has made no progress in time.
func (c *conn) overdue(now time.Time) bool {
	d := c.deadline()
	return !d.IsZero() && !now.Before(d)
}

func (c *conn) feed(ctx context.Context, now time.Time, b []byte) error {
	for {
		ev, n, err := c.m.Feed(b)
		b = b[n:]
		switch {
		case err != nil:
		case c.inLoop != nil && ev.Kind != rtmp.EventMedia && ev.Kind != rtmp.EventNone:
			c.aside, c.rest = ev, append(c.rest[:0], b...)
			err = errAside
		default:
			err = c.handle(ctx, now, ev)
		}
		if werr := c.flush(); err == nil {
			err = werr
		}
		if err != nil || ev.Kind == rtmp.EventNone {
			return err
		}
	}
}

// flush sends what the protocol has to say.
func (c *conn) flush() error {
	out := c.m.Output()
	if len(out) == 0 {
		return nil
	}
	if c.inLoop != nil {
		if _, err := c.inLoop.Write(out); err != nil {
			return fmt.Errorf("rtmpserver: write: %w", err)
		}
		return nil
	}
	_ = c.nc.SetWriteDeadline(time.Now().Add(c.s.cfg.WriteTimeout))
	if _, err := c.nc.Write(out); err != nil {
		return fmt.Errorf("rtmpserver: write: %w", err)
	}
	return nil
}

func (c *conn) handle(ctx context.Context, now time.Time, ev rtmp.Event) error {
	switch ev.Kind {
	case rtmp.EventPublish:
		return c.publish(ctx, now, ev.Request)
	case rtmp.EventPlay:
		return c.play(ctx, ev.Request)
	case rtmp.EventMedia:
		return c.media(now, ev.Message)
	case rtmp.EventStop:
		if c.player != nil {
			return errStopped
		}
		c.unpublish(errStopped)
		c.from = now
		c.log.Info("rtmp: publisher stopped")
	}
	return nil
}

// authorize answers a request with no, when that is so, and reports it.
func (c *conn) authorize(ctx context.Context, r *rtmp.Request, publish bool) (who string, err error) {
	c.log = c.log.With("stream", r.Name())
	if r.Key == "" {
		err = fmt.Errorf("%w: no stream key", rtmp.ErrRejected)
	} else if c.s.cfg.Authorize != nil {
		who, err = c.s.cfg.Authorize(ctx, c.request(r, publish))
	}
	if err == nil {
		return who, nil
	}
	code, why := rtmp.CodePublishRejected, RefusedRejected
	switch unauthorized := errors.Is(err, ErrUnauthorized); {
	case unauthorized && publish:
		code, why = rtmp.CodePublishDenied, RefusedUnauthorized
	case unauthorized:
		code, why = rtmp.CodePlayFailed, RefusedUnauthorized
	case !publish:
		code = rtmp.CodePlayFailed
	}
	return "", c.refuse(why, code, err)
}

func (c *conn) request(r *rtmp.Request, publish bool) Request {
	return Request{
		Publish: publish, Name: r.Name(), App: r.App, Key: r.Key, Query: r.Query,
		TCURL: r.TCURL, FlashVersion: r.FlashVersion, Peer: c.nc.RemoteAddr().String(),
	}
}

// refuse answers the request that is open and returns the error that ends the connection.
func (c *conn) refuse(why Refusal, code string, err error) error {
	c.m.Reject(code, why.String())
	c.s.count(func(st *Stats) { st.Refused[why]++ })
	c.log.Warn("rtmp: refused", "reason", why.String(), "code", code, "err", err)
	return errRefused
}

func (c *conn) publish(ctx context.Context, now time.Time, r *rtmp.Request) error {
	who, err := c.authorize(ctx, r, true)
	if err != nil {
		return err
	}
	if c.s.isDraining() {
		return c.refuse(RefusedDraining, rtmp.CodePublishRejected, errDraining)
	}
	request := c.request(r, true)
	pub, err := c.s.cfg.Hub.Publish(r.Name(), hub.PublisherInfo{Protocol: "rtmp", Peer: c.nc.RemoteAddr().String(), Identity: who})
	switch {
	case errors.Is(err, hub.ErrInUse):
		return c.refuse(RefusedInUse, rtmp.CodePublishBadName, err)
	case err != nil:
		return c.refuse(RefusedRejected, rtmp.CodePublishRejected, err)
	}
	c.pub, c.clock, c.lastMedia, c.anyMedia, c.app = pub, rtmp.Unwrapper{}, now, false, r.App
	c.s.count(func(st *Stats) { st.Publishers++; st.add(rtmp.Stats{}, c.parser.Stats()) })
	if c.memory == nil {
		c.memory = hub.NewArena()
	}
	c.parser = flv.Parser{Memory: c.memory}
	if c.s.cfg.Watch != nil {
		c.watcher = c.s.cfg.Watch(request)
	}
	c.m.Accept()
	if old := pub.Replaced(); old != nil {
		c.log.Warn("publisher replaced", "protocol", "rtmp", "was", old.Peer, "was_protocol", old.Protocol)
	}
	c.log.Info("rtmp: publishing", "encoder", r.FlashVersion)
	return nil
}

// media hands one message's frames to the hub. What is not a frame is counted by the parser.
func (c *conn) media(now time.Time, m rtmp.Message) error {
	for part := range m.Parts() {
		if part.Type != rtmp.TypeAudio && part.Type != rtmp.TypeVideo || len(part.Payload) == 0 {
			continue // metadata says nothing the configurations do not say better; empty bodies are FMLE's keep-alive
		}
		c.lastMedia, c.anyMedia = now, true
		stamp := c.clock.Unwrap(part.Timestamp)
		if c.watcher != nil {
			c.watcher.Media(now, stamp, len(part.Payload), part.Type == rtmp.TypeVideo)
		}
		f := c.parser.Parse(flv.TagType(part.Type), stamp, part.Payload)
		if f == nil {
			continue
		}
		if c.watcher != nil && !c.watcher.Keep(f) {
			f.Release()
			continue
		}
		f.Arrival = now
		if err := c.pub.WriteFrame(f); err != nil {
			code := rtmp.CodePublishRejected
			if errors.Is(err, hub.ErrReplaced) {
				code = rtmp.CodePublishBadName
			}
			c.m.EndPublish(code, err.Error())
			return err
		}
	}
	return nil
}

func (c *conn) unpublish(cause error) {
	if c.pub != nil {
		c.pub.Close(cause)
		c.pub = nil
		if c.watcher != nil {
			c.watcher.Close()
			c.watcher = nil
		}
		c.s.count(func(st *Stats) { st.Publishers-- })
	}
}

// lingerTime is how long the peer has to read our last words before the connection goes; ours.
const lingerTime = 500 * time.Millisecond

// finish ends the connection so that the peer gets the last status message, not a reset that overtakes it.
func (c *conn) finish(err error) {
	defer c.nc.Close()
	c.unpublish(err)
	c.memory.Close()
	polite := true
	if c.player != nil {
		polite = c.player.stop()
		if polite && errors.Is(err, errStreamEnd) {
			c.m.EndPlay()
		}
	}
	if errors.Is(err, errShutdown) && !c.asked {
		c.m.RequestReconnect("", "server is stopping")
	}
	if !polite || errors.Is(err, io.EOF) {
		return
	}
	_ = c.nc.SetDeadline(time.Now().Add(lingerTime))
	if out := c.m.Output(); len(out) > 0 {
		if _, err := c.nc.Write(out); err != nil {
			return
		}
	}
	tcp.CloseWrite(c.nc)
	_, _ = io.Copy(io.Discard, io.LimitReader(c.nc, 4<<20))
}

// report is the one line that says how a connection ended.
func (c *conn) report(err error) {
	refuse := func(why Refusal) {
		c.s.count(func(st *Stats) { st.Refused[why]++ })
		c.log.Warn("rtmp: closed", "reason", why.String(), "err", err)
	}
	switch {
	case errors.Is(err, errRefused): // said where it was refused
	case errors.Is(err, errSilent) && !c.m.Handshaken(), errors.Is(err, rtmp.ErrProtocol) && !c.m.Handshaken():
		refuse(RefusedHandshake)
	case errors.Is(err, rtmp.ErrProtocol):
		refuse(RefusedProtocol)
	case errors.Is(err, errSilent):
		refuse(RefusedSilent)
	case errors.Is(err, io.EOF) && !c.m.Handshaken():
		c.log.Debug("rtmp: closed", "err", "before the handshake") // a port scan, a health check
	default:
		c.log.Info("rtmp: closed", "err", err, "received_bytes", c.m.Stats().ReceivedBytes)
	}
}
