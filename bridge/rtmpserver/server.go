// Package rtmpserver takes streams in over RTMP and plays streams of the hub to RTMP players. The protocol is
// bridge/rtmp's; here are sockets, time-outs and logs.
//
//	encoder ─TCP/TLS─▶ reader goroutine: rtmp.Server → flv.Parser → hub.Publisher
//	player  ◀────────  writer goroutine: hub.Subscriber → rtmp.FrameWriter → writev;  its reader goroutine owns rtmp.Server
//
// Times a player sees are the hub's, so that all its outputs agree; a player starts with onMetaData, the sequence
// headers and the newest key frame.
//
// Memory a connection: 32 KiB to read into; 0.2 MiB of messages from a peer nobody has accepted, at most
// 16 MiB from an accepted publisher; a player's queue is the hub's.
//
// What it leaves to others: who may publish or play (Config.Authorize), listening and TLS (Serve takes any listener).
package rtmpserver

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
	"github.com/fairlead-live/fairlead/bridge/tcp"
)

// ErrUnauthorized is what Authorize returns, wrapped or not, for wrong credentials; any other error is a rejection.
var ErrUnauthorized = rtmp.ErrUnauthorized

// Request is what a peer asks for.
type Request struct {
	Publish      bool   // else play
	Name         string // app/key, as the hub knows it
	App, Key     string
	Query        string // behind the key, else behind the app; without the question mark
	TCURL        string
	FlashVersion string // what the peer calls itself
	Peer         string // address
}

// Watcher hears what a publisher sends, as it comes.
type Watcher interface {
	// Media is told of a message of audio or video: when it had come, the encoder's time stamp, and its bytes.
	Media(at time.Time, stamp time.Duration, size int, video bool)
	// Keep decides whether a frame goes to the hub. It borrows f.
	Keep(f *media.Frame) bool
	Close()
}

// Config configures a Server; zero values give the defaults named.
type Config struct {
	Hub *hub.Hub
	// Authorize says no, or who it is as far as that is known (hub.PublisherInfo.Identity); nil: everyone may. It is called from the
	// connection's goroutine.
	Authorize func(ctx context.Context, r Request) (who string, err error)
	Logger    *slog.Logger // nil: silent
	// Watch, when set, is asked for somebody who hears of each message of a publisher that was accepted; nil: nobody. The calls
	// come from the connection's goroutine and must not wait.
	Watch func(r Request) Watcher

	MaxConns     int           // further connections are reset; 4096
	Handshake    time.Duration // to the end of the handshake; 5 s
	Setup        time.Duration // from accept to publish or play; 10 s
	FirstMedia   time.Duration // an accepted publisher's first audio or video; 20 s
	Idle         time.Duration // between a publisher's messages of audio or video; 10 s
	WriteTimeout time.Duration // one write to a player; 8 s
}

func (c *Config) defaults() {
	c.MaxConns = cmp.Or(c.MaxConns, 4096)
	c.Handshake = cmp.Or(c.Handshake, 5*time.Second)
	c.Setup = cmp.Or(c.Setup, 10*time.Second)
	c.FirstMedia = cmp.Or(c.FirstMedia, 20*time.Second)
	c.Idle = cmp.Or(c.Idle, 10*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 8*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// Server accepts RTMP connections. One Server may serve several listeners.
type Server struct {
	cfg Config

	mu       sync.Mutex // guards what follows
	conns    int
	open     map[*conn]struct{}
	draining bool
	stats    Stats
	loops    []*tcp.Loop // read publishers' connections; nil: none was needed so far
	turn     int         // the one that was asked last
}

// New returns a server that is not listening yet.
func New(cfg Config) *Server {
	cfg.defaults()
	return &Server{cfg: cfg, open: map[*conn]struct{}{}}
}

// Serve accepts connections until ctx ends or the listener fails, closes it, and returns when all its connections have
// ended. It returns nil when ctx ended it.
//
// Goroutines: one for each connection and one more for each player; all end before Serve returns.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		nc, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if temporary(err) { // out of file descriptors, most likely
				s.cfg.Logger.Error("rtmp: accept", "err", err)
				select {
				case <-time.After(100 * time.Millisecond):
					continue
				case <-ctx.Done():
					return nil
				}
			}
			_ = l.Close()
			return err
		}
		if !s.enter() {
			s.cfg.Logger.Warn("rtmp: connection refused: too many", "peer", nc.RemoteAddr().String(), "limit", s.cfg.MaxConns)
			tcp.Reset(nc)
			continue
		}
		wg.Go(func() {
			defer s.leave()
			s.serve(ctx, nc)
		})
	}
}

func temporary(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && !errors.Is(err, net.ErrClosed) && ne.Timeout() || isExhausted(err)
}

func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns >= s.cfg.MaxConns {
		s.stats.Refused[RefusedTooMany]++
		return false
	}
	s.conns++
	s.stats.Accepted++
	return true
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns--
}

// keep makes a connection known to Drain, until drop.
func (s *Server) keep(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[c] = struct{}{}
}

func (s *Server) drop(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// count changes the statistics.
func (s *Server) count(f func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.stats)
}
