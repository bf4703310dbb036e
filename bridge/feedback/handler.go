package feedback

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// Config sets up a Handler; zero values give the defaults named.
type Config struct {
	Board        *Board
	WriteTimeout time.Duration // a client that takes nothing for this long is cut; 5 s
	Beat         time.Duration // a comment where nothing is to be told, so that both ends notice that the other is gone; 5 s
	MaxClients   int           // at once; 1,000
	// Authorize decides who may listen; nil: everyone who knows the stream's name.
	Authorize func(ctx context.Context, name string, r *http.Request) error
	Logger    *slog.Logger // nil: silent
}

// Handler serves GET /v1/streams/APP/KEY/feedback. It sets no CORS headers: pages of other sites cannot read it.
type Handler struct {
	cfg   Config
	slots chan struct{}
}

// New makes a handler.
func New(cfg Config) *Handler {
	if cfg.WriteTimeout == 0 {
		cfg.WriteTimeout = 5 * time.Second
	}
	if cfg.Beat == 0 {
		cfg.Beat = 5 * time.Second
	}
	if cfg.MaxClients == 0 {
		cfg.MaxClients = 1000
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Handler{cfg: cfg, slots: make(chan struct{}, cfg.MaxClients)}
}

// Name returns the stream a path asks for; false when the path is not one of ours.
func Name(path string) (string, bool) {
	name, ok := strings.CutPrefix(path, "/v1/streams/")
	if ok {
		name, ok = strings.CutSuffix(name, "/feedback")
	}
	return name, ok && strings.Contains(name, "/") && len(name) <= 256
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ok := Name(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET")
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	if h.cfg.Authorize != nil {
		if err := h.cfg.Authorize(r.Context(), name, r); err != nil {
			h.cfg.Logger.Warn("feedback refused", "stream", name, "peer", r.RemoteAddr, "err", err)
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		http.Error(w, "too many clients", http.StatusServiceUnavailable)
		return
	}
	head := w.Header()
	head.Set("Content-Type", "text/event-stream")
	head.Set("Cache-Control", "no-store")
	head.Set("X-Accel-Buffering", "no") // nginx in front: do not collect
	c := &client{w: w, ctl: http.NewResponseController(w), cfg: &h.cfg}
	watch := h.cfg.Board.Watch(name)
	defer watch.Close()
	h.cfg.Logger.Info("feedback opened", "stream", name, "peer", r.RemoteAddr)
	err := c.run(r.Context(), watch)
	h.cfg.Logger.Info("feedback closed", "stream", name, "peer", r.RemoteAddr, "err", err)
}

// client writes one response. It is owned by the request's goroutine.
type client struct {
	w   http.ResponseWriter
	ctl *http.ResponseController
	cfg *Config
	buf []byte
}

// run writes until the client is gone, does not read, or ctx ends.
func (c *client) run(ctx context.Context, w *Watcher) error {
	beat := time.NewTicker(c.cfg.Beat)
	defer beat.Stop()
	// What a browser waits before it connects again, in ms.
	if err := c.write(append(c.buf[:0], "retry: 1000\n\n"...)); err != nil {
		return err
	}
	for {
		b := c.buf[:0]
		select {
		case <-w.Changed:
			b = appendNews(b, w.Next())
			beat.Reset(c.cfg.Beat)
		case <-beat.C:
			b = append(b, ":\n\n"...)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := c.write(b); err != nil {
			return err
		}
	}
}

func (c *client) write(b []byte) error {
	c.buf = b
	if len(b) == 0 {
		return nil
	}
	// A request's own write deadline would be the whole server's; each event gets a fresh one.
	if err := c.ctl.SetWriteDeadline(time.Now().Add(c.cfg.WriteTimeout)); err != nil {
		return err
	}
	if _, err := c.w.Write(b); err != nil {
		return err
	}
	return c.ctl.Flush()
}

// appendNews writes events.
func appendNews(b []byte, n News) []byte {
	if n.Gone {
		b = append(b, "event: gone\ndata: {}\n\n"...)
	}
	if n.Report != nil {
		body, _ := json.Marshal(n.Report) // numbers and a word: it cannot fail
		b = fmt.Appendf(b, "event: target\ndata: %s\n\n", body)
	}
	if n.Keyframe {
		b = append(b, "event: keyframe\ndata: {}\n\n"...)
	}
	return b
}

// event is a report's JSON.
type event struct {
	Target int64   `json:"target_bps"`
	Reason string  `json:"reason"`
	Queue  float64 `json:"queue_ms"`
	Loss   float64 `json:"loss"`
}

// MarshalJSON is the data of a target event.
func (r Report) MarshalJSON() ([]byte, error) {
	round := func(x, unit float64) float64 { return math.Round(x*unit) / unit }
	return json.Marshal(event{int64(r.Target), r.Reason, round(float64(r.Queue)/float64(time.Millisecond), 10), round(r.Loss, 10_000)})
}

// UnmarshalJSON reads it back.
func (r *Report) UnmarshalJSON(b []byte) error {
	var e event
	if err := json.Unmarshal(b, &e); err != nil {
		return err
	}
	*r = Report{congestion.Bitrate(e.Target), e.Reason, time.Duration(e.Queue * float64(time.Millisecond)), e.Loss}
	return nil
}
