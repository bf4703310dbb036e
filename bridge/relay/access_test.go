package relay

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
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

// Every way of auth, right and wrong, over every protocol.
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
	web := func(expiry time.Time) string {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(jwtSecret)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		out, err := jwt.Signed(s).Claims(map[string]any{"exp": expiry.Unix(), "permissions": []map[string]string{
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
	signed := func(name string, expiry time.Time) string {
		return tencent.Sign(signKey, auth.Params{Path: "/" + name, Time: expiry})
	}
	hour, past := now.Add(time.Hour), now.Add(-time.Hour)
	for _, way := range []struct {
		name string
		cfg  config.Relay
		good func(name string) credential
		bad  []func(name string) credential
	}{
		{"key", config.Relay{Key: []string{"live/srt=s3cret", "live/quic=s3cret", "live/rtmp=s3cret", "live/rtmp-play=s3cret", "live/http=s3cret"}},
			func(string) credential { return credential{token: "s3cret"} },
			[]func(string) credential{func(string) credential { return credential{token: "S3cret"} }}},
		{"token", config.Relay{AuthSecret: []string{secret}},
			func(name string) credential {
				return credential{token: auth.Token([]byte(secret), name, true, true, false, hour)}
			},
			[]func(string) credential{
				func(name string) credential {
					return credential{token: auth.Token([]byte(secret), name, true, true, false, past)}
				},
				func(name string) credential {
					return credential{token: tampered(auth.Token([]byte(secret), name, true, true, false, hour))}
				},
				func(string) credential {
					return credential{token: auth.Token([]byte(secret), "live/other", true, true, false, hour)}
				},
			}},
		{"jwt", config.Relay{AuthJWTSecret: []string{jwtSecret}},
			func(string) credential { return credential{token: web(hour)} },
			[]func(string) credential{
				func(string) credential { return credential{token: web(past)} },
				func(string) credential { return credential{token: tampered(web(hour))} },
			}},
		{"signed", config.Relay{AuthSigned: []string{"tencent=" + signKey}},
			func(name string) credential { return credential{query: signed(name, hour)} },
			[]func(string) credential{
				func(name string) credential { return credential{query: signed(name, past)} },
				func(string) credential { return credential{query: signed("live/other", hour)} },
			}},
		{"hook", config.Relay{AuthHook: hook.URL},
			func(string) credential { return credential{token: "let-me-in"} },
			[]func(string) credential{func(string) credential { return credential{token: "let-me"} }}},
	} {
		t.Run(way.name, func(t *testing.T) {
			way.cfg.AuthPlay, way.cfg.Hold = true, time.Second
			for _, e := range entries {
				r := startQUIC(t, way.cfg) // each its own: too many failures would be a refusal for all
				name := "live/" + strings.ReplaceAll(e.name, " ", "-")
				if way.name == "signed" && (e.name == "srt" || e.name == "quic") {
					continue // nothing signs their URLs
				}
				if e.play {
					pub, err := r.Hub().Publish(name, hub.PublisherInfo{Protocol: "test"})
					if err != nil {
						t.Fatal(err)
					}
					defer pub.Close(nil)
				}
				for i, bad := range append(way.bad, func(string) credential { return credential{} }) {
					if e.try(t, r, name, bad(name)) {
						t.Errorf("%s: wrong credential %d was let in", e.name, i)
					}
				}
				if !e.try(t, r, name, way.good(name)) {
					t.Errorf("%s: the right credential was refused", e.name)
				}
			}
		})
	}
}
