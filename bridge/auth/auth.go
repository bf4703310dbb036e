package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Action is what somebody wants to do with a stream.
type Action uint8

// The actions.
const (
	Publish Action = iota
	Play
)

// String returns "publish" or "play".
func (a Action) String() string {
	if a == Play {
		return "play"
	}
	return "publish"
}

// Request is what a peer asks for, before any media is read.
type Request struct {
	Action   Action
	Protocol string // srt, quic, rtmp, http
	Name     string // app/key
	Suffix   string // ".flv" or ".ts" behind the name in an HTTP path; else empty
	Token    string // what the protocol calls token, password or bearer
	Query    string // raw, without the question mark
	TCURL    string // RTMP's
	Peer     netip.Addr
	PeerPort uint16
}

// path is what vendors sign: /app/key, with the suffix for play over HTTP.
func (r *Request) path() string { return "/" + r.Name + r.Suffix }

// stream is the last part of the name.
func (r *Request) stream() string { return r.Name[strings.LastIndexByte(r.Name, '/')+1:] }

// token is the credential outside of the query's signature: the protocol's own field, else token= of the query.
func (r *Request) token() string {
	if r.Token != "" {
		return r.Token
	}
	q, _ := url.ParseQuery(r.Query)
	return q.Get("token")
}

// Reason says why somebody was turned away.
type Reason uint8

// The reasons.
const (
	NoCredential Reason = iota // none was given, or none that a configured way knows
	UnknownKey
	BadSignature
	Expired
	NotYet
	OtherStream
	OtherAction
	Replayed
	HookRefused
	HookFailed
	TooMany // failures from this address
	NumReasons
)

var reasons = [NumReasons]string{"no_credential", "unknown_key", "bad_signature", "expired", "not_yet", "other_stream", "other_action",
	"replayed", "hook_refused", "hook_failed", "too_many"}

// String returns the reason as a label of a metric.
func (r Reason) String() string {
	if r < NumReasons {
		return reasons[r]
	}
	return "unknown"
}

// ErrDenied is wrapped by every refusal.
var ErrDenied = errors.New("auth: not allowed")

// Denied is a refusal. Error is for the operator; Peer for the one who asked.
type Denied struct {
	Reason Reason
	Detail string
}

// Error returns the reason and its detail.
func (d *Denied) Error() string {
	if d.Detail == "" {
		return "auth: " + d.Reason.String()
	}
	return "auth: " + d.Reason.String() + ": " + d.Detail
}

// Unwrap returns ErrDenied.
func (d *Denied) Unwrap() error { return ErrDenied }

// Peer is what the peer may know: the same words for every reason but being too fast.
func (d *Denied) Peer() string {
	if d.Reason == TooMany {
		return "too many attempts; try again in a minute"
	}
	return "not allowed"
}

func deny(r Reason, format string, args ...any) error {
	return &Denied{Reason: r, Detail: fmt.Sprintf(format, args...)}
}

// errNext is a way's answer to a request without a credential of its kind.
var errNext = errors.New("auth: not of this kind")

// way is one kind of credential. check returns nil for yes, errNext for "ask the next", a *Denied for no.
type way interface {
	check(ctx context.Context, now time.Time, r *Request) (grant, error)
}

// grant is a yes: id names a credential that must not be used from a second address, until expiry; "" for none. who is who it was given to,
// as far as the credential says; "" where it does not.
type grant struct {
	id     string
	expiry time.Time
	who    string
}

// Guard decides. It is safe for concurrent use.
type Guard struct {
	ways []way
	play bool
	slow limiter
	seen replay
}

// Open says whether anybody may do this: nothing is configured that could refuse it.
func (g *Guard) Open(a Action) bool { return len(g.ways) == 0 || a == Play && !g.play }

// Check returns nil, or a *Denied. It waits for nothing but the hook and, once, a key set.
func (g *Guard) Check(ctx context.Context, now time.Time, r Request) error {
	_, err := g.Admit(ctx, now, r)
	return err
}

// Admit is Check that says who was admitted: two with the same answer brought the same secret or token, or JSON Web Tokens for the same
// subject. Empty: the credential does not say (a bare name, a signed URL, the hook). It holds no secret.
func (g *Guard) Admit(ctx context.Context, now time.Time, r Request) (who string, err error) {
	if g.Open(r.Action) {
		return "", nil
	}
	if err := g.slow.known(now, &r); err != nil {
		return "", err
	}
	who, err = g.ask(ctx, now, &r)
	if err != nil {
		g.slow.failed(now, &r, err)
	}
	return who, err
}

func (g *Guard) ask(ctx context.Context, now time.Time, r *Request) (who string, err error) {
	for _, w := range g.ways {
		yes, err := w.check(ctx, now, r)
		switch {
		case err == nil:
			if !g.seen.use(now, r.Peer, yes) {
				return "", deny(Replayed, "this %s credential was used from another address", r.Action)
			}
			return yes.who, nil
		case !errors.Is(err, errNext):
			return "", err
		}
	}
	if r.token() == "" && r.Query == "" {
		return "", deny(NoCredential, "%s of %s without a credential, and the name is no key", r.Action, r.Name)
	}
	return "", deny(UnknownKey, "%s of %s: neither a key nor a credential of a configured kind", r.Action, r.Name)
}

// whoHas names the holder of a token without telling it.
func whoHas(token string) string {
	sum := sha256.Sum256([]byte(token))
	var b [22]byte
	return string(hex.AppendEncode(append(b[:0], "token "...), sum[:8]))
}
