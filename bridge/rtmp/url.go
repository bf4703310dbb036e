package rtmp

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// ErrURL is wrapped by every error about an address that cannot be used.
var ErrURL = errors.New("rtmp: bad URL")

// Target is where a client publishes to or plays from.
type Target struct {
	TLS            bool   // rtmps
	Host           string // name or address without port
	Port           string // never empty
	App            string // may contain slashes and be empty
	Key            string // the stream, with its query
	User, Password string // of Adobe authentication
	tcHost         string // host as it was written, for tcUrl
}

// ParseURL splits rtmp[s]://[user:password@]host[:port]/app/key?query: the last path element with the query is the
// key, all before it the app. Behind an app that has a query of its own ("/app?vhost=x/key") the part behind its last
// slash is the key. Errors wrap ErrURL and never contain the key or the password.
func ParseURL(s string) (Target, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	t := Target{Port: "1935"} // RTMP 1.0 has none; IANA's macromedia-fcs
	switch strings.ToLower(scheme) {
	case "rtmp":
	case "rtmps":
		t.TLS, t.Port = true, "443"
	default:
		ok = false
	}
	if !ok {
		return Target{}, fmt.Errorf("%w: must begin with rtmp:// or rtmps://", ErrURL)
	}
	authority, path, _ := strings.Cut(rest, "/")
	u, err := url.Parse("rtmp://" + authority)
	if err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return Target{}, fmt.Errorf("%w: no usable host", ErrURL)
	}
	t.Host, t.tcHost = u.Hostname(), u.Host
	if p := u.Port(); p != "" {
		t.Port = p
	}
	t.User = u.User.Username()
	t.Password, _ = u.User.Password()
	t.App, t.Key = SplitPath(path)
	if t.Key == "" {
		return Target{}, fmt.Errorf("%w: no stream key: want %s://host/app/key", ErrURL, scheme)
	}
	return t, nil
}

// SplitPath splits app/key?query at the last slash of its path.
func SplitPath(path string) (app, key string) {
	path = strings.TrimLeft(path, "/")
	before, query, hasQuery := strings.Cut(path, "?")
	if i := strings.LastIndexByte(query, '/'); hasQuery && !strings.Contains(before, "/") && i >= 0 {
		return before + "?" + query[:i], query[i+1:]
	}
	before = strings.TrimRight(before, "/")
	i := strings.LastIndexByte(before, '/')
	app, key = before[:max(i, 0)], before[i+1:]
	if hasQuery && key != "" {
		key += "?" + query
	}
	return strings.TrimRight(app, "/"), key
}

// TCURL is the address sent in connect: everything but the key.
func (t Target) TCURL() string {
	scheme := "rtmp"
	if t.TLS {
		scheme = "rtmps"
	}
	return scheme + "://" + t.tcHost + "/" + t.App
}

// String is the address with neither password nor more of the key than its first four bytes: fit for a log.
func (t Target) String() string {
	key, _, _ := strings.Cut(t.Key, "?")
	if len(key) > 4 {
		key = key[:4] + "…"
	}
	app, _, _ := strings.Cut(t.App, "?")
	t.App = app
	return t.TCURL() + "/" + key
}
