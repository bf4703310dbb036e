package quiclink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/fairlead-live/fairlead/transport/wire"
)

// greet waits for the hello.
func greet(ctx context.Context, conn *quic.Conn) (h wire.Hello, stream *quic.Stream, r *controlReader, err error) {
	ctx, cancel := context.WithTimeout(ctx, setup)
	defer cancel()
	if stream, err = conn.AcceptStream(ctx); err != nil {
		return h, nil, nil, err
	}
	_ = stream.SetReadDeadline(time.Now().Add(setup))
	r = &controlReader{r: stream}
	m, err := r.next()
	if err == nil && m.kind != wire.ControlHello {
		err = fmt.Errorf("%w: begins with message %d", errControl, m.kind)
	}
	if err != nil {
		return h, nil, nil, err
	}
	_ = stream.SetReadDeadline(time.Time{})
	h, err = wire.ParseHello(m.body)
	return h, stream, r, err
}

// open admits a publisher and makes its session, or goes on with the one it had.
func (l *Listener) open(link link, h *wire.Hello, run *running) (*receiving, error) {
	if h.Oldest > wire.Version || h.Version < wire.Version {
		return nil, &Rejection{426, fmt.Sprintf("this relay speaks version %d of the format", wire.Version)}
	}
	select {
	case <-l.draining:
		return nil, &Rejection{503, "this relay is going away"}
	default:
	}
	k, err := l.enter(h, run)
	if err != nil {
		return nil, err
	}
	flags := wire.WelcomeProbes
	if k.rx != nil {
		flags |= wire.WelcomeResumed
	} else {
		k.latency = min(max(cmp.Or(h.Latency, defaultLatency), minLatency), maxLatency)
		k.most = granted(k.latency, h.MaxLatency)
		k.sink, err = l.cfg.Admit(Request{
			Name: h.Name, Token: h.Token, Agent: h.Agent, Peer: addrPort(link.conn.RemoteAddr()), Latency: k.latency, MaxLatency: k.most,
			Datagram: h.Flags&wire.HelloDatagram != 0, Resume: h.Flags&wire.HelloResume != 0, SessionID: h.SessionID,
		})
		if err != nil {
			l.leave(h.SessionID, run, kept{})
			return nil, err
		}
	}
	s, err := newReceiving(l.sock, link, h, k, l.cfg.MaxRate)
	if err != nil {
		k.sink.Close(End{Err: err})
		l.leave(h.SessionID, run, kept{})
		return nil, err
	}
	s.draining, s.farewell = l.draining, l.goodbye
	s.send(wire.AppendWelcome(nil, &wire.Welcome{
		Version: wire.Version, Status: 200, SessionID: h.SessionID, Tag: s.tag, Latency: k.latency, Hold: l.cfg.Hold,
		Flags: flags, MTU: maxMTU, MaxLatency: k.most,
	}))
	return s, nil
}

// granted is the latency to which one may grow, of what was asked for; 0: it may not.
func granted(latency, most time.Duration) time.Duration {
	if most = min(most, maxLatency); most <= latency {
		return 0
	}
	return most
}

// enter makes run the connection of its session, after the one before has ended, and returns what that one left to a
// publisher that resumes.
func (l *Listener) enter(h *wire.Hello, run *running) (k kept, err error) {
	var before *running
	for {
		l.mu.Lock()
		old := l.sessions[h.SessionID]
		if old == nil {
			l.sessions[h.SessionID] = run
			if before != nil {
				k, before.kept = before.kept, kept{}
			}
			l.mu.Unlock()
			return k, nil
		}
		l.mu.Unlock()
		if old.name != h.Name || old.token != h.Token {
			return k, &Rejection{409, "the session id is in use"}
		}
		why := errReplaced
		if h.Flags&wire.HelloResume != 0 {
			why = errResumed
		}
		old.cancel(why)
		<-old.done // soon; and who asked for what it keeps must take that
		before = old
	}
}

// leave ends a connection's hold of its session; k is for the next one.
func (l *Listener) leave(id [16]byte, run *running, k kept) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sessions, id)
	run.kept = k
	close(run.done)
}

// refuse answers a hello with why not, and leaves the publisher a moment to read it.
func (l *Listener) refuse(conn *quic.Conn, stream *quic.Stream, h *wire.Hello, err error) {
	r, ok := errors.AsType[*Rejection](err)
	if !ok {
		r = &Rejection{403, err.Error()}
	}
	l.cfg.refused(r.Status)
	l.cfg.Logger.Warn("quic publisher refused", "peer", conn.RemoteAddr(), "stream", h.Name, "status", r.Status, "err", r.Reason)
	_ = stream.SetWriteDeadline(time.Now().Add(setup))
	_, _ = stream.Write(wire.AppendWelcome(nil, &wire.Welcome{Version: wire.Version, Status: r.Status, SessionID: h.SessionID, Reason: r.Reason}))
	_ = stream.Close()
	select {
	case <-conn.Context().Done(): // it has read the answer
	case <-time.After(time.Second):
	}
	_ = conn.CloseWithError(codeRefused, r.Reason)
}
