package relay

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/auth"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/transport/quiclink"
	"github.com/fairlead-live/fairlead/transport/srtlink"
)

// credential is what a peer brings: a token, a whole query, or nothing.
type credential struct{ token, query string }

func (c credential) suffix(mark string) string {
	switch {
	case c.query != "":
		return mark + c.query
	case c.token != "":
		return mark + "token=" + url.QueryEscape(c.token)
	}
	return ""
}

// Each tries to come in by one protocol and reports whether it was let in.
var entries = []struct {
	name string
	play bool
	try  func(t *testing.T, r *Relay, name string, c credential) bool
}{
	{"srt", false, func(_ *testing.T, r *Relay, name string, c credential) bool {
		conn, err := srtlink.Dial(r.srt.Addr().String(), srtlink.DialConfig{StreamID: "#!::m=publish,r=" + name + ",s=" + c.token})
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	}},
	{"quic", false, func(t *testing.T, r *Relay, name string, c credential) bool {
		ctx, cancel := context.WithTimeout(t.Context(), need.Patience)
		defer cancel()
		client, err := quiclink.Dial(ctx, r.QUICURL(name)+c.suffix("&"), quiclink.DialConfig{})
		if err != nil {
			if said := err.Error(); strings.Contains(said, "signature") || strings.Contains(said, "expired") || strings.Contains(said, "other_") {
				t.Errorf("quic: the peer reads too much: %v", err)
			}
			return false
		}
		cancel()
		_ = client.Run(ctx)
		return true
	}},
	{"rtmp", false, func(t *testing.T, r *Relay, name string, c credential) bool { return rtmpCall(t, r, name, c, true) }},
	{"rtmp play", true, func(t *testing.T, r *Relay, name string, c credential) bool { return rtmpCall(t, r, name, c, false) }},
	{"http", true, func(t *testing.T, r *Relay, name string, c credential) bool {
		ctx, cancel := context.WithTimeout(t.Context(), need.Patience)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.FLVURL(name)+c.suffix("?"), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode != http.StatusForbidden
	}},
}

func rtmpCall(t *testing.T, r *Relay, name string, c credential, publish bool) bool {
	u, err := url.Parse("rtmp://" + r.rtmp.Addr().String() + "/" + name + c.suffix("?"))
	if err != nil {
		t.Fatal(err)
	}
	client := &gortmplib.Client{URL: u, Publish: publish}
	ctx, cancel := context.WithTimeout(t.Context(), need.Patience)
	defer cancel()
	if client.Initialize(ctx) != nil {
		return false
	}
	client.Close()
	return true
}

// wrong is what must not let anybody in, and what the operator reads.
type wrong struct {
	why  string
	with func(name string) credential
}

// Every way of auth, right and wrong, over every protocol: expired, tampered and replayed ones too, refused before anything is published, and
// counted with the reason that the peer does not read.
func TestAccess(t *testing.T) {
	const secret, jwtSecret, signKey = "a secret of some length", "another secret, of thirty-two characters or more", "k3y"
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b := make([]byte, 4096)
		n, _ := req.Body.Read(b)
		if !strings.Contains(string(b[:n]), "token=let-me-in") {
			_, _ = w.Write([]byte(`{"code":403}`))
			return
		}
		_, _ = w.Write([]byte("0"))
	}))
	defer hook.Close()
	now := time.Now()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: rsaKey.Public(), KeyID: "rsa"}, {Key: ecKey.Public(), KeyID: "ec"}}})
	}))
	defer keys.Close()
	jot := func(alg jose.SignatureAlgorithm, key any, id string, expiry time.Time) string {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		out, err := jwt.Signed(s).Claims(map[string]any{"exp": expiry.Unix(), "jti": fmt.Sprint(jotNumber.Add(1)), "permissions": []map[string]string{
			{"action": "publish", "path": "live/*"}, {"action": "play", "path": "live/*"}}}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	tampered := func(s string) string {
		i := len(s) - 8
		c := byte('A')
		if s[i] == c {
			c = 'B'
		}
		return s[:i] + string(c) + s[i+1:]
	}
	tencent, _ := auth.Vendor("tencent")
	aliyun, _ := auth.Vendor("aliyun")
	signed := func(name string, expiry time.Time) string {
		return tencent.Sign(signKey, auth.Params{Path: "/" + name, Time: expiry})
	}
	hour, past := now.Add(time.Hour), now.Add(-time.Hour)
	token := func(name string, once bool, expiry time.Time) credential {
		return credential{token: auth.Token([]byte(secret), name, true, true, once, expiry)}
	}
	hs := func(expiry time.Time) credential {
		return credential{token: jot(jose.HS256, []byte(jwtSecret), "", expiry)}
	}
	fixed := func(c credential) func(string) credential { return func(string) credential { return c } }
	for _, way := range []struct {
		name string
		cfg  config.Relay
		good func(name string) credential
		bad  []wrong
		once func(name string) credential // is bound to the first address; nil: this way has no such thing
	}{
		{"key", config.Relay{Key: []string{"live/srt=s3cret", "live/quic=s3cret", "live/rtmp=s3cret", "live/rtmp-play=s3cret", "live/http=s3cret"}},
			fixed(credential{token: "s3cret"}), []wrong{{"bad_signature", fixed(credential{token: "S3cret"})}}, nil},
		{"token", config.Relay{AuthSecret: []string{secret}},
			func(name string) credential { return token(name, false, hour) },
			[]wrong{
				{"expired", func(name string) credential { return token(name, false, past) }},
				{"bad_signature", func(name string) credential { return credential{token: tampered(token(name, false, hour).token)} }},
				{"bad_signature", func(string) credential { return token("live/other", false, hour) }},
			}, func(name string) credential { return token(name, true, hour) }},
		{"jwt", config.Relay{AuthJWTSecret: []string{jwtSecret}}, func(string) credential { return hs(hour) },
			[]wrong{{"expired", fixed(hs(past))}, {"bad_signature", fixed(credential{token: tampered(hs(hour).token)})}},
			func(string) credential { return hs(hour) }},
		{"jwks", config.Relay{AuthJWKS: keys.URL},
			func(name string) credential {
				if name == "live/srt" { // a stream id has room for 512 characters: RSA's signature is too long
					return credential{token: jot(jose.ES256, ecKey, "ec", hour)}
				}
				return credential{token: jot(jose.RS256, rsaKey, "rsa", hour)}
			},
			[]wrong{
				{"expired", fixed(credential{token: jot(jose.ES256, ecKey, "ec", past)})},
				{"bad_signature", fixed(credential{token: tampered(jot(jose.ES256, ecKey, "ec", hour))})},
				{"bad_signature", fixed(credential{token: jot(jose.HS256, []byte(jwtSecret), "rsa", hour)})},
			}, func(string) credential { return credential{token: jot(jose.ES256, ecKey, "ec", hour)} }},
		{"signed", config.Relay{AuthSigned: []string{"tencent=" + signKey, "aliyun=" + signKey}},
			func(name string) credential { return credential{query: signed(name, hour)} },
			[]wrong{
				{"expired", func(name string) credential { return credential{query: signed(name, past)} }},
				{"bad_signature", func(name string) credential { return credential{query: tampered(signed(name, hour))} }},
				{"bad_signature", fixed(credential{query: signed("live/other", hour)})},
			}, func(name string) credential { // this one has a random number in it
				path := "/" + name
				if name == "live/http" {
					path += ".flv"
				}
				return credential{query: aliyun.Sign(signKey, auth.Params{Path: path, Time: now, Rand: "477b3bbc253f467b8def6711128c7bec"})}
			}},
		{"hook", config.Relay{AuthHook: hook.URL}, fixed(credential{token: "let-me-in"}), []wrong{{"hook_refused", fixed(credential{token: "let-me"})}}, nil},
	} {
		t.Run(way.name, func(t *testing.T) {
			way.cfg.AuthPlay, way.cfg.Hold = true, time.Second
			for _, e := range entries {
				r := startQUIC(t, way.cfg) // each its own: too many failures would be a refusal for all
				name := "live/" + strings.ReplaceAll(e.name, " ", "-")
				if way.name == "signed" && (e.name == "srt" || e.name == "quic") {
					continue // nothing signs their URLs
				}
				protocol, action := strings.TrimSuffix(e.name, " play"), auth.Publish
				if e.play {
					action = auth.Play
					pub, err := r.Hub().Publish(name, hub.PublisherInfo{Protocol: "test"})
					if err != nil {
						t.Fatal(err)
					}
					defer pub.Close(nil)
				}
				refused := func(what string, c credential, why string) {
					before := r.refusedBecause(protocol, why)
					if e.try(t, r, name, c) {
						t.Errorf("%s: %s was let in", e.name, what)
					}
					if got := r.refusedBecause(protocol, why); why != "" && got == before {
						t.Errorf("%s: %s is not counted as %s: %+v", e.name, what, why, r.Refused())
					}
				}
				for i, bad := range way.bad {
					refused(fmt.Sprintf("wrong credential %d", i), bad.with(name), bad.why)
				}
				refused("nobody with a credential", credential{}, "")
				if way.once != nil {
					c := way.once(name)
					elsewhere := auth.Request{Action: action, Protocol: "test", Name: name, Token: c.token, Query: c.query, Peer: netip.MustParseAddr("192.0.2.1")}
					if e.name == "http" {
						elsewhere.Suffix = ".flv"
					}
					if _, err := r.admit(t.Context(), elsewhere); err != nil {
						t.Fatalf("%s: the first use: %v", e.name, err)
					}
					refused("a credential that was used elsewhere", c, "replayed")
				}
				for _, st := range r.Streams() {
					if !e.play && (st.Counts.Publishes > 0 || st.Counts.Frames > 0) {
						t.Errorf("%s: somebody published %d frames", e.name, st.Counts.Frames)
					}
				}
				if !e.try(t, r, name, way.good(name)) {
					t.Errorf("%s: the right credential was refused", e.name)
				}
			}
		})
	}
}

// jotNumber makes each JSON Web Token another one.
var jotNumber atomic.Int64
