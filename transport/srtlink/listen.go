// Package srtlink carries MPEG-TS over SRT: a listener for publishers and a caller, both on gosrt.
//
// SRT is the "Secure Reliable Transport" draft (draft-sharabayko-srt-01). Latency is in milliseconds on the wire
// and in libsrt's tools; ffmpeg and OBS take microseconds in their URLs.
//
// What it leaves to others: what is in the packets (bridge/ingest), who may publish (Config.Admit).
package srtlink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	srt "github.com/datarhei/gosrt"

	"github.com/fairlead-live/fairlead/transport/udp"
)

// Bounds of a listener.
const (
	// DefaultLatency is libsrt's own default (SRTO_LATENCY 120 ms).
	DefaultLatency = 120 * time.Millisecond
	// MaxPayload is the largest SRT payload: 1500 - IP, UDP and SRT headers.
	MaxPayload = 1456
)

// Request is what a caller says of itself.
type Request struct {
	StreamID  StreamID
	Peer      netip.AddrPort
	Encrypted bool
}

// Config sets up a listener.
type Config struct {
	Addr       string        // host:port, UDP
	Latency    time.Duration // receiver latency; the larger of ours and the peer's holds. DefaultLatency
	Passphrase string        // empty: unencrypted; 10 to 79 characters: callers must have it
	MaxConns   int           // 1,000
	Logger     *slog.Logger

	// Admit decides about a caller before it is answered. An error turns it away, with its own code if it is a
	// *Rejection, else with CodeForbidden. The function it returns is called exactly once, in its own goroutine, and
	// owns the connection until it returns; conn is nil when the handshake was not completed after all.
	Admit func(Request) (func(ctx context.Context, conn *Conn), error)
}

// Validate names the field that cannot work.
func (c *Config) Validate() error {
	if n := len(c.Passphrase); n > 0 && (n < 10 || n > 79) {
		return fmt.Errorf("srt passphrase: %d characters; SRT wants 10 to 79", n)
	}
	if c.Latency < 0 || c.Latency > time.Minute {
		return fmt.Errorf("srt latency: %v is outside 0s to 1m", c.Latency)
	}
	return nil
}

// Listener accepts SRT callers.
type Listener struct {
	cfg Config
	ln  srt.Listener

	mu    sync.Mutex // guards conns and taken
	conns map[*Conn]struct{}
	taken int

	quiet quiet // owned by Serve's goroutine
}

// Listen opens the socket.
func Listen(cfg Config) (*Listener, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Latency == 0 {
		cfg.Latency = DefaultLatency
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = 1000
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	sc := srt.DefaultConfig()
	sc.ReceiverLatency = cfg.Latency
	sc.PeerLatency = 0
	sc.ListenerControl = udp.Control
	ln, err := srt.Listen("srt", cfg.Addr, sc)
	if err != nil {
		return nil, fmt.Errorf("srt: listen on %s: %w", cfg.Addr, err)
	}
	return &Listener{cfg: cfg, ln: ln, conns: map[*Conn]struct{}{}}, nil
}

// Addr returns the address listened on.
func (l *Listener) Addr() net.Addr { return l.ln.Addr() }

// Serve admits callers until ctx ends, then closes every connection and waits for its function.
//
// Goroutines: one a connection, and one that waits for ctx.
func (l *Listener) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		<-ctx.Done()
		l.closeConns()
		l.ln.Close()
	})
	for {
		req, err := l.ln.Accept2()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, srt.ErrListenerClosed) {
				return nil
			}
			return fmt.Errorf("srt: accept: %w", err)
		}
		run, err := l.admit(req)
		if err != nil {
			l.reject(req, err)
			continue
		}
		wg.Go(func() { l.run(ctx, req, run) })
	}
}

func (l *Listener) admit(req srt.ConnRequest) (func(context.Context, *Conn), error) {
	if req.Version() < 5 {
		return nil, &Rejection{1008, "the caller speaks SRT handshake version 4, which has no streamid"}
	}
	l.mu.Lock()
	full := l.taken >= l.cfg.MaxConns
	l.mu.Unlock()
	if full {
		return nil, &Rejection{CodeOverload, fmt.Sprintf("%d connections already", l.cfg.MaxConns)}
	}
	id, err := ParseStreamID(req.StreamId())
	if err != nil {
		return nil, &Rejection{CodeBadRequest, err.Error()}
	}
	switch {
	case l.cfg.Passphrase != "" && !req.IsEncrypted():
		return nil, &Rejection{CodeUnsecure, "the caller sends unencrypted and a passphrase is required"}
	case l.cfg.Passphrase == "" && req.IsEncrypted():
		return nil, &Rejection{CodeUnsecure, "the caller sends encrypted and no passphrase is set here"}
	case req.IsEncrypted():
		if err := req.SetPassphrase(l.cfg.Passphrase); err != nil {
			return nil, &Rejection{CodeBadSecret, "wrong passphrase"}
		}
	}
	return l.cfg.Admit(Request{StreamID: id, Peer: addrPort(req.RemoteAddr()), Encrypted: req.IsEncrypted()})
}

func (l *Listener) reject(req srt.ConnRequest, err error) {
	r, ok := errors.AsType[*Rejection](err)
	if !ok {
		r = &Rejection{CodeForbidden, err.Error()}
	}
	req.Reject(srt.RejectionReason(r.Code))
	again, speak := l.quiet.tell(time.Now(), addrPort(req.RemoteAddr()).Addr(), r.Reason)
	if speak {
		l.cfg.Logger.Warn("srt caller rejected", "peer", req.RemoteAddr(), "streamid", req.StreamId(), "code", r.Code, "err", r.Reason, "times_before", again)
	}
}

func (l *Listener) run(ctx context.Context, req srt.ConnRequest, run func(context.Context, *Conn)) {
	sc, err := req.Accept()
	if err != nil {
		l.cfg.Logger.Warn("srt handshake not completed", "peer", req.RemoteAddr(), "err", err)
		run(ctx, nil)
		return
	}
	conn := &Conn{conn: sc}
	l.mu.Lock()
	l.conns[conn] = struct{}{}
	l.taken++
	l.mu.Unlock()
	if ctx.Err() != nil { // closed while it was accepted
		_ = conn.Close()
	}
	run(ctx, conn)
	_ = conn.Close()
	l.mu.Lock()
	delete(l.conns, conn)
	l.taken--
	l.mu.Unlock()
}

func (l *Listener) closeConns() {
	l.mu.Lock()
	conns := make([]*Conn, 0, len(l.conns))
	for c := range l.conns {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	if u, ok := a.(*net.UDPAddr); ok {
		return u.AddrPort()
	}
	return netip.AddrPort{}
}
