package demo

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/fairlead-live/fairlead/bridge/httpflv"
	"github.com/fairlead-live/fairlead/bridge/page"
)

// serve answers the page until ctx ends, and samples both viewers each second.
func (d *Demo) serve(ctx context.Context) error {
	srv := &http.Server{Handler: d.handler(), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	defer func() { _ = srv.Close() }()
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(d.web) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			for _, s := range d.sides {
				s.sample(now)
			}
		case err := <-failed:
			return err
		case <-ctx.Done():
			_ = srv.Close()
			if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		}
	}
}

func (d *Demo) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", page.Demo())
	mux.Handle("GET /page.js", page.Handler())
	mux.Handle("GET /page.css", page.Handler())
	mux.HandleFunc("GET /demo.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(d.Score(time.Now()))
	})
	mux.Handle("/", httpflv.New(httpflv.Config{Hub: d.relay.Hub(), Logger: d.cfg.Logger}))
	return mux
}
