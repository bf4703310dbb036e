package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed" // openapi.yaml
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fairlead-live/fairlead/bridge/events"
)

//go:embed openapi.yaml
var openAPI []byte

// Config sets up a Server.
type Config struct {
	Source Source
	Token  string       // what a request must bring; empty: only requests to a loopback name
	Logger *slog.Logger // nil: silent
	Page   http.Handler // what GET / answers; nil: nothing

	// Picture serves a stream to the page as HTTP-FLV, its path /APP/KEY.flv; nil: not.
	Picture http.Handler
}

// Server answers the operator. Run keeps its rates up to date.
type Server struct {
	cfg     Config
	token   atomic.Pointer[token]
	mux     *http.ServeMux
	rates   rates
	started time.Time
	metrics http.Handler
	refused [len(refusedReasons)]atomic.Uint64
}

// token is what a request must bring; open: nothing, but a loopback name.
type token struct {
	sum  [sha256.Size]byte
	open bool
}

// SetToken replaces Config.Token.
func (s *Server) SetToken(t string) { s.token.Store(&token{sha256.Sum256([]byte(t)), t == ""}) }

// New makes a server.
func New(cfg Config) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Page == nil {
		cfg.Page = http.NotFoundHandler()
	}
	if cfg.Picture == nil {
		cfg.Picture = http.NotFoundHandler()
	}
	s := &Server{cfg: cfg, mux: http.NewServeMux(), started: time.Now()}
	s.SetToken(cfg.Token)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &collector{s})
	s.metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	for pattern, h := range s.patterns() {
		s.mux.HandleFunc(pattern, h)
	}
	return s
}

// patterns is every path and its handler.
func (s *Server) patterns() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /v1/streams":                          s.getStreams,
		"GET /v1/streams/{app}/{key}":              s.getStream,
		"GET /v1/streams/{app}/{key}/players":      s.getPlayers,
		"DELETE /v1/streams/{app}/{key}/publisher": s.kick,
		"GET /v1/outputs":                          s.getOutputs,
		"POST /v1/streams/{app}/{key}/outputs":     s.addOutput,
		"DELETE /v1/outputs/{id}":                  s.onOutput(s.cfg.Source.RemoveOutput, "removed"),
		"POST /v1/outputs/{id}/pause":              s.onOutput(s.cfg.Source.PauseOutput, "paused"),
		"POST /v1/outputs/{id}/restart":            s.onOutput(s.cfg.Source.RestartOutput, "restarted"),
		"GET /v1/config":                           s.getConfig,
		"POST /v1/config/diff":                     s.onConfig(s.cfg.Source.DiffConfig),
		"POST /v1/config/apply":                    s.onConfig(s.cfg.Source.ApplyConfig),
		"GET /v1/events":                           events.Handler(s.cfg.Source.Events(), s.stillAllowed),
		"GET /v1/drain":                            s.getDrain,
		"POST /v1/drain":                           s.drain,
		"GET /v1/addresses":                        s.getAddresses,
		"GET /v1/streams/{app}/{key}/picture.flv":  s.getPicture,
		"GET /{$}":                                 s.cfg.Page.ServeHTTP,
		"GET /page.js":                             s.cfg.Page.ServeHTTP,
		"GET /page.css":                            s.cfg.Page.ServeHTTP,
		"GET /v1/version":                          s.getVersion,
		"GET /v1/openapi.yaml":                     s.getOpenAPI,
		"GET /stats":                               s.getSLS,
		"GET /v3/paths/list":                       s.getPaths,
		"GET /v3/paths/get/{name...}":              s.getPath,
		"GET /v3/srtconns/get/{name...}":           s.getSRTConn,
		"GET /metrics":                             s.metrics.ServeHTTP,
		"GET /stat":                                s.getNginx,
		"GET /debug/pprof/":                        pprof.Index,
		"GET /debug/pprof/profile":                 pprof.Profile,
		"GET /debug/pprof/trace":                   pprof.Trace,
	}
}

// Run measures rates until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		s.rates.sample(time.Now(), s.cfg.Source.Streams())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if !s.allowed(w, r) {
		return
	}
	s.mux.ServeHTTP(w, r)
}

// Why a request is refused before it is looked at: refusedReasons says it in /metrics.
const (
	refusedOrigin = iota
	refusedNotLocal
	refusedToken
)

var refusedReasons = [...]string{"other_origin", "not_local", "no_credential"}

// allowed answers with a refusal and returns false, or returns true.
func (s *Server) allowed(w http.ResponseWriter, r *http.Request) bool {
	// A browser says where a request that changes something comes from.
	if o := r.Header.Get("Origin"); o != "" && !sameOrigin(o, r.Host) || r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		s.refused[refusedOrigin].Add(1)
		refuse(w, http.StatusForbidden, "other origins are not served")
		return false
	}
	token := s.token.Load()
	if token.open {
		if !loopback(r.Host) {
			s.refused[refusedNotLocal].Add(1)
			refuse(w, http.StatusForbidden, "without an api-token only localhost is answered; ask for http://127.0.0.1 or set one")
			return false
		}
		return true
	}
	if !token.fits(r) {
		s.refused[refusedToken].Add(1)
		w.Header().Set("WWW-Authenticate", `Basic realm="fairlead", charset="UTF-8"`)
		refuse(w, http.StatusUnauthorized, "this needs the api-token")
		s.cfg.Logger.Debug("api: refused", "peer", r.RemoteAddr, "path", r.URL.Path)
		return false
	}
	return true
}

// fits says whether a request brings the token.
func (t *token) fits(r *http.Request) bool {
	given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if _, password, ok := r.BasicAuth(); ok {
		given = password
	}
	if given == "" {
		given = r.URL.Query().Get("token")
	}
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1
}

// stillAllowed is asked while a response lasts: the token may be another one by now.
func (s *Server) stillAllowed(r *http.Request) bool {
	t := s.token.Load()
	return t.open && loopback(r.Host) || !t.open && t.fits(r)
}

func sameOrigin(origin, host string) bool {
	_, at, _ := strings.Cut(origin, "://")
	return at == host
}

// loopback says whether a Host header names this machine to itself.
func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// refuse answers with an error as JSON.
func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": why})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v)
}

// failed answers with what an error of the source means.
func failed(w http.ResponseWriter, err error) {
	if errors.Is(err, ErrNotFound) {
		refuse(w, http.StatusNotFound, err.Error())
		return
	}
	refuse(w, http.StatusConflict, err.Error())
}

func (s *Server) uptime() float64 { return time.Since(s.started).Seconds() }

func (s *Server) getVersion(w http.ResponseWriter, _ *http.Request) {
	v := map[string]any{"name": "fairlead", "uptime_s": int(s.uptime())}
	if b, ok := debug.ReadBuildInfo(); ok {
		v["version"], v["go"] = b.Main.Version, b.GoVersion
	}
	answer(w, v)
}

func (s *Server) getAddresses(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{"addresses": s.cfg.Source.Addresses()})
}

// getPicture is the stream's HTTP-FLV under the API's own address and access, for the page.
func (s *Server) getPicture(w http.ResponseWriter, r *http.Request) {
	inner := r.Clone(r.Context())
	inner.URL.Path, inner.URL.RawPath, inner.URL.RawQuery = "/"+name(r)+".flv", "", ""
	s.cfg.Picture.ServeHTTP(&sameOriginOnly{w}, inner)
}

// sameOriginOnly takes back what a handler for all the world allows to other origins.
type sameOriginOnly struct{ http.ResponseWriter }

func (w *sameOriginOnly) WriteHeader(status int) {
	for _, h := range []string{"Origin", "Methods", "Headers"} {
		w.Header().Del("Access-Control-Allow-" + h)
	}
	w.Header().Del("Access-Control-Expose-Headers")
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *sameOriginOnly) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (s *Server) getOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(openAPI)
}
