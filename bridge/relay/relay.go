// Package relay is the relay as one object: listeners in, hub in the middle, players and destinations out.
//
//	srtlink, quiclink ─▶ ingest ─┐           ┌─▶ httpflv
//	                             ├─▶  hub  ──┤
//	rtmpserver ──────────────────┘           └─▶ rtmpserver (play), rtmpout (push)
//
// `fairlead relay` and `fairlead demo` run it, and so do tests that need all of it in one process.
//
// What it leaves to others: flags and signals (cmd/fairlead), each protocol (its own package).
package relay

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fairlead-live/fairlead/bridge/api"
	"github.com/fairlead-live/fairlead/bridge/auth"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/events"
	"github.com/fairlead-live/fairlead/bridge/feedback"
	"github.com/fairlead-live/fairlead/bridge/httpflv"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/page"
	"github.com/fairlead-live/fairlead/bridge/rtmpout"
	"github.com/fairlead-live/fairlead/bridge/rtmpserver"
	"github.com/fairlead-live/fairlead/transport/quiclink"
	"github.com/fairlead-live/fairlead/transport/srtlink"
)

// Relay listens from Open on and serves in Run.
type Relay struct {
	log       *slog.Logger
	hub       *hub.Hub
	board     *feedback.Board // what publishers are told
	guard     atomic.Pointer[auth.Guard]
	keys      atomic.Pointer[[]string] // names; their secrets are the guard's
	rules     atomic.Pointer[config.TakeoverRules]
	generated string // the key while the configuration has none

	reload sync.Mutex   // held while the configuration changes
	cfg    config.Relay // guarded by reload once Run has begun
	parse  func(yaml []byte) (config.Relay, error)

	srt      *srtlink.Listener
	quic     *quiclink.Listener
	rtmp     net.Listener
	rtmps    net.Listener
	rtmpd    *rtmpserver.Server
	http     net.Listener
	api      net.Listener
	control  *api.Server // nil: off
	links    links
	watchers rtmpWatchers
	adviser  adviser
	drainer  drainer
	refused  refusals
	bus      *events.Bus // what happens
	webhooks []*events.Webhook
	outputs  outputs
	ready    atomic.Bool
}

// Open checks the configuration and opens every listener. The error says which address of which protocol failed.
func Open(cfg config.Relay, log *slog.Logger) (*Relay, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	slate, err := loadSlate(cfg.Slate)
	if err != nil {
		return nil, fmt.Errorf("%w: slate: %w", config.ErrUsage, err)
	}
	r := &Relay{cfg: cfg, log: log, bus: events.NewBus(), drainer: drainer{asked: make(chan drainRequest, 1)}, board: feedback.NewBoard()}
	rules, err := cfg.TakeoverRules()
	if err != nil {
		return nil, err
	}
	r.rules.Store(&rules)
	r.hub = hub.New(hub.Config{Hold: cfg.Hold, Slate: slate, Takeover: r.takeover, Notify: r.notify})
	r.outputs.hub, r.outputs.log, r.outputs.bus = r.hub, log, r.bus
	r.generated = "live/" + strings.ToLower(base32.StdEncoding.EncodeToString(randomKey())[:16])
	if err := r.makeWebhooks(&cfg); err != nil {
		r.close()
		return nil, err
	}
	guard, names, err := r.access(&cfg)
	if err != nil {
		r.close()
		return nil, err
	}
	r.guard.Store(guard)
	r.keys.Store(&names)
	if err := r.listen(); err != nil {
		r.close()
		return nil, err
	}
	destinations, err := cfg.Destinations()
	if err != nil {
		r.close()
		return nil, err
	}
	if _, _, err := r.outputs.configured(destinations); err != nil {
		r.close()
		return nil, err
	}
	if r.api != nil {
		token, err := auth.Secret(cfg.APIToken)
		if err != nil {
			r.close()
			return nil, fmt.Errorf("%w: api-token: %w", config.ErrUsage, err)
		}
		r.control = api.New(api.Config{
			Source: operator{r}, Token: token, Logger: log, Page: page.Handler(), Picture: httpflv.New(httpflv.Config{Hub: r.hub, Logger: r.log}),
		})
	}
	return r, nil
}

func randomKey() []byte {
	b := make([]byte, 10)
	rand.Read(b)
	return b
}

func (r *Relay) listen() error {
	var err error
	if r.cfg.SRT != "" {
		r.srt, err = srtlink.Listen(srtlink.Config{
			Addr: r.cfg.SRT, Latency: r.cfg.SRTLatency, Passphrase: r.cfg.SRTPassphrase, Listener: r.cfg.SRTListener, MigrateClear: r.cfg.SRTMigrate, Loops: r.cfg.SRTLoops,
			Logger: r.log, Admit: r.admitSRT, Refused: r.refused.srtRefused,
		})
		if err != nil {
			return explain("srt", r.cfg.SRT, err)
		}
	}
	if r.cfg.QUIC != "" {
		r.quic, err = quiclink.Listen(quiclink.Config{
			Addr: r.cfg.QUIC, CertFile: r.cfg.QUICCert, KeyFile: r.cfg.QUICKey, Hold: r.cfg.Hold, Logger: r.log, Admit: r.admitQUIC, Refused: r.quicRefused,
		})
		if err != nil {
			return explain("quic", r.cfg.QUIC, err)
		}
	}
	if r.cfg.RTMP != "" || r.cfg.RTMPS != "" {
		r.rtmpd = rtmpserver.New(rtmpserver.Config{Hub: r.hub, Logger: r.log, MaxConns: cmp.Or(r.cfg.Connections, config.DefaultConnections), Authorize: r.authorizeRTMP, Watch: r.watchRTMP})
	}
	if r.cfg.RTMP != "" {
		if r.rtmp, err = net.Listen("tcp", r.cfg.RTMP); err != nil {
			return explain("rtmp", r.cfg.RTMP, err)
		}
	}
	if r.cfg.RTMPS != "" {
		if err := r.listenRTMPS(); err != nil {
			return err
		}
	}
	if r.cfg.HTTP != "" {
		if r.http, err = net.Listen("tcp", r.cfg.HTTP); err != nil {
			return explain("http", r.cfg.HTTP, err)
		}
	}
	if r.cfg.API != "" {
		if r.api, err = net.Listen("tcp", r.cfg.API); err != nil {
			return explain("api", r.cfg.API, err)
		}
	}
	return nil
}

// explain says what to do about a listener that does not open.
func explain(word, addr string, err error) error {
	hint := ""
	switch {
	case strings.Contains(err.Error(), "address already in use"):
		hint = fmt.Sprintf("; another program listens there: choose another address with --%s, or turn it off with --%s \"\"", word, word)
	case strings.Contains(err.Error(), "permission denied"):
		hint = "; ports below 1024 need privileges"
	}
	return fmt.Errorf("%s cannot listen on %s: %w%s", word, addr, err, hint)
}

func (r *Relay) close() {
	if r.http != nil {
		_ = r.http.Close()
	}
	if r.api != nil {
		_ = r.api.Close()
	}
	if r.rtmp != nil {
		_ = r.rtmp.Close()
	}
	if r.rtmps != nil {
		_ = r.rtmps.Close()
	}
	if r.srt != nil { // only Serve closes it
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = r.srt.Serve(ctx)
	}
	if r.quic != nil {
		_ = r.quic.Close()
	}
	_ = r.hub.Close()
}

// Run serves until ctx ends or a listener fails, and returns when everything it started has ended.
//
// Goroutines: one a listener and one a destination, all waited for.
func (r *Relay) Run(ctx context.Context) error {
	told := ctx
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() { // ends when it is told to, or with the rest
		select {
		case <-told.Done():
		case ask := <-r.drainer.asked:
			drain, stop := context.WithCancel(ctx)
			unless := context.AfterFunc(told, stop) // whoever ends the relay does not wait for this
			r.drainNow(drain, ask.within, ask.where)
			r.endTheRest(drain)
			r.drained()
			unless()
			stop()
		case <-ctx.Done():
			return
		}
		select {
		case <-told.Done():
			r.drain(ctx)
			cancel(context.Cause(told))
		case <-ctx.Done():
		}
	})
	serve := func(name string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("relay: %s: %w", name, err))
			}
		})
	}
	if r.srt != nil {
		serve("srt", r.srt.Serve)
	}
	if r.quic != nil {
		serve("quic", r.quic.Serve)
	}
	if r.rtmp != nil {
		serve("rtmp", func(ctx context.Context) error { return r.rtmpd.Serve(ctx, r.rtmp) })
	}
	if r.rtmps != nil {
		serve("rtmps", func(ctx context.Context) error { return r.rtmpd.Serve(ctx, r.rtmps) })
	}
	if r.http != nil {
		serve("http", r.serveHTTP)
	}
	if r.api != nil {
		serve("api", r.control.Run)
		serve("api", func(ctx context.Context) error { return r.serve(ctx, "api", r.api, r.control, apiConnections) })
	}
	serve("push", r.outputs.run)
	serve("judge", r.judge)
	serve("webhook", r.runWebhooks)
	r.ready.Store(true)
	<-ctx.Done()
	r.ready.Store(false)
	_ = r.hub.Close()
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// config is the configuration that runs now.
func (r *Relay) config() config.Relay {
	r.reload.Lock()
	defer r.reload.Unlock()
	return r.cfg
}

func (r *Relay) serveHTTP(ctx context.Context) error {
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }
	mux.HandleFunc("GET /healthz", ok)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, req *http.Request) {
		if !r.ready.Load() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		ok(w, req)
	})
	mux.Handle("/v1/streams/", feedback.New(feedback.Config{Board: r.board, Logger: r.log, Authorize: r.authorizeFeedback}))
	mux.Handle("/", httpflv.New(httpflv.Config{Hub: r.hub, Logger: r.log, Authorize: r.authorizeHTTP}))
	cfg := r.config()
	return r.serve(ctx, "http", r.http, mux, cfg.Connections)
}

// Streams returns a snapshot of every stream.
func (r *Relay) Streams() []hub.StreamStats { return r.hub.Streams() }

// Outputs returns the destinations, in the order of the configuration.
func (r *Relay) Outputs() []*rtmpout.Output { return r.outputs.running() }

// Keys returns who may publish; generated says that nobody chose them.
func (r *Relay) Keys() (keys []string, generated bool) {
	keys = r.Names()
	return keys, len(keys) == 1 && keys[0] == r.generated
}

// Names returns the names that are keys.
func (r *Relay) Names() []string { return *r.keys.Load() }

// Addrs returns the addresses listened on; nil: off.
func (r *Relay) Addrs() (srt, rtmp, http net.Addr) {
	if r.srt != nil {
		srt = r.srt.Addr()
	}
	if r.rtmp != nil {
		rtmp = r.rtmp.Addr()
	}
	if r.http != nil {
		http = r.http.Addr()
	}
	return srt, rtmp, http
}

// APIAddr returns the address of the API and the page; nil: off.
func (r *Relay) APIAddr() net.Addr {
	if r.api == nil {
		return nil
	}
	return r.api.Addr()
}

// QUIC returns the address listened on for QUIC and the pin of its key; nil: off.
func (r *Relay) QUIC() (addr net.Addr, pin string) {
	if r.quic == nil {
		return nil, ""
	}
	pin, _ = r.quic.Pin()
	return r.quic.Addr(), pin
}

// Hub returns the hub, for programs that read or write streams in this process.
func (r *Relay) Hub() *hub.Hub { return r.hub }
