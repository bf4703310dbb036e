package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/fairlead-live/fairlead/bridge/auth"
	"github.com/fairlead-live/fairlead/bridge/httpflv"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/rtmpserver"
)

// ErrNotAllowed is wrapped by the answer to a publisher or a player who may not.
var ErrNotAllowed = errors.New("relay: not allowed here")

// admit asks the guard. who is whom two publishers have in common that are the same: what the credential says, else the address. The error
// is for the log: it names the reason; forPeer is what the peer may read of it.
func (r *Relay) admit(ctx context.Context, q auth.Request) (who string, err error) {
	who, err = r.guard.Load().Admit(ctx, time.Now(), q)
	if err != nil {
		r.refused.denied(q.Protocol, err)
		return "", fmt.Errorf("%w: %w", ErrNotAllowed, err)
	}
	if who == "" {
		who = "address " + q.Peer.Unmap().String()
	}
	return who, nil
}

// allow is admit for those whose identity matters to nobody.
func (r *Relay) allow(ctx context.Context, q auth.Request) error {
	_, err := r.admit(ctx, q)
	return err
}

// takeover is the policy for a second publisher of a key.
func (r *Relay) takeover(name string) hub.Takeover {
	if rules := r.rules.Load(); rules != nil {
		return rules.For(name)
	}
	return hub.Takeover{}
}

// inUse is what a publisher reads that came second.
func inUse(err error) string {
	if errors.Is(err, hub.ErrKickWar) {
		return "the key is in use: two publishers kept replacing each other, so the present one keeps it for now"
	}
	return "the key is in use by another publisher"
}

// sayReplaced is the line of the log for a publisher that took the key from another one.
func sayReplaced(log *slog.Logger, pub *hub.Publisher) {
	if old := pub.Replaced(); old != nil {
		log.Warn("publisher replaced", "was", old.Peer, "was_protocol", old.Protocol)
	}
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

func (r *Relay) authorizeRTMP(ctx context.Context, req rtmpserver.Request) (string, error) {
	q := auth.Request{Protocol: "rtmp", Name: req.Name, Query: req.Query, TCURL: req.TCURL}
	if !req.Publish {
		q.Action = auth.Play
	}
	q.Peer, q.PeerPort = peerOf(req.Peer)
	who, err := r.admit(ctx, q)
	if err != nil {
		return "", fmt.Errorf("%w: %w", rtmpserver.ErrUnauthorized, err)
	}
	return who, nil
}

func (r *Relay) authorizeHTTP(ctx context.Context, req httpflv.Request) error {
	q := auth.Request{Action: auth.Play, Protocol: "http", Name: req.Name, Suffix: req.Suffix, Token: req.Bearer, Query: req.Query}
	q.Peer, q.PeerPort = peerOf(req.Peer)
	return r.allow(ctx, q)
}
