// Package httpflv serves streams to players as FLV over HTTP: GET /APP/KEY.flv.
//
// A player gets the file header, onMetaData, the sequence headers, the newest key frame and what follows, each tag flushed
// at once. One that does not read loses whole GOPs (its subscriber's queue) and is cut after Config.WriteTimeout.
//
// What it leaves to others: the listener and its TLS, who may watch (Config.Authorize), time (hub).
package httpflv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
)

// Request is what a player asks for.
type Request struct {
	Name   string // "app/key"
	Suffix string // ".flv": what the path has behind the name
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

// Handler serves GET /APP/KEY.flv.
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

// Name returns the stream a path asks for; false when the path is not one of ours.
func Name(path string) (string, bool) {
	name, ok := strings.CutSuffix(strings.TrimPrefix(path, "/"), ".flv")
	return name, ok && strings.Contains(name, "/") && !strings.HasSuffix(name, "/")
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Access-Control-Allow-Origin", "*")
	head.Set("Access-Control-Expose-Headers", "Date")
	head.Set("Cache-Control", "no-store")
	switch r.Method {
	case http.MethodOptions:
		head.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
		head.Set("Access-Control-Allow-Headers", "Range")
		w.WriteHeader(http.StatusNoContent)
		return
	case http.MethodGet, http.MethodHead:
	default:
		head.Set("Allow", "GET, HEAD, OPTIONS")
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	name, ok := Name(r.URL.Path)
	if !ok {
		http.Error(w, "not found; streams are at /APP/KEY.flv", http.StatusNotFound)
		return
	}
	if h.cfg.Authorize != nil {
		if err := h.cfg.Authorize(r.Context(), Request{name, ".flv", r.RemoteAddr, r.URL.RawQuery, bearer(r)}); err != nil {
			h.cfg.Logger.Warn("player refused", "stream", name, "peer", r.RemoteAddr, "err", err)
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		http.Error(w, "too many players", http.StatusServiceUnavailable)
		return
	}
	sub, err := h.cfg.Hub.Subscribe(name, hub.SubscriberInfo{Protocol: "http-flv", Peer: r.RemoteAddr})
	if errors.Is(err, hub.ErrNoStream) {
		http.Error(w, "no such stream now", http.StatusNotFound)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer sub.Close()
	head.Set("Content-Type", "video/x-flv")
	head.Set("X-Accel-Buffering", "no") // nginx in front: do not collect
	if r.Method == http.MethodHead {
		return
	}
	p := &player{sub: sub, w: w, ctl: http.NewResponseController(w), timeout: h.cfg.WriteTimeout}
	h.cfg.Logger.Info("player opened", "stream", name, "peer", r.RemoteAddr)
	err = p.run(r.Context())
	c := sub.Stats().Counts
	h.cfg.Logger.Info("player closed", "stream", name, "peer", r.RemoteAddr, "frames", c.Delivered, "dropped", c.Dropped, "err", err)
}

// player writes one response. It is owned by the request's goroutine.
type player struct {
	sub     *hub.Subscriber
	w       http.ResponseWriter
	ctl     *http.ResponseController
	timeout time.Duration
	opened  bool
	configs [2]*media.Config // sent: video, audio
	buf     []byte
}

func (p *player) run(ctx context.Context) error {
	// A request's own write deadline would be the whole server's; each tag gets a fresh one.
	if err := p.deadline(); err != nil {
		return err
	}
	p.w.WriteHeader(http.StatusOK)
	_ = p.ctl.Flush() // the player knows that the stream exists, even before its first frame
	for {
		f, err := p.sub.Read(ctx)
		if err != nil {
			return err
		}
		if err := p.write(f); err != nil {
			return err
		}
	}
}

func (p *player) deadline() error {
	if err := p.ctl.SetWriteDeadline(time.Now().Add(p.timeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("httpflv: %w", err)
	}
	return nil
}

func (p *player) write(f *media.Frame) error {
	if flv.TypeOf(f.Codec) == flv.TagAudio && f.Track > 1 || f.Codec.IsVideo() && f.Track != 0 {
		return nil // FLV has one track of each kind
	}
	ms := uint32(flv.Milliseconds(f.DTS))
	b := p.buf[:0]
	if !p.opened {
		p.opened = true
		b = p.open(b, ms)
	}
	b = p.config(b, f.Config, ms)
	headAt := len(b)
	b = append(b, make([]byte, flv.TagHeaderSize)...)
	b, err := flv.AppendFrameHeader(b, f)
	if err != nil {
		return nil // a codec FLV has no form for: its track is left out
	}
	size := len(b) - headAt - flv.TagHeaderSize + len(f.Payload)
	flv.AppendTagHeader(b[:headAt], flv.TypeOf(f.Codec), size, ms)
	head := len(b)
	b = flv.AppendTagTrailer(b, size)
	p.buf = b
	if err := p.deadline(); err != nil {
		return err
	}
	for _, part := range [...][]byte{b[:head], f.Payload, b[head:]} {
		if _, err := p.w.Write(part); err != nil {
			return err
		}
	}
	return p.ctl.Flush()
}

// open appends the file header, onMetaData and every sequence header known.
func (p *player) open(b []byte, ms uint32) []byte {
	tracks := p.sub.Tracks()
	var video, audio bool
	for _, c := range tracks {
		video = video || c.Codec.IsVideo()
		audio = audio || c.Codec.IsAudio()
	}
	b = flv.AppendFileHeader(b, video, audio)
	// Metadata stands at time 0: ffmpeg takes any later script tag for a subtitle track.
	b = flv.AppendTag(b, flv.TagScript, 0, flv.AppendMetadata(nil, tracks...))
	for _, c := range tracks {
		b = p.config(b, c, ms)
	}
	return b
}

// config appends a sequence header unless it is the one sent last.
func (p *player) config(b []byte, c *media.Config, ms uint32) []byte {
	kind := 0
	if c.Codec.IsAudio() {
		kind = 1
	}
	if p.configs[kind] == c || !flv.HasConfig(c.Codec) {
		return b
	}
	p.configs[kind] = c
	body, err := flv.AppendConfig(nil, c)
	if err != nil {
		return b
	}
	return flv.AppendTag(b, flv.TypeOf(c.Codec), ms, body)
}
