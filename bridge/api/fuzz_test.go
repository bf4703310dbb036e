package api

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// Whatever a request says, nothing panics; who has no token gets nothing and changes nothing, and no other origin is let in.
func FuzzRequests(f *testing.F) {
	f.Add("GET", "/v1/streams", "127.0.0.1:9997", "", "", []byte(nil))
	f.Add("POST", "/v1/streams/live/cam/outputs", "localhost", "", "Bearer t0ken", []byte(`{"urls":["rtmp://x/a/b"]}`))
	f.Add("POST", "/v1/config/apply", "[::1]:9997", "null", "Basic Og==", []byte("hold: 1s\n"))
	f.Add("DELETE", "/v1/streams/live/cam/publisher?token=t0ken", "a.example", "http://a.example", "", []byte(nil))
	f.Add("GET", "/v3/paths/get/../../../etc/passwd", "127.0.0.1", "", "Bearer t0ken", []byte(nil))
	f.Add("GET", "/v1/streams/%2e%2e/%00/players", "127.0.0.1:", "https://127.0.0.1:", "bearer t0ken", []byte(nil))
	f.Add("OPTIONS", "*", "", "x", "", []byte(nil))
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	f.Fuzz(func(t *testing.T, method, target, host, origin, auth string, body []byte) {
		u, err := url.ParseRequestURI(target)
		if err != nil || method == "" || u.Path == "/debug/pprof/profile" || u.Path == "/debug/pprof/trace" { // these take their time
			return
		}
		for _, token := range []string{"", "t0ken"} {
			source := &fixed{}
			s := New(Config{Source: source, Token: token, Page: ok, Picture: ok})
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", bytes.NewReader(body))
			r.Method, r.URL, r.RequestURI, r.Host = method, u, target, host
			r.Header.Set("Origin", origin)
			r.Header.Set("Authorization", auth)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			_, password, _ := r.BasicAuth()
			may := token == "" && loopback(host) || token != "" && (auth == "Bearer t0ken" || auth == "t0ken" || password == "t0ken" || u.Query().Get("token") == "t0ken")
			if !may && (w.Code < 400 || len(source.kicked) > 0) {
				t.Errorf("%s %s of %q from %q with %q: %d, kicked %v", method, target, host, origin, auth, w.Code, source.kicked)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s %s: headers %v", method, target, w.Header())
			}
		}
	})
}
