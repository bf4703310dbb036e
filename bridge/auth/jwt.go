package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	jwksFresh   = 5 * time.Minute  // how long a fetched key set is used without asking again
	jwksRetry   = 10 * time.Second // between fetches, whatever key ids are named to us
	jwksMax     = 1 << 20          // bytes
	jwtMax      = 8 << 10          // bytes of a token
	jwtLeeway   = 30 * time.Second // between clocks (RFC 7519 4.1.4: "usually no more than a few minutes")
	fetchWithin = 3 * time.Second
)

var (
	secretAlgorithms = []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512}
	publicAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.ES256, jose.ES384, jose.EdDSA}
)

func isJWT(s string) bool { return strings.HasPrefix(s, "ey") && strings.Count(s, ".") == 2 }

// claims are what we read beside the registered ones.
type claims struct {
	jwt.Claims
	Permissions []permission `json:"permissions"`
	MediaMTX    []permission `json:"mediamtx_permissions"`
}

type permission struct {
	Action string `json:"action"` // publish or play; read is another word for play
	Path   string `json:"path"`   // app/key, app/*, or empty: all
}

func (p *permission) allows(a Action, name string) (action, path bool) {
	action = p.Action == a.String() || a == Play && p.Action == "read"
	app, any := strings.CutSuffix(p.Path, "/*")
	return action, p.Path == "" || p.Path == name || any && strings.HasPrefix(name, app+"/")
}

// jwts verifies JSON Web Tokens (RFC 7519): by secrets only those signed with HMAC, by the key set only the others, so
// that a public key is never taken for a secret.
type jwts struct {
	secrets  [][]byte
	set      *keySet // nil: none
	audience string  // empty: any
}

func (j *jwts) check(ctx context.Context, now time.Time, r *Request) (grant, error) {
	s := r.token()
	if !isJWT(s) {
		return grant{}, errNext
	}
	if len(s) > jwtMax {
		return grant{}, deny(BadSignature, "a JWT of %d bytes", len(s))
	}
	c, err := j.verify(ctx, now, s)
	if err != nil {
		return grant{}, err
	}
	if c.Expiry == nil {
		return grant{}, deny(Expired, "the JWT has no exp: tokens must end")
	}
	want := jwt.Expected{Time: now}
	if j.audience != "" {
		want.AnyAudience = jwt.Audience{j.audience}
	}
	if err := c.ValidateWithLeeway(want, jwtLeeway); err != nil {
		switch {
		case errors.Is(err, jwt.ErrExpired):
			return grant{}, deny(Expired, "the JWT ended at %s", c.Expiry.Time().UTC().Format(time.RFC3339))
		case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
			return grant{}, deny(NotYet, "%v", err)
		}
		return grant{}, deny(BadSignature, "%v", err)
	}
	action, path := false, false
	for _, p := range append(c.Permissions, c.MediaMTX...) {
		a, n := p.allows(r.Action, r.Name)
		if a && n {
			g := grant{who: whoHas(s)}
			if c.Subject != "" {
				g.who = "jwt " + c.Issuer + "|" + c.Subject
			}
			if c.ID != "" {
				g.id, g.expiry = "jti|"+c.Issuer+"|"+c.ID, c.Expiry.Time().Add(jwtLeeway)
			}
			return g, nil
		}
		action, path = action || a, path || n
	}
	if path && !action {
		return grant{}, deny(OtherAction, "the JWT does not permit to %s %s", r.Action, r.Name)
	}
	return grant{}, deny(OtherStream, "the JWT does not permit to %s %s", r.Action, r.Name)
}

// verify checks the signature and returns what it covers.
func (j *jwts) verify(ctx context.Context, now time.Time, s string) (*claims, error) {
	for _, secret := range j.secrets {
		t, err := jwt.ParseSigned(s, secretAlgorithms)
		if err != nil {
			break
		}
		c := &claims{}
		if t.Claims(secret, c) == nil {
			return c, nil
		}
	}
	if j.set == nil {
		return nil, deny(BadSignature, "no secret of ours made this JWT")
	}
	t, err := jwt.ParseSigned(s, publicAlgorithms)
	if err != nil {
		return nil, deny(BadSignature, "not a JWT of a kind we know: %v", err)
	}
	found, err := j.set.find(ctx, now, t.Headers[0].KeyID)
	if err != nil {
		return nil, deny(HookFailed, "%v", err)
	}
	for _, k := range found {
		c := &claims{}
		if t.Claims(k.Key, c) == nil {
			return c, nil
		}
	}
	return nil, deny(BadSignature, "no key of the set (kid %.40q) made this JWT", t.Headers[0].KeyID)
}

// keySet is a JSON Web Key Set (RFC 7517) of a file or an https URL, read again when it is old or names a key we lack.
type keySet struct {
	from   string
	client *http.Client

	mu    sync.Mutex
	keys  jose.JSONWebKeySet
	read  time.Time // of keys
	tried time.Time
}

func (s *keySet) find(ctx context.Context, now time.Time, id string) ([]jose.JSONWebKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.match(id)
	if stale := s.read.IsZero() || now.Sub(s.read) > jwksFresh; (stale || len(found) == 0) && (s.tried.IsZero() || now.Sub(s.tried) > jwksRetry) {
		s.tried = now
		if err := s.load(ctx, now); err != nil && s.read.IsZero() { // an old set is better than none
			return nil, err
		}
		found = s.match(id)
	}
	return found, nil
}

func (s *keySet) match(id string) []jose.JSONWebKey {
	if id == "" {
		return s.keys.Keys
	}
	return s.keys.Key(id)
}

func (s *keySet) load(ctx context.Context, now time.Time) error {
	b, err := s.fetch(ctx)
	if err != nil {
		return fmt.Errorf("key set %s: %w", s.from, err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(b, &set); err != nil {
		return fmt.Errorf("key set %s: %w", s.from, err)
	}
	public := set.Keys[:0]
	for _, k := range set.Keys {
		if k.IsPublic() && k.Valid() {
			public = append(public, k)
		}
	}
	set.Keys = public
	s.keys, s.read = set, now
	return nil
}

func (s *keySet) fetch(ctx context.Context) ([]byte, error) {
	if !strings.Contains(s.from, "://") {
		return os.ReadFile(s.from)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.from, nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s", resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, jwksMax+1))
	if err == nil && len(b) > jwksMax {
		return nil, fmt.Errorf("more than %d bytes", jwksMax)
	}
	return b, err
}
