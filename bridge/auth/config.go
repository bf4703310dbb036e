package auth

import (
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// ErrConfig is wrapped by every setting that cannot work.
var ErrConfig = errors.New("auth: setting")

// Config is what a Guard is made of. Secrets may be given as env:NAME or file:PATH instead of themselves.
type Config struct {
	Keys       []string // APP/KEY, which may be published by whoever knows it, or APP/KEY=SECRET
	Secrets    []string // of our tokens; at least 16 characters
	JWTSecrets []string // of JWTs signed with HMAC; at least 32 characters (RFC 7518 3.2)
	JWKS       string   // file or https:// URL of a key set
	Audience   string   // that a JWT must name; empty: any
	Signed     []string // TEMPLATE=KEY, see Vendors; or several with the same template
	Hook       string   // http(s):// URL
	HookWithin time.Duration
	HookOpen   bool // admit while the hook fails
	Play       bool // players need a credential, too
	Client     *http.Client
}

const (
	minSecret    = 16
	minJWTSecret = 32
	hookDefault  = 2 * time.Second
)

// New checks the settings and makes a Guard. Without any way in Config everybody may do everything.
func New(cfg Config) (*Guard, error) {
	g := &Guard{play: cfg.Play, slow: limiter{seed: maphash.MakeSeed()}}
	client := cfg.Client
	if client == nil {
		client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if len(cfg.Keys) > 0 {
		ks := make(keys, 0, len(cfg.Keys))
		for _, s := range cfg.Keys {
			name, secret, has := strings.Cut(s, "=")
			secret, err := Secret(secret)
			if err != nil {
				return nil, fmt.Errorf("%w: key %s: %w", ErrConfig, name, err)
			}
			if has && secret == "" {
				return nil, fmt.Errorf("%w: key %s: an empty secret", ErrConfig, name)
			}
			ks = append(ks, newKey(name, secret))
		}
		g.ways = append(g.ways, ks)
	}
	if err := g.addTokens(cfg); err != nil {
		return nil, err
	}
	if cfg.JWKS != "" || len(cfg.JWTSecrets) > 0 {
		j := &jwts{audience: cfg.Audience}
		for _, s := range cfg.JWTSecrets {
			secret, err := long("auth-jwt-secret", s, minJWTSecret)
			if err != nil {
				return nil, err
			}
			j.secrets = append(j.secrets, secret)
		}
		if cfg.JWKS != "" {
			if err := webURL(cfg.JWKS); strings.Contains(cfg.JWKS, "://") && err != nil {
				return nil, fmt.Errorf("%w: auth-jwks: %w", ErrConfig, err)
			}
			j.set = &keySet{from: cfg.JWKS, client: client}
		}
		g.ways = append(g.ways, j)
	}
	if err := g.addSigned(cfg); err != nil {
		return nil, err
	}
	if cfg.Hook != "" {
		if err := webURL(cfg.Hook); err != nil {
			return nil, fmt.Errorf("%w: auth-hook: %w", ErrConfig, err)
		}
		within := cfg.HookWithin
		if within <= 0 {
			within = hookDefault
		}
		g.ways = append(g.ways, &hook{url: cfg.Hook, timeout: within, open: cfg.HookOpen, client: client})
	}
	return g, nil
}

func (g *Guard) addTokens(cfg Config) error {
	var ts tokens
	for _, s := range cfg.Secrets {
		secret, err := long("auth-secret", s, minSecret)
		if err != nil {
			return err
		}
		ts = append(ts, newMAC(secret))
	}
	if ts != nil {
		g.ways = append(g.ways, ts)
	}
	return nil
}

func (g *Guard) addSigned(cfg Config) error {
	var all []signed
	for _, s := range cfg.Signed {
		t, key, err := ParseSigner(s)
		if err != nil {
			return fmt.Errorf("%w: auth-signed: %w", ErrConfig, err)
		}
		known := false
		for i := range all {
			if all[i].t.Name == t.Name {
				all[i].keys, known = append(all[i].keys, key), true
			}
		}
		if !known {
			all = append(all, signed{t, []string{key}})
		}
	}
	for _, s := range all {
		g.ways = append(g.ways, s)
	}
	return nil
}

// ParseSigner reads TEMPLATE=KEY.
func ParseSigner(s string) (*Template, string, error) {
	name, key, _ := strings.Cut(s, "=")
	t, ok := Vendor(name)
	if !ok {
		return nil, "", fmt.Errorf("%q is none of %s", name, Vendors())
	}
	key, err := Secret(key)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", name, err)
	}
	if key == "" {
		return nil, "", fmt.Errorf("%s: it wants TEMPLATE=KEY", name)
	}
	return t, key, nil
}

// Secret returns s, or what env:NAME or file:PATH stands for, without the last line feed.
func Secret(s string) (string, error) {
	if name, ok := strings.CutPrefix(s, "env:"); ok {
		v, set := os.LookupEnv(name)
		if !set {
			return "", fmt.Errorf("the environment has no %s", name)
		}
		return v, nil
	}
	if path, ok := strings.CutPrefix(s, "file:"); ok {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
	return s, nil
}

func long(word, s string, least int) ([]byte, error) {
	v, err := Secret(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrConfig, word, err)
	}
	if len(v) < least {
		return nil, fmt.Errorf("%w: %s: %d characters; at least %d keep it from being guessed", ErrConfig, word, len(v), least)
	}
	return []byte(v), nil
}

func webURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q is not an http:// or https:// URL", s)
	}
	return nil
}
