package relay

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/tcp"
)

// Bounds of every HTTP connection, so that one that says nothing, or says it slowly, costs little and not for long.
const (
	headerWithin   = 5 * time.Second
	bodyWithin     = 10 * time.Second
	idleConnection = time.Minute
	maxHeader      = 16 << 10
	maxBody        = 1 << 20

	apiConnections = 256 // ours: a page takes seven, Prometheus one
)

// serve answers HTTP requests until ctx ends, under a name for the metrics; connections get 2 s to end by themselves.
func (r *Relay) serve(ctx context.Context, what string, l net.Listener, h http.Handler, connections int) error {
	limit := newCrowd(cmp.Or(connections, config.DefaultConnections), func() { r.refused.count(what, "too_many_connections") }, func(peer string, refused uint64) {
		r.log.Warn("http: connection refused: too many", "addr", l.Addr().String(), "peer", peer, "refused_total", refused)
	})
	srv := &http.Server{
		Handler:           bounded(h),
		ReadHeaderTimeout: headerWithin,
		IdleTimeout:       idleConnection,
		MaxHeaderBytes:    maxHeader,
		ConnState:         limit.state,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			_ = tcp.Live(nc, tcp.NotSentLowWater, 0) // a player's queue is ours, where what is stale can be dropped
			return ctx
		},
		ErrorLog: slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if srv.Shutdown(end) != nil {
			_ = srv.Close()
		}
	})
	err := srv.Serve(l)
	if !stop() {
		<-done
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// bounded gives a request's body a size and a time, and forbids browsers to guess what an answer is.
func bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet && r.Method != http.MethodHead && r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyWithin)) // until the next request
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		h.ServeHTTP(w, r)
	})
}

// crowd counts the connections of a server and ends those that are too many: beyond max, or beyond a quarter of it from one
// address (IPv6: a /64) that is not this machine, where a proxy may be. WebSockets leave it when they open; players have a
// bound of their own.
type crowd struct {
	max, each int
	count     func()
	refuse    func(peer string, refused uint64) // at most once a second

	mu      sync.Mutex // guards what follows
	in      map[net.Conn]netip.Prefix
	from    map[netip.Prefix]int
	refused uint64
	told    time.Time
}

func newCrowd(limit int, count func(), refuse func(peer string, refused uint64)) *crowd {
	return &crowd{max: limit, each: max(limit/4, 1), count: count, refuse: refuse, in: map[net.Conn]netip.Prefix{}, from: map[netip.Prefix]int{}}
}

// state is http.Server's ConnState.
func (c *crowd) state(conn net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		c.enter(conn, time.Now())
	case http.StateClosed, http.StateHijacked:
		c.mu.Lock()
		defer c.mu.Unlock()
		if p, ok := c.in[conn]; ok {
			delete(c.in, conn)
			if c.from[p]--; c.from[p] == 0 {
				delete(c.from, p)
			}
		}
	}
}

func (c *crowd) enter(conn net.Conn, now time.Time) {
	peer := neighbourhood(conn.RemoteAddr())
	c.mu.Lock()
	if len(c.in) < c.max && (c.from[peer] < c.each || peer.Addr().IsLoopback()) {
		c.in[conn] = peer
		c.from[peer]++
		c.mu.Unlock()
		return
	}
	c.refused++
	n, tell := c.refused, now.Sub(c.told) >= time.Second
	if tell {
		c.told = now
	}
	c.mu.Unlock()
	tcp.Reset(conn)
	c.count()
	if tell {
		c.refuse(conn.RemoteAddr().String(), n)
	}
}

// neighbourhood is what counts as one address.
func neighbourhood(a net.Addr) netip.Prefix {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := ap.Addr().Unmap(), 64
	if ip.Is4() || ip.IsLoopback() {
		bits = ip.BitLen()
	}
	p, _ := ip.WithZone("").Prefix(bits)
	return p
}
