package quiclink

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// Request is what a publisher says of itself.
type Request struct {
	Name    string // app/key
	Token   string
	Agent   string
	Peer    netip.AddrPort
	Latency time.Duration // that it will get
	// MaxLatency is to what that may grow where the path carries less than the stream; 0: it may not.
	MaxLatency time.Duration
	Datagram   bool // media comes in QUIC DATAGRAM frames
	Resume     bool // it continues a session that was here within the hold time, or says so
	SessionID  [16]byte
}

// Rejection is why a publisher is turned away: an HTTP status and a sentence, both of which it reads.
type Rejection struct {
	Status uint16
	Reason string
}

func (r *Rejection) Error() string {
	return fmt.Sprintf("quiclink: refused with %d: %s", r.Status, r.Reason)
}

// Sink takes what a session delivers. Its methods are called from the session's goroutine.
type Sink interface {
	// Tracks is told of the tracks and their configurations, at first and at each change. Takes tracks.
	Tracks(tracks []wire.Track)
	// Payload is given the next frame, borrows it, and ends the session with an error.
	Payload(p *transport.Payload) error
	// Done is closed when the session should end, nil: never.
	Done() <-chan struct{}
	// Close is called once, last.
	Close(end End)
}

// End says how a session ended and what became of everything sent.
type End struct {
	Err     error // nil: the publisher said good-bye
	Stats   transport.Stats
	Peer    netip.AddrPort // the address media came from last
	Moved   int            // times it changed
	RTT     time.Duration
	Dropped uint64        // datagrams the session was too slow for
	Missing uint64        // packets of any kind that the path lost, resends and repair included
	Queue   time.Duration // delay that stands at the bottleneck
	Silent  time.Duration // since anything came of the publisher, control messages included
}

// Config sets up a Listener.
type Config struct {
	Addr     string // host:port, UDP
	CertFile string // PEM; both empty: self-signed for this run; both absent: self-signed and kept there
	KeyFile  string
	Hold     time.Duration // told to publishers: how long a stream waits for them to come back
	MaxConns int           // 1,000
	MaxRate  congestion.Bitrate
	Logger   *slog.Logger // nil: silent

	// Admit decides about a publisher. An error turns it away, with its own status if it is a *Rejection, else with 403.
	Admit func(Request) (Sink, error)
	// Refused, when set, is told the status of every publisher that is turned away, by Admit or otherwise. It must not wait.
	Refused func(status uint16)
}

func (c *Config) refused(status uint16) {
	if c.Refused != nil {
		c.Refused(status)
	}
}

// Listener accepts publishers.
type Listener struct {
	cfg  Config
	sock *socket
	tr   *quic.Transport
	ln   *quic.Listener
	pin  string
	self bool

	draining chan struct{} // closed by Drain, after farewell is set
	farewell wire.Drain
	until    time.Time

	mu       sync.Mutex // guards what follows
	conns    int
	sessions map[[16]byte]*running
}

// running is the connection that drives a session.
type running struct {
	name, token string
	cancel      context.CancelCauseFunc
	done        chan struct{}
	kept        kept // for the connection that goes on with the session; rx is nil: none does. Guarded by Listener.mu
}

// Errors that end a session.
var (
	errReplaced = errors.New("quiclink: the publisher has come back on another connection")
	errResumed  = errors.New("quiclink: the publisher goes on on another connection")
	errEnded    = errors.New("quiclink: ended by the relay")
)

// quicConfig is what both ends run QUIC with. Datagrams are for the fallback. 8 s without a packet end a connection: a
// publisher on a bad network should hear of it soon, and has its session id to come back with.
func quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout: 5 * time.Second,
		MaxIdleTimeout:       8 * time.Second,
		KeepAlivePeriod:      time.Second,
		MaxIncomingStreams:   2,
		EnableDatagrams:      true,
		// Control messages only.
		InitialStreamReceiveWindow: wire.MaxControl, MaxStreamReceiveWindow: 4 * wire.MaxControl,
		InitialConnectionReceiveWindow: wire.MaxControl, MaxConnectionReceiveWindow: 4 * wire.MaxControl,
		MaxIncomingUniStreams: -1,
	}
}

// Listen opens the socket.
func Listen(cfg Config) (*Listener, error) {
	cfg.MaxConns = cmp.Or(cfg.MaxConns, 1000)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cert, self, err := Identity(cfg.CertFile, cfg.KeyFile)
	if err != nil {
		return nil, err
	}
	conn, err := listenUDP(cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("quiclink: listen on %s: %w", cfg.Addr, err)
	}
	sock, err := newSocket(conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	l := &Listener{cfg: cfg, sock: sock, self: self, tr: &quic.Transport{Conn: sock}, draining: make(chan struct{}), sessions: map[[16]byte]*running{}}
	if cert.Leaf != nil {
		l.pin = Pin(cert.Leaf)
	}
	l.tr.StatelessResetKey = resetKey(cert)
	l.tr.VerifySourceAddress = func(net.Addr) bool { return l.crowded() }
	l.ln, err = l.tr.Listen(&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{ALPN}, MinVersion: tls.VersionTLS13}, quicConfig())
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("quiclink: listen on %s: %w", cfg.Addr, err)
	}
	return l, nil
}

// crowded reports whether half of the connections are taken: from then on a Retry makes sure that who wants one has the
// address it says (RFC 9000 §8.1.2).
func (l *Listener) crowded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 2*l.conns >= l.cfg.MaxConns
}

// Addr returns the address listened on.
func (l *Listener) Addr() net.Addr { return l.sock.LocalAddr() }

// Pin names our key; publishers give it as pin= in their URL. selfSigned says that they must, for no authority vouches for it.
func (l *Listener) Pin() (pin string, selfSigned bool) { return l.pin, l.self }

// Stray counts media datagrams that belong to no session.
func (l *Listener) Stray() uint64 { return l.sock.stray.Load() }

// Close closes the socket of a listener that does not serve.
func (l *Listener) Close() error {
	_ = l.ln.Close()
	_ = l.tr.Close()
	return l.sock.Close()
}

// Serve admits publishers until ctx ends, then closes every connection and waits for its sink to be closed.
//
// Goroutines: one a connection, which owns its session, and two or three around it that own nothing; quic-go's.
func (l *Listener) Serve(ctx context.Context) error {
	var wg sync.WaitGroup
	defer func() { _ = l.Close() }()
	defer wg.Wait()
	for {
		conn, err := l.ln.Accept(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("quiclink: accept: %w", err)
		}
		l.mu.Lock()
		full := l.conns >= l.cfg.MaxConns
		if !full {
			l.conns++
		}
		l.mu.Unlock()
		if full {
			l.cfg.refused(503)
			_ = conn.CloseWithError(codeRefused, "too many connections")
			continue
		}
		wg.Go(func() {
			l.serve(ctx, conn)
			l.mu.Lock()
			l.conns--
			l.mu.Unlock()
		})
	}
}

// serve is one connection, from its hello to its end.
func (l *Listener) serve(ctx context.Context, conn *quic.Conn) {
	hello, stream, reader, err := greet(ctx, conn)
	if err != nil {
		_ = conn.CloseWithError(codeProtocol, "no hello")
		l.cfg.Logger.Debug("quic publisher without a hello", "peer", conn.RemoteAddr(), "err", err)
		return
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	run := &running{name: hello.Name, token: hello.Token, cancel: cancel, done: make(chan struct{})}
	s, err := l.open(newLink(conn, stream, reader), &hello, run)
	if err != nil {
		l.refuse(conn, stream, &hello, err)
		return
	}
	err = s.run(ctx)
	l.sock.unroute(s.tag)
	_, reset := errors.AsType[*quic.StreamError](err)
	gone := reset || err != nil && conn.Context().Err() != nil
	code, why := codeBye, "bye"
	switch {
	case errors.Is(err, errReplaced), errors.Is(err, errResumed):
		code, why = codeReplaced, "another connection continues the session"
	case err != nil:
		code, why = codeGone, "the session has ended here"
	}
	_ = conn.CloseWithError(code, why)
	if gone && ctx.Err() == nil {
		s.playOut(ctx)
	}
	if errors.Is(context.Cause(ctx), errResumed) {
		l.leave(hello.SessionID, run, s.kept)
		return
	}
	s.sink.Close(s.end(err))
	l.leave(hello.SessionID, run, kept{})
}

// newTag draws a path tag that is not in use. 28 random bits: not a secret, but nothing to guess either.
func newTag(sock *socket, q *inbox) uint32 {
	for {
		var b [4]byte
		rand.Read(b[:])
		if tag := binary.BigEndian.Uint32(b[:]) & wire.MaxTag; sock.route(tag, q) {
			return tag
		}
	}
}

// addrPort is a UDP address in the one form that compares.
func addrPort(a net.Addr) netip.AddrPort {
	if u, ok := a.(*net.UDPAddr); ok {
		return unmap(u.AddrPort())
	}
	return netip.AddrPort{}
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
