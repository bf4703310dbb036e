package relay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/fairlead-live/fairlead/bridge/auth"
	"github.com/fairlead-live/fairlead/bridge/httpflv"
	"github.com/fairlead-live/fairlead/bridge/rtmpserver"
)

// ErrNotAllowed is wrapped by the answer to a publisher or a player who may not.
var ErrNotAllowed = errors.New("relay: not allowed here")

// allow asks the guard. The error is for the log: it names the reason; forPeer is what the peer may read of it.
func (r *Relay) allow(ctx context.Context, q auth.Request) error {
	if err := r.guard.Load().Check(ctx, time.Now(), q); err != nil {
		return fmt.Errorf("%w: %w", ErrNotAllowed, err)
	}
	return nil
}

func forPeer(err error) string {
	if d, ok := errors.AsType[*auth.Denied](err); ok {
		return d.Peer()
	}
	return "not allowed"
}

func peerOf(addr string) (netip.Addr, uint16) {
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return netip.Addr{}, 0
	}
	return a.Addr().Unmap(), a.Port()
}

func (r *Relay) authorizeRTMP(ctx context.Context, req rtmpserver.Request) error {
	q := auth.Request{Protocol: "rtmp", Name: req.Name, Query: req.Query, TCURL: req.TCURL}
	if !req.Publish {
		q.Action = auth.Play
	}
	q.Peer, q.PeerPort = peerOf(req.Peer)
	return r.allow(ctx, q)
}

func (r *Relay) authorizeHTTP(ctx context.Context, req httpflv.Request) error {
	q := auth.Request{Action: auth.Play, Protocol: "http", Name: req.Name, Suffix: req.Suffix, Token: req.Bearer, Query: req.Query}
	q.Peer, q.PeerPort = peerOf(req.Peer)
	return r.allow(ctx, q)
}
