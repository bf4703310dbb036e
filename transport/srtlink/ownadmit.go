package srtlink

import (
	"context"
	"net/netip"
	"time"

	"github.com/fairlead-live/fairlead/transport/srt"
)

// decide asks Admit about a request, and tells the loop. It is a goroutine of its own, so that Admit may take its time.
//
// old is who had the stream, and yields: Admit is asked when its function has returned. nil: nobody.
func (l *ownListener) decide(ctx context.Context, r *srt.Request, peer netip.AddrPort, old *ownLink) {
	if old != nil {
		l.yield(ctx, old)
	} else if other := l.loops.holder(r.StreamID, l.index); other != nil {
		l.evict(ctx, other, r.StreamID)
	}
	run, err := l.admit(r, peer)
	accepted := make(chan *ownLink, 1)
	l.do(func(now time.Time) {
		if err != nil {
			l.reject(now, r, rejection(err))
			accepted <- nil
			return
		}
		c := l.core.Accept(now, r)
		if c == nil {
			accepted <- nil // the core has told the caller
			return
		}
		link := newOwnLink(l, c, now)
		l.links[c] = link
		l.loops.opened(now, r.StreamID, l.index)
		accepted <- link
	})
	var link *ownLink
	select {
	case link = <-accepted:
	case <-ctx.Done():
		select {
		case link = <-accepted:
		default:
		}
	}
	if err != nil {
		return
	}
	if link == nil {
		run(ctx, nil)
		return
	}
	defer l.do(func(time.Time) { delete(l.left, link.conn) })
	defer close(link.done)
	conn := &Conn{link: link}
	run(ctx, conn)
	_ = conn.Close()
}

// yield waits until the function of a connection that has ended has returned.
func (l *ownListener) yield(ctx context.Context, old *ownLink) {
	deadline := time.NewTimer(yieldWithin)
	defer deadline.Stop()
	select {
	case <-old.done:
	case <-deadline.C:
	case <-ctx.Done():
	}
}

func (l *ownListener) reject(now time.Time, r *srt.Request, why *Rejection) {
	l.core.Reject(now, r, srt.RejectCode(why.Code))
	l.log(l.real(r.Peer), r.StreamID, why)
}

func (l *ownListener) admit(r *srt.Request, peer netip.AddrPort) (func(context.Context, *Conn), error) {
	id, err := l.cfg.streamID(r.StreamID)
	if err != nil {
		return nil, &Rejection{CodeBadRequest, err.Error()}
	}
	return l.cfg.Admit(Request{StreamID: id, Peer: peer, Encrypted: r.Encrypted})
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

func (l *ownListener) log(peer netip.AddrPort, streamID string, r *Rejection) {
	l.cfg.refused(r)
	again, speak := l.quiet.tell(time.Now(), peer.Addr(), r.Reason)
	if speak {
		l.cfg.Logger.Warn("srt caller rejected", "peer", peer, "streamid", streamID, "code", r.Code, "err", r.Reason, "times_before", again)
	}
}
