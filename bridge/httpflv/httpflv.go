// Package httpflv serves streams to players over HTTP.
//
//	GET /APP/KEY.flv            FLV
//	GET /APP/KEY.flv, upgraded  FLV in WebSocket messages, a tag each
//	GET /APP/KEY.ts             MPEG-TS; of a publisher whose transport stream is passed through, its packets as they came
//
// A player gets the newest key frame and what follows, each frame flushed at once; before it, in FLV the file header, onMetaData and the
// sequence headers, in MPEG-TS the tables. ?start=next begins with the next key frame instead: nothing old, and a wait of up to a group of
// pictures. A stream that is not there is 404 at once, or with ?wait=5s (at most 30 s) if nobody publishes it by then.
// A player that does not read loses whole groups of pictures (its subscriber's queue) and is cut after Config.WriteTimeout.
//
// What it leaves to others: the listener and its TLS, who may watch (Config.Authorize), time (hub).
package httpflv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
)

// Request is what a player asks for.
type Request struct {
	Name   string // "app/key"
	Suffix string // ".flv" or ".ts": what the path has behind the name
	Peer   string
	Query  string // raw
	Bearer string // of the Authorization header
}

// Config sets up a handler.
type Config struct {
	Hub          *hub.Hub
	WriteTimeout time.Duration                        // a player that takes nothing for this long is cut; 10 s
	MaxPlayers   int                                  // at once; 10,000
	Authorize    func(context.Context, Request) error // nil: everyone may watch
	Logger       *slog.Logger                         // nil: silent
}

// bearer is the token of an Authorization header (RFC 6750 2.1).
func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

// Handler serves GET /APP/KEY.flv and .ts.
type Handler struct {
	cfg   Config
	slots chan struct{}
}

// New makes a handler.
func New(cfg Config) *Handler {
	if cfg.WriteTimeout == 0 {
		cfg.WriteTimeout = 10 * time.Second
	}
	if cfg.MaxPlayers == 0 {
		cfg.MaxPlayers = 10_000
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Handler{cfg: cfg, slots: make(chan struct{}, cfg.MaxPlayers)}
}

// Name returns the stream a path asks for and its suffix; false when the path is not one of ours.
func Name(path string) (name, suffix string, ok bool) {
	path = strings.TrimPrefix(path, "/")
	for _, suffix := range [...]string{".flv", ".ts"} {
		if name, ok := strings.CutSuffix(path, suffix); ok {
			return name, suffix, strings.Contains(name, "/") && !strings.HasSuffix(name, "/")
		}
	}
	return "", "", false
}

// maxWait bounds ?wait=, which holds a player's slot.
const maxWait = 30 * time.Second

// options are what a player's query asks for.
type options struct {
	wait time.Duration
	next bool // begin with the next key frame
}

func parseOptions(q url.Values) (o options, err error) {
	if v := q.Get("wait"); v != "" {
		o.wait, err = time.ParseDuration(v)
		if err != nil || o.wait < 0 || o.wait > maxWait {
			return o, fmt.Errorf("wait=%s is no time of 0s to %v, such as 5s", v, maxWait)
		}
	}
	switch v := q.Get("start"); v {
	case "", "last":
	case "next":
		o.next = true
	default:
		return o, fmt.Errorf("start=%s is neither last nor next", v)
	}
	return o, nil
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Access-Control-Allow-Origin", "*")
	head.Set("Access-Control-Expose-Headers", "Date")
	head.Set("Cache-Control", "no-store")
	switch r.Method {
	case http.MethodOptions:
		head.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
		head.Set("Access-Control-Allow-Headers", "Range, Authorization")
		w.WriteHeader(http.StatusNoContent)
		return
	case http.MethodGet, http.MethodHead:
	default:
		head.Set("Allow", "GET, HEAD, OPTIONS")
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	name, suffix, ok := Name(r.URL.Path)
	if !ok {
		http.Error(w, "not found; streams are at /APP/KEY.flv and /APP/KEY.ts", http.StatusNotFound)
		return
	}
	if h.cfg.Authorize != nil {
		if err := h.cfg.Authorize(r.Context(), Request{name, suffix, r.RemoteAddr, r.URL.RawQuery, bearer(r)}); err != nil {
			h.cfg.Logger.Warn("player refused", "stream", name, "peer", r.RemoteAddr, "err", err)
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
	}
	o, err := parseOptions(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		http.Error(w, "too many players", http.StatusServiceUnavailable)
		return
	}
	h.play(w, r, name, suffix, o)
}

// play subscribes and answers.
func (h *Handler) play(w http.ResponseWriter, r *http.Request, name, suffix string, o options) {
	upgrade := suffix == ".flv" && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
	protocol := "http-" + suffix[1:]
	if upgrade {
		protocol = "ws-flv"
	}
	sub, err := h.cfg.Hub.Subscribe(name, hub.SubscriberInfo{Protocol: protocol, Peer: r.RemoteAddr, Wait: o.wait > 0, NoCache: o.next})
	if errors.Is(err, hub.ErrNoStream) {
		http.Error(w, "no such stream now; ?wait=5s waits for it", http.StatusNotFound)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer sub.Close()
	var passed *hub.TSSubscriber // the transport stream as it came; nil: there is none
	if suffix == ".ts" {
		passed, err = h.cfg.Hub.SubscribeTS(name, hub.SubscriberInfo{Protocol: protocol, Peer: r.RemoteAddr, Wait: o.wait > 0, NoCache: o.next})
		if err == nil {
			defer passed.Close()
		}
	}
	var first *media.Frame
	if o.wait > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), o.wait)
		first, err = await(ctx, sub, passed)
		cancel()
		if err != nil {
			http.Error(w, fmt.Sprintf("nobody published this stream within %v", o.wait), http.StatusNotFound)
			return
		}
	}
	var out carrier
	if upgrade {
		if out, err = acceptSocket(w, r, h.cfg.WriteTimeout); err != nil {
			return // answered
		}
	} else {
		w.Header().Set("Content-Type", map[string]string{".flv": "video/x-flv", ".ts": "video/mp2t"}[suffix])
		w.Header().Set("X-Accel-Buffering", "no") // nginx in front: do not collect
		if r.Method == http.MethodHead {
			return
		}
		out = &response{w: w, ctl: http.NewResponseController(w), timeout: h.cfg.WriteTimeout, ctx: r.Context()}
	}
	var p player = &flvPlayer{sub: sub, out: out}
	if suffix == ".ts" {
		p = &tsPlayer{sub: sub, out: out}
	}
	h.cfg.Logger.Info("player opened", "stream", name, "peer", r.RemoteAddr, "protocol", protocol)
	var c hub.SubscriberCounts
	if passed != nil && passed.Passing() {
		sub.Close()
		err = pass(out, passed)
		c = passed.Stats().Counts
	} else {
		if passed != nil {
			passed.Close()
		}
		err = run(out, sub, p, first)
		c = sub.Stats().Counts
	}
	h.cfg.Logger.Info("player closed", "stream", name, "peer", r.RemoteAddr, "protocol", protocol, "frames", c.Delivered, "dropped", c.Dropped, "err", err)
}

// player puts frames into a container and sends them. It is owned by the request's goroutine.
type player interface {
	write(f *media.Frame) error
}

func run(out carrier, sub *hub.Subscriber, p player, first *media.Frame) (err error) {
	defer func() { out.close(err) }()
	if err := out.open(); err != nil {
		return err
	}
	if first != nil {
		if err := p.write(first); err != nil {
			return err
		}
	}
	for {
		f, err := sub.Read(out.context())
		if err != nil {
			return err
		}
		if err := p.write(f); err != nil {
			return err
		}
	}
}
