package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

var (
	noon  = time.Unix(1_790_000_000, 0)
	phone = netip.MustParseAddr("192.0.2.7")
	thief = netip.MustParseAddr("198.51.100.9")
)

const (
	secret    = "sixteen characters and more"
	jwtSecret = "thirty-two characters at the very least, and a few"
)

// reason of an outcome: NumReasons stands for admitted.
func reason(t *testing.T, err error) Reason {
	t.Helper()
	if err == nil {
		return NumReasons
	}
	var d *Denied
	if !errors.As(err, &d) || !errors.Is(err, ErrDenied) {
		t.Fatalf("not a refusal: %v", err)
	}
	if d.Reason != TooMany && d.Peer() != "not allowed" {
		t.Errorf("the peer is told %q", d.Peer())
	}
	return d.Reason
}

func TestKeys(t *testing.T) {
	g, err := New(Config{Keys: []string{"live/open", "live/cam=s3cret"}, Play: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		r    Request
		want Reason
	}{
		{"bare", Request{Name: "live/open"}, NumReasons},
		{"bare, watched", Request{Name: "live/open", Action: Play}, NoCredential},
		{"secret in the protocol", Request{Name: "live/cam", Token: "s3cret"}, NumReasons},
		{"secret in the query", Request{Name: "live/cam", Query: "a=1&token=s3cret"}, NumReasons},
		{"watched with the secret", Request{Name: "live/cam", Action: Play, Token: "s3cret"}, NumReasons},
		{"no secret", Request{Name: "live/cam"}, NoCredential},
		{"wrong secret", Request{Name: "live/cam", Token: "s3cre"}, BadSignature},
		{"unknown", Request{Name: "live/dog", Token: "s3cret"}, UnknownKey},
	} {
		c.r.Peer = phone
		if got := reason(t, g.Check(context.Background(), noon, c.r)); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

func TestTokens(t *testing.T) {
	g, err := New(Config{Secrets: []string{"the new one, not in use yet", secret}, Play: true})
	if err != nil {
		t.Fatal(err)
	}
	hour := noon.Add(time.Hour)
	both := Token([]byte(secret), "live/cam", true, true, false, hour)
	app := Token([]byte(secret), "live/*", true, false, false, hour)
	once := Token([]byte(secret), "live/cam", true, false, true, hour)
	for _, c := range []struct {
		what string
		r    Request
		at   time.Time
		want Reason
	}{
		{"good", Request{Name: "live/cam", Token: both}, noon, NumReasons},
		{"to watch", Request{Name: "live/cam", Token: both, Action: Play}, noon, NumReasons},
		{"a whole app", Request{Name: "live/anything", Token: app}, noon, NumReasons},
		{"another app", Request{Name: "other/anything", Token: app}, noon, BadSignature},
		{"not to watch", Request{Name: "live/cam", Token: app, Action: Play}, noon, OtherAction},
		{"another stream", Request{Name: "live/dog", Token: both}, noon, BadSignature},
		{"expired", Request{Name: "live/cam", Token: both}, hour, Expired},
		{"longer than made", Request{Name: "live/cam", Token: strings.Replace(both, "f1.", "f1.f", 1)}, noon, BadSignature},
		{"more allowed", Request{Name: "live/cam", Token: strings.Replace(app, ".p.", ".pw.", 1), Action: Play}, noon, BadSignature},
		{"cut", Request{Name: "live/cam", Token: both[:len(both)-1]}, noon, BadSignature},
		{"none", Request{Name: "live/cam"}, noon, NoCredential},
		{"once", Request{Name: "live/cam", Token: once, Peer: phone}, noon, NumReasons},
		{"the same again", Request{Name: "live/cam", Token: once, Peer: phone}, noon.Add(time.Minute), NumReasons},
		{"replayed", Request{Name: "live/cam", Token: once, Peer: thief}, noon.Add(time.Minute), Replayed},
	} {
		if got := reason(t, g.Check(context.Background(), c.at, c.r)); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, kid string, c any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", kid))
	if err != nil {
		t.Fatal(err)
	}
	out, err := jwt.Signed(s).Claims(c).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestJWT(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: ec.Public(), KeyID: "ec"}, {Key: rs.Public(), KeyID: "rsa"}}})
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked++; _, _ = w.Write(set) }))
	defer web.Close()
	g, err := New(Config{JWTSecrets: []string{jwtSecret}, JWKS: web.URL, Audience: "relay", Play: true})
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*claims)) *claims {
		c := &claims{Claims: jwt.Claims{Expiry: jwt.NewNumericDate(noon.Add(time.Hour)), Audience: jwt.Audience{"relay"}},
			Permissions: []permission{{"publish", "live/*"}, {"read", "live/cam"}}}
		if change != nil {
			change(c)
		}
		return c
	}
	plain := with(nil)
	hs := sign(t, jose.HS256, []byte(jwtSecret), "", plain)
	other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	for _, c := range []struct {
		what string
		r    Request
		want Reason
	}{
		{"HS256", Request{Token: hs}, NumReasons},
		{"ES256", Request{Token: sign(t, jose.ES256, ec, "ec", plain)}, NumReasons},
		{"RS256 in the query", Request{Query: "token=" + sign(t, jose.RS256, rs, "rsa", plain)}, NumReasons},
		{"to watch", Request{Token: hs, Action: Play}, NumReasons},
		{"to watch another", Request{Token: hs, Action: Play, Name: "live/dog"}, OtherStream},
		{"another app", Request{Token: hs, Name: "other/cam"}, OtherStream},
		{"expired", Request{Token: sign(t, jose.HS256, []byte(jwtSecret), "", with(func(c *claims) { c.Expiry = jwt.NewNumericDate(noon.Add(-time.Minute)) }))}, Expired},
		{"endless", Request{Token: sign(t, jose.HS256, []byte(jwtSecret), "", with(func(c *claims) { c.Expiry = nil }))}, Expired},
		{"not yet", Request{Token: sign(t, jose.HS256, []byte(jwtSecret), "", with(func(c *claims) { c.NotBefore = jwt.NewNumericDate(noon.Add(time.Hour)) }))}, NotYet},
		{"for somebody else", Request{Token: sign(t, jose.HS256, []byte(jwtSecret), "", with(func(c *claims) { c.Audience = jwt.Audience{"shop"} }))}, BadSignature},
		{"another secret", Request{Token: sign(t, jose.HS256, []byte(jwtSecret+"!"), "", plain)}, BadSignature},
		{"another key under our id", Request{Token: sign(t, jose.ES256, other, "ec", plain)}, BadSignature},
		{"the public key as a secret", Request{Token: sign(t, jose.HS256, set, "ec", plain)}, BadSignature},
		{"unsigned", Request{Token: "eyJhbGciOiJub25lIn0.eyJleHAiOjI1MDAwMDAwMDB9."}, BadSignature},
		{"tampered", Request{Token: hs[:len(hs)-3] + "abc"}, BadSignature},
		{"jti", Request{Token: sign(t, jose.HS256, []byte(jwtSecret), "", with(func(c *claims) { c.ID = "7" }))}, NumReasons},
		{"jti from elsewhere", Request{Peer: thief, Token: sign(t, jose.HS256, []byte(jwtSecret), "", with(func(c *claims) { c.ID = "7" }))}, Replayed},
	} {
		if c.r.Name == "" {
			c.r.Name = "live/cam"
		}
		if !c.r.Peer.IsValid() {
			c.r.Peer = phone
		}
		if got := reason(t, g.Check(context.Background(), noon, c.r)); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
	if asked != 1 {
		t.Errorf("the key set was fetched %d times", asked)
	}
}

func TestHook(t *testing.T) {
	var got hookRequest
	answer, status, slow := `0`, 200, time.Duration(0)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&got)
		if slow > 0 {
			<-r.Context().Done()
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	defer web.Close()
	g, err := New(Config{Hook: web.URL, HookWithin: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r := Request{Name: "live/cam", Protocol: "rtmp", Query: "token=x", TCURL: "rtmp://relay/live", Peer: phone, PeerPort: 5000}
	at := noon
	ask := func() Reason { // past the time in which a repetition gets the same answer
		t.Helper()
		at = at.Add(2 * time.Second)
		return reason(t, g.Check(context.Background(), at, r))
	}
	if ask() != NumReasons {
		t.Error("0 was not a yes")
	}
	want := hookRequest{"on_publish", "192.0.2.7:5000", "192.0.2.7", "__defaultVhost__", "live", "rtmp://relay/live", "cam", "?token=x", "rtmp"}
	if got != want {
		t.Errorf("it was asked %+v, want %+v", got, want)
	}
	if answer = `{"code":0,"data":null}`; ask() != NumReasons {
		t.Error("code 0 was not a yes")
	}
	for _, a := range []string{`{"code":1}`, `{}`, ``, `yes`, `{"code":"0"}`} {
		if answer = a; ask() != HookRefused {
			t.Errorf("%q was not a no", a)
		}
	}
	if answer, status = "0", 403; ask() != HookRefused {
		t.Error("403 was not a no")
	}
	if status = 500; ask() != HookFailed {
		t.Error("500 was not a failure")
	}
	status, slow = 200, time.Second
	if ask() != HookFailed {
		t.Error("silence was not a failure")
	}
	open, err := New(Config{Hook: web.URL, HookWithin: 50 * time.Millisecond, HookOpen: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := open.Check(context.Background(), noon, r); err != nil {
		t.Errorf("fail-open: %v", err)
	}
}

// One way's credential does not hide another way's.
func TestWaysAreAlternatives(t *testing.T) {
	g, err := New(Config{Keys: []string{"live/open"}, Secrets: []string{secret}, JWTSecrets: []string{jwtSecret}, Signed: []string{"tencent=k1"}})
	if err != nil {
		t.Fatal(err)
	}
	tencent, _ := Vendor("tencent")
	for what, r := range map[string]Request{
		"key":    {Name: "live/open"},
		"token":  {Name: "live/cam", Token: Token([]byte(secret), "live/cam", true, false, false, noon.Add(time.Hour))},
		"JWT":    {Name: "live/cam", Token: sign(t, jose.HS256, []byte(jwtSecret), "", &claims{Claims: jwt.Claims{Expiry: jwt.NewNumericDate(noon.Add(time.Hour))}, MediaMTX: []permission{{"publish", ""}}})},
		"signed": {Name: "live/cam", Query: tencent.Sign("k1", Params{Path: "/live/cam", Time: noon.Add(time.Hour)})},
		"watch":  {Name: "live/any", Action: Play},
	} {
		r.Peer = phone
		if err := g.Check(context.Background(), noon, r); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	none, err := New(Config{})
	if err != nil || !none.Open(Publish) || none.Check(context.Background(), noon, Request{Name: "a/b"}) != nil {
		t.Errorf("without a way: %v", err)
	}
}

func TestTooMany(t *testing.T) {
	g, err := New(Config{Keys: []string{"live/cam=s3cret"}})
	if err != nil {
		t.Fatal(err)
	}
	guess := func(at time.Time, from string, token string) Reason {
		t.Helper()
		return reason(t, g.Check(context.Background(), at, Request{Name: "live/cam", Token: token, Peer: netip.MustParseAddr(from)}))
	}
	for range 10 * maxFailures { // one that repeats itself
		if got := guess(noon, "2001:db8::1", "guess 0"); got != BadSignature {
			t.Fatal(got)
		}
	}
	for i := range maxFailures {
		if got := guess(noon, "2001:db8::1", fmt.Sprint("guess ", i)); got != BadSignature {
			t.Fatal(got)
		}
	}
	for _, c := range []struct {
		at   time.Time
		from string
		want Reason
	}{
		{noon.Add(59 * time.Second), "2001:db8::2", TooMany}, // the same subscriber
		{noon.Add(59 * time.Second), "2001:db8:0:1::2", NumReasons},
		{noon.Add(61 * time.Second), "2001:db8::2", NumReasons},
	} {
		if got := guess(c.at, c.from, "s3cret"); got != c.want {
			t.Errorf("%s at %v: %v, want %v", c.from, c.at.Sub(noon), got, c.want)
		}
	}
	for i := range 3 * maxAddresses {
		guess(noon, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String(), "guess")
	}
	if n := len(g.slow.by); n > maxAddresses {
		t.Errorf("%d addresses are remembered", n)
	}
}

func TestReplayIsBounded(t *testing.T) {
	var p replay
	for i := range maxSeen {
		if !p.use(noon, phone, grant{id: strconv.Itoa(i), expiry: noon.Add(time.Hour)}) {
			t.Fatal(i)
		}
	}
	if p.use(noon, phone, grant{id: "one more", expiry: noon.Add(time.Hour)}) {
		t.Error("full, and it still takes more")
	}
	if !p.use(noon.Add(2*time.Hour), phone, grant{id: "one more", expiry: noon.Add(3 * time.Hour)}) || len(p.seen) != 1 {
		t.Errorf("%d remembered after all ended", len(p.seen))
	}
}

func TestSecrets(t *testing.T) {
	t.Setenv("AUTH_TEST", "from the environment")
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from a file of ours\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{"plain": "plain", "env:AUTH_TEST": "from the environment", "file:" + file: "from a file of ours"} {
		if got, err := Secret(in); err != nil || got != want {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
	for _, cfg := range []Config{
		{Secrets: []string{"short"}}, {Secrets: []string{"env:AUTH_TEST_NOT_SET"}}, {JWTSecrets: []string{"shorter than thirty-two"}},
		{Signed: []string{"nobody=key"}}, {Signed: []string{"tencent"}}, {Hook: "ftp://x"}, {JWKS: "ftp://x"}, {Keys: []string{"a/b="}}, {Keys: []string{"a/b=file:/no/such"}},
	} {
		if _, err := New(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add(Token([]byte("another secret, not ours"), "live/cam", true, true, true, noon.Add(time.Hour)))
	f.Add("eyJhbGciOiJub25lIn0.eyJleHAiOjI1MDAwMDAwMDB9.")
	g, err := New(Config{Keys: []string{"live/x=" + secret}, Secrets: []string{secret}, JWTSecrets: []string{jwtSecret}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if g.Check(context.Background(), noon, Request{Name: "live/cam", Token: token}) == nil {
			t.Fatalf("%q was admitted", token)
		}
	})
}

func BenchmarkToken(b *testing.B) {
	g, _ := New(Config{Secrets: []string{secret}})
	r := Request{Name: "live/cam", Token: Token([]byte(secret), "live/cam", true, false, false, noon.Add(time.Hour))}
	b.ReportAllocs()
	for b.Loop() {
		if err := g.Check(context.Background(), noon, r); err != nil {
			b.Fatal(err)
		}
	}
}
