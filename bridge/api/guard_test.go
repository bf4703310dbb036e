package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// No route, whoever added it, answers a stranger: none without the token, none to another origin's page, none under a name that
// somebody else's DNS gave us.
func TestEveryRouteIsGuarded(t *testing.T) {
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		what, token string
		change      func(*http.Request)
		status      int
	}{
		{"no token", "t0ken", func(*http.Request) {}, http.StatusUnauthorized},
		{"a wrong token", "t0ken", func(r *http.Request) { r.SetBasicAuth("", "t0ke") }, http.StatusUnauthorized},
		{"another origin, with the token", "t0ken", func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer t0ken")
			r.Header.Set("Origin", "https://attacker.example")
		}, http.StatusForbidden},
		{"another site, with the token", "t0ken", func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer t0ken")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}, http.StatusForbidden},
		{"another origin, no token asked for", "", func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:1") }, http.StatusForbidden},
		{"a rebound name", "", func(r *http.Request) { r.Host = "attacker.example" }, http.StatusForbidden},
		{"an address that others reach", "", func(r *http.Request) { r.Host = "192.0.2.1:9997" }, http.StatusForbidden},
	} {
		source := &fixed{}
		s := New(Config{Source: source, Token: c.token, Page: ok, Picture: ok})
		for pattern := range s.patterns() {
			method, path, _ := strings.Cut(pattern, " ")
			path = strings.NewReplacer("{app}", "live", "{key}", "cam", "{id}", "a1b2", "{name...}", "live/cam", "{$}", "").Replace(path)
			r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:9997"+path, strings.NewReader("{}"))
			c.change(r)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != c.status {
				t.Errorf("%s, %s: %d, want %d", pattern, c.what, w.Code, c.status)
			}
		}
		if len(source.kicked) > 0 {
			t.Errorf("%s: kicked %v", c.what, source.kicked)
		}
	}
}
