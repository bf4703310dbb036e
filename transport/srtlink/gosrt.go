package srtlink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	srt "github.com/datarhei/gosrt"

	"github.com/fairlead-live/fairlead/transport/udp"
)

// gosrtListener is a listener on gosrt, kept for comparison: its callers lose what waits for its play time when they hang up.
type gosrtListener struct {
	cfg Config
	ln  srt.Listener

	mu    sync.Mutex // guards conns and taken
	conns map[*Conn]struct{}
	taken int

	quiet quiet // owned by Serve's goroutine
}

func listenGoSRT(cfg Config) (*gosrtListener, error) {
	sc := srt.DefaultConfig()
	sc.ReceiverLatency = cfg.Latency
	sc.PeerLatency = 0
	sc.ListenerControl = udp.Control
	ln, err := srt.Listen("srt", cfg.Addr, sc)
	if err != nil {
		return nil, err
	}
	return &gosrtListener{cfg: cfg, ln: ln, conns: map[*Conn]struct{}{}}, nil
}

// Addr returns the address listened on.
func (l *gosrtListener) Addr() net.Addr { return l.ln.Addr() }

// Drops implements server: gosrt does not say.
func (l *gosrtListener) Drops() []Drop { return nil }

// Serve admits callers until ctx ends, then closes every connection and waits for its function.
//
// Goroutines: one a connection, and one that waits for ctx.
func (l *gosrtListener) Serve(ctx context.Context) error {
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

func (l *gosrtListener) admit(req srt.ConnRequest) (func(context.Context, *Conn), error) {
	if req.Version() < 5 {
		return nil, &Rejection{1008, "the caller speaks SRT handshake version 4, which has no streamid"}
	}
	l.mu.Lock()
	full := l.taken >= l.cfg.MaxConns
	l.mu.Unlock()
	if full {
		return nil, &Rejection{CodeOverload, fmt.Sprintf("%d connections already", l.cfg.MaxConns)}
	}
	id, err := l.cfg.streamID(req.StreamId())
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

func (l *gosrtListener) reject(req srt.ConnRequest, err error) {
	r := rejection(err)
	l.cfg.refused(r)
	req.Reject(srt.RejectionReason(r.Code))
	again, speak := l.quiet.tell(time.Now(), addrPort(req.RemoteAddr()).Addr(), r.Reason)
	if speak {
		l.cfg.Logger.Warn("srt caller rejected", "peer", req.RemoteAddr(), "streamid", req.StreamId(), "code", r.Code, "err", r.Reason, "times_before", again)
	}
}

func (l *gosrtListener) run(ctx context.Context, req srt.ConnRequest, run func(context.Context, *Conn)) {
	sc, err := req.Accept()
	if err != nil {
		l.cfg.Logger.Warn("srt handshake not completed", "peer", req.RemoteAddr(), "err", err)
		run(ctx, nil)
		return
	}
	conn := &Conn{link: gosrtLink{sc}}
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

func (l *gosrtListener) closeConns() {
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
