package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bridge/auth"
	"github.com/fairlead-live/fairlead/bridge/rtmpout"
)

// Default addresses (design: the ports in use in the field).
const (
	DefaultSRT  = ":8890"
	DefaultQUIC = ":4433"
	DefaultRTMP = ":1935"
	DefaultHTTP = ":8080"
	DefaultAPI  = "127.0.0.1:9997"
)

// DefaultConnections is how many TCP connections RTMP and HTTP hold at once, each. 10,000 that say nothing take 340 MB of RTMP and
// 150 MB of HTTP until they are cut, after 5 s (bridge/relay, TestIdleConnectionsAreBounded -idle 10000).
const DefaultConnections = 10_000

// Relay is what `fairlead relay` is set up with.
type Relay struct {
	SRT  string // address; empty: off
	QUIC string
	RTMP string
	// RTMPS is RTMP over TLS; empty: off
	RTMPS string
	HTTP  string
	API   string

	APIToken string // empty: the API answers requests to a loopback name only

	Connections int // at once to RTMP, and as many to HTTP; 0: DefaultConnections

	Key  []string // APP/KEY or APP/KEY=SECRET that may be published; empty: one is generated
	Push []string // APP/KEY=rtmp://…, APP/KEY=rtmp://…|rtmp://… with backups

	QUICCert string // PEM files; empty: self-signed for this run
	QUICKey  string

	RTMPSCert string // PEM files; empty: QUIC's
	RTMPSKey  string

	AuthSecret     []string // of our expiring tokens
	AuthJWTSecret  []string
	AuthJWKS       string // file or URL
	AuthAudience   string
	AuthSigned     []string // TEMPLATE=KEY
	AuthHook       string   // URL
	AuthHookWithin time.Duration
	AuthHookOpen   bool
	AuthPlay       bool // players, too

	Webhook       []string // URLs that are told what happens
	WebhookSecret string   // signs what they are told

	Takeover []string // POLICY, APP/KEY=POLICY or APP/*=POLICY

	Drain       time.Duration // how long publishers that can be asked have to move on when the relay is told to end
	DrainTo     string        // fairlead://…, where those over QUIC should go; empty: the same address, where another relay may be by then
	DrainToRTMP string        // rtmp(s)://…, where those over RTMP should go; empty: the same

	SRTLatency    time.Duration
	SRTPassphrase string
	SRTLoops      int    // sockets that share the SRT port; 0: one for each four processors
	SRTMigrate    bool   // unencrypted publishers may change their address
	SRTListener   string // "own" or "gosrt"; empty: own
	Hold          time.Duration
	Slate         string // FLV file shown while a publisher is gone; empty: its last key frame
	Log           string // debug, info, warn, error
	LogFormat     string // text or json; empty: text
}

// Bind adds the relay's settings to a set.
func (r *Relay) Bind(s *Set) {
	s.String(&r.SRT, "srt", DefaultSRT, "SRT listen `ADDR` (UDP); empty turns it off")
	s.String(&r.QUIC, "quic", DefaultQUIC, "QUIC listen `ADDR` (UDP) for fairlead push; empty turns it off")
	s.String(&r.RTMP, "rtmp", DefaultRTMP, "RTMP listen `ADDR`; empty turns it off")
	s.String(&r.RTMPS, "rtmps", "", "RTMP over TLS listen `ADDR`, such as :1936; empty turns it off")
	s.String(&r.HTTP, "http", DefaultHTTP, "HTTP listen `ADDR` (HTTP-FLV, readiness); empty turns it off")
	s.String(&r.API, "api", DefaultAPI, "API listen `ADDR` (state, metrics, the page); empty turns it off")
	s.String(&r.APIToken, "api-token", "", "`SECRET` the API asks for; without it, only requests to localhost are answered; env:NAME and file:PATH")
	s.Int(&r.Connections, "connections", DefaultConnections, "`N` TCP connections at once to RTMP, and as many to HTTP; an address has at most a quarter of them")
	s.List(&r.Key, "key", "`APP/KEY` that may be published, or APP/KEY=SECRET, repeatable; without it and without auth-… one is generated")
	s.List(&r.Push, "push", "`APP/KEY=URL`: push this stream to rtmp(s)://…, repeatable; URL|URL|…: to the first that works")
	s.List(&r.Takeover, "takeover", "`POLICY` for a second publisher of a key: idle (the first keeps it until it is silent for 2 s, or idle:5s), newest (the same identity takes over at once), reject; repeatable, APP/KEY=POLICY and APP/*=POLICY too")
	s.Streams("key", "push")
	s.List(&r.AuthSecret, "auth-secret", "`SECRET` of expiring tokens (see --token), repeatable: the next one and the one being replaced; env:NAME and file:PATH here and below")
	s.List(&r.AuthJWTSecret, "auth-jwt-secret", "`SECRET` of JSON Web Tokens signed with HS256 to HS512, repeatable")
	s.String(&r.AuthJWKS, "auth-jwks", "", "`FILE` or URL of the key set for JSON Web Tokens signed with RSA, ECDSA or Ed25519")
	s.String(&r.AuthAudience, "auth-audience", "", "`NAME` a JSON Web Token must have among its aud")
	s.List(&r.AuthSigned, "auth-signed", "`TEMPLATE=KEY` of signed URLs, repeatable: "+auth.Vendors())
	s.String(&r.AuthHook, "auth-hook", "", "`URL` asked by POST whether somebody may (on_publish and on_play as SRS asks)")
	s.Duration(&r.AuthHookWithin, "auth-hook-within", 2*time.Second, "how long auth-hook has to answer")
	s.Bool(&r.AuthHookOpen, "auth-hook-open", false, "admit everybody while auth-hook does not answer")
	s.Bool(&r.AuthPlay, "auth-play", false, "players need a credential, too")
	s.List(&r.Webhook, "webhook", "`URL` that is told by POST what happens (docs/events.md), repeatable")
	s.String(&r.WebhookSecret, "webhook-secret", "", "`SECRET` that signs it, 16 characters or more; env:NAME and file:PATH")
	s.String(&r.QUICCert, "quic-cert", "", "`FILE` with the certificate of QUIC (PEM); without it self-signed, and the URLs carry its pin")
	s.String(&r.QUICKey, "quic-key", "", "`FILE` with the certificate's key (PEM); when both files are absent, they are made")
	s.String(&r.RTMPSCert, "rtmps-cert", "", "`FILE` with the certificate of RTMPS (PEM), read again when it is renewed; without it QUIC's")
	s.String(&r.RTMPSKey, "rtmps-key", "", "`FILE` with that certificate's key (PEM)")
	s.Duration(&r.Drain, "drain", 0, "when told to end, give publishers this long to move on to another relay: over QUIC, and over RTMP where they understand it")
	s.String(&r.DrainTo, "drain-to", "", "`URL` of that relay, fairlead://…; without it they call the same address again")
	s.String(&r.DrainToRTMP, "drain-to-rtmp", "", "`URL` of that relay for publishers over RTMP, rtmp(s)://…; without it they call the same address again")
	s.Duration(&r.SRTLatency, "srt-latency", 120*time.Millisecond, "least SRT latency; a publisher may ask for more")
	s.String(&r.SRTListener, "srt-listener", "own", "`WHO` speaks SRT: own, or gosrt, which is kept for comparison")
	s.Int(&r.SRTLoops, "srt-loops", 0, "`N` loops share the SRT port, each on a processor; 0: one for each four processors")
	s.Bool(&r.SRTMigrate, "srt-migrate", false, "let unencrypted SRT publishers too go on from another address; encrypted ones may")
	s.String(&r.SRTPassphrase, "srt-passphrase", "", "SRT passphrase every publisher must have (10 to 79 characters)")
	s.Duration(&r.Hold, "hold", 20*time.Second, "keep players and destinations this long when the publisher is gone")
	s.String(&r.Slate, "slate", "", "FLV `FILE` shown meanwhile to streams of its codec; without it the last key frame")
	s.String(&r.Log, "log", "info", "log `LEVEL`: debug, info, warn or error")
	s.String(&r.LogFormat, "log-format", "text", "`FORM` of the log: text or json, an object a line")
}

// Destination is one parsed --push.
type Destination struct {
	Name string   // app/key
	URLs []string // the first one that works is used
}

// Validate checks every field; the error names the field and the value, and wraps ErrUsage.
func (r *Relay) Validate() error {
	for _, a := range [...]struct{ word, addr string }{{"srt", r.SRT}, {"quic", r.QUIC}, {"rtmp", r.RTMP}, {"rtmps", r.RTMPS}, {"http", r.HTTP}, {"api", r.API}} {
		if a.addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(a.addr); err != nil {
			return fmt.Errorf("%w: %s: %q is not HOST:PORT or :PORT", ErrUsage, a.word, a.addr)
		}
	}
	if err := r.checkAPI(); err != nil {
		return err
	}
	if err := r.checkWebhook(); err != nil {
		return err
	}
	if r.Connections < 0 || r.Connections > 1_000_000 {
		return fmt.Errorf("%w: connections: %d is outside 1 to 1000000", ErrUsage, r.Connections)
	}
	for _, k := range r.Key {
		name, _, _ := strings.Cut(k, "=")
		if err := ValidName(name); err != nil {
			return fmt.Errorf("%w: key: %w", ErrUsage, err)
		}
	}
	if _, err := auth.New(r.Access()); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if r.AuthHookWithin < 0 || r.AuthHookWithin > 10*time.Second {
		return fmt.Errorf("%w: auth-hook-within: %v is outside 0s to 10s", ErrUsage, r.AuthHookWithin)
	}
	if r.AuthPlay && !r.HasAuth() && !slices.ContainsFunc(r.Key, func(k string) bool { return strings.Contains(k, "=") }) {
		return fmt.Errorf("%w: auth-play: nothing could admit a player: give keys a secret (APP/KEY=SECRET), or set one of auth-secret, auth-jwt-secret, auth-jwks, auth-signed, auth-hook", ErrUsage)
	}
	if _, err := r.Destinations(); err != nil {
		return err
	}
	if _, err := r.TakeoverRules(); err != nil {
		return err
	}
	if n := len(r.SRTPassphrase); n > 0 && (n < 10 || n > 79) {
		return fmt.Errorf("%w: srt-passphrase: %d characters; SRT wants 10 to 79", ErrUsage, n)
	}
	if (r.RTMPSCert == "") != (r.RTMPSKey == "") {
		return fmt.Errorf("%w: rtmps-cert and rtmps-key go together", ErrUsage)
	}
	if (r.QUICCert == "") != (r.QUICKey == "") {
		return fmt.Errorf("%w: quic-cert and quic-key go together", ErrUsage)
	}
	if r.Drain < 0 || r.Drain > 10*time.Minute {
		return fmt.Errorf("%w: drain: %v is outside 0s to 10m", ErrUsage, r.Drain)
	}
	if r.DrainTo != "" && !strings.HasPrefix(r.DrainTo, "fairlead://") {
		return fmt.Errorf("%w: drain-to: %q is not a fairlead:// URL", ErrUsage, r.DrainTo)
	}
	if err := DrainToRTMP(r.DrainToRTMP); err != nil {
		return fmt.Errorf("%w: drain-to-rtmp: %w", ErrUsage, err)
	}
	if r.SRTListener != "" && r.SRTListener != "own" && r.SRTListener != "gosrt" {
		return fmt.Errorf("%w: srt-listener: %q is neither own nor gosrt", ErrUsage, r.SRTListener)
	}
	if r.SRTLoops < 0 || r.SRTLoops > 64 {
		return fmt.Errorf("%w: srt-loops: %d is outside 0 to 64", ErrUsage, r.SRTLoops)
	}
	if r.SRTLatency < 0 || r.SRTLatency > time.Minute {
		return fmt.Errorf("%w: srt-latency: %v is outside 0s to 1m", ErrUsage, r.SRTLatency)
	}
	if r.Hold < 0 || r.Hold > 5*time.Minute {
		return fmt.Errorf("%w: hold: %v is outside 0s to 5m", ErrUsage, r.Hold)
	}
	if r.LogFormat != "" && r.LogFormat != "text" && r.LogFormat != "json" {
		return fmt.Errorf("%w: log-format: %q is neither text nor json", ErrUsage, r.LogFormat)
	}
	switch r.Log {
	case "debug", "info", "warn", "error":
	default:
		return fmt.Errorf("%w: log: %q is not debug, info, warn or error", ErrUsage, r.Log)
	}
	return nil
}

// checkAPI keeps the API from being open to others.
func (r *Relay) checkAPI() error {
	if r.APIToken != "" {
		if n := len(r.APIToken); n < 8 {
			return fmt.Errorf("%w: api-token: %d characters; at least 8", ErrUsage, n)
		}
		return nil
	}
	host, _, _ := net.SplitHostPort(r.API)
	if ip := net.ParseIP(host); r.API != "" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%w: api: %s can be reached by others; set api-token, or listen on 127.0.0.1", ErrUsage, r.API)
	}
	return nil
}

// maxWebhooks bounds them: each has a goroutine and a queue.
const maxWebhooks = 16

func (r *Relay) checkWebhook() error {
	if len(r.Webhook) > maxWebhooks {
		return fmt.Errorf("%w: webhook: %d, at most %d", ErrUsage, len(r.Webhook), maxWebhooks)
	}
	for i, w := range r.Webhook {
		if u, err := url.Parse(w); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("%w: webhook: number %d is not http://… or https://…", ErrUsage, i+1)
		}
	}
	if n := len(r.WebhookSecret); n > 0 && n < 16 && !strings.Contains(r.WebhookSecret, ":") {
		return fmt.Errorf("%w: webhook-secret: %d characters; at least 16", ErrUsage, n)
	}
	return nil
}

// HasAuth says that something beside keys can admit a publisher.
func (r *Relay) HasAuth() bool {
	return len(r.AuthSecret)+len(r.AuthJWTSecret)+len(r.AuthSigned) > 0 || r.AuthJWKS != "" || r.AuthHook != ""
}

// Access returns what decides who may publish and watch.
func (r *Relay) Access() auth.Config {
	return auth.Config{
		Keys: r.Key, Secrets: r.AuthSecret, JWTSecrets: r.AuthJWTSecret, JWKS: r.AuthJWKS, Audience: r.AuthAudience, Signed: r.AuthSigned,
		Hook: r.AuthHook, HookWithin: r.AuthHookWithin, HookOpen: r.AuthHookOpen, Play: r.AuthPlay,
	}
}

// Destinations parses Push.
func (r *Relay) Destinations() ([]Destination, error) {
	var out []Destination
	for _, p := range r.Push {
		name, to, ok := strings.Cut(p, "=")
		if !ok {
			return nil, fmt.Errorf("%w: push: %q is not APP/KEY=rtmp://…", ErrUsage, p)
		}
		d, err := ParseDestination(name, strings.Split(to, "|"))
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// ParseDestination checks a stream's name and the addresses it is pushed to.
func ParseDestination(name string, urls []string) (Destination, error) {
	if err := ValidName(name); err != nil {
		return Destination{}, fmt.Errorf("%w: push: %w", ErrUsage, err)
	}
	if len(urls) == 0 {
		return Destination{}, fmt.Errorf("%w: push: no URL for %s", ErrUsage, name)
	}
	for _, to := range urls {
		u, err := url.Parse(to)
		if err != nil || u.Host == "" || u.Scheme != "rtmp" && u.Scheme != "rtmps" {
			return Destination{}, fmt.Errorf("%w: push: %q is not an rtmp:// or rtmps:// URL", ErrUsage, to)
		}
		if _, _, err := rtmpout.ParseOptions(to); err != nil {
			return Destination{}, fmt.Errorf("%w: push: %s: %w", ErrUsage, name, err)
		}
	}
	return Destination{Name: name, URLs: urls}, nil
}

// ValidName checks "app/key": letters, digits and -._~@+ in at least two parts, at most 256 characters. It is what every
// protocol can carry without escaping.
func ValidName(name string) error {
	parts := strings.Split(name, "/")
	if len(parts) < 2 || len(name) > 256 {
		return fmt.Errorf("%q is not APP/KEY", name)
	}
	for _, p := range parts {
		if p == "" || p == "." || p == ".." {
			return fmt.Errorf("%q is not APP/KEY", name)
		}
		for _, c := range p {
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-._~@+", c)) {
				return fmt.Errorf("%q: %q cannot stand in a stream's name", name, c)
			}
		}
	}
	return nil
}

// DrainToRTMP says whether publishers over RTMP can be sent there; empty: to the same address.
func DrainToRTMP(to string) error {
	if to == "" {
		return nil
	}
	if u, err := url.Parse(to); err != nil || u.Scheme != "rtmp" && u.Scheme != "rtmps" || u.Host == "" {
		return fmt.Errorf("%q is not an rtmp:// or rtmps:// URL", to)
	}
	return nil
}
