package push

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/feedback"
	"github.com/fairlead-live/fairlead/congestion"
)

// adviseEvery is how often the outputs are asked what they carry: ours, between a report's interval and what an encoder notices.
const adviseEvery = 50 * time.Millisecond

// adaptive is an input whose encoder can be moved. Its methods are called from one goroutine and must not wait.
type adaptive interface {
	// retarget says what the media may take now, all tracks together.
	retarget(now time.Time, rate congestion.Bitrate)
	keyframe()
}

// advice is the report of the output that carries least; false: none knows.
func (p *Push) advice() (least feedback.Report, ok bool) {
	for _, o := range p.outputs {
		s := o.status()
		if s.Target <= 0 || s.State == "closed" || ok && congestion.Bitrate(s.Target) >= least.Target {
			continue
		}
		least, ok = feedback.Report{Target: congestion.Bitrate(s.Target), Reason: s.Reason, Queue: s.Queue, Loss: s.Loss}, true
	}
	return least, ok
}

// names are what the stream can be asked for by: the input's, and those it has at relays.
func (p *Push) names() []string {
	out := []string{p.name}
	for _, o := range p.outputs {
		_, at, _ := strings.Cut(o.status().To, "://")
		if _, name, ok := strings.Cut(at, "/"); ok && config.ValidName(name) == nil {
			out = append(out, name)
		}
	}
	return out
}

// advise tells the encoder and whoever listens, until ctx ends.
func (p *Push) advise(ctx context.Context) {
	var entries []*feedback.Entry
	for _, n := range p.names() {
		e := p.board.Open(n)
		defer e.Close()
		entries = append(entries, e)
	}
	encoder, _ := p.input.(adaptive)
	var told congestion.Advice
	zero := time.Now()
	tick := time.NewTicker(adviseEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.keyframes:
			for _, e := range entries {
				e.Keyframe()
			}
			if encoder != nil {
				encoder.keyframe()
			}
		case now := <-tick.C:
			report, ok := p.advice()
			if !ok {
				continue
			}
			for _, e := range entries {
				e.Set(now, report)
			}
			if rate, tell := told.Update(now.Sub(zero), report.Target); tell && encoder != nil {
				encoder.retarget(now, rate)
			}
		}
	}
}

// askKeyframe passes on that an output needs one. It does not wait.
func (p *Push) askKeyframe() {
	select {
	case p.keyframes <- struct{}{}:
	default: // asked already
	}
}

// listenHTTP opens Config.HTTP.
func (p *Push) listenHTTP() error {
	if p.cfg.HTTP == "" {
		return nil
	}
	l, err := net.Listen("tcp", p.cfg.HTTP)
	if err != nil {
		return fmt.Errorf("http cannot listen on %s: %w", p.cfg.HTTP, err)
	}
	p.http = l
	return nil
}

// HTTP returns where the feedback is to be had; nil: off.
func (p *Push) HTTP() net.Addr {
	if p.http == nil {
		return nil
	}
	return p.http.Addr()
}

// serveHTTP serves the feedback until ctx ends.
func (p *Push) serveHTTP(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.Handle("/v1/streams/", feedback.New(feedback.Config{Board: p.board, MaxClients: 100, Logger: p.cfg.Logger}))
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(p.cfg.Logger.Handler(), slog.LevelDebug),
	}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	if err := srv.Serve(p.http); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
