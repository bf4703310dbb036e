package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/transport/quiclink"
)

// A chain is one destination that can be reached in several ways, URL|URL|…: the first that works carries the stream.
//
//	way 0 ── not reached within wayTimeout, silent for Patience, or starved for twice that ──▶ way 1 ──▶ … ──▶ way 0
//	way 0 ◀── answers again: asked every ProbeEvery, in the background ── any later way
//
// A way is left before the next one begins, for both may publish the same name at the same relay. A server that refuses us
// is no way that is down: that ends the chain when it is the first.
type chain struct {
	push *Push
	urls []string

	mu     sync.Mutex // guards what follows
	now    int
	way    output // of urls[now]
	why    string // not the first way
	before Status // sums of ways that have been left
}

const (
	// wayTimeout is how long a way may take to connect: ours, three round trips of a bad path and one lost packet.
	wayTimeout = 3 * time.Second
	// defaultPatience: ours; above it, moving media into QUIC's DATAGRAM frames has had its time (quiclink: 2 s).
	defaultPatience = 4 * time.Second
	// defaultProbe and maxProbe: ours. A way that was lost again within steady of its return is asked half as often each time.
	defaultProbe = 5 * time.Second
	maxProbe     = time.Minute
	steady       = 30 * time.Second
	// maxStarved: ours. A way that carried too little is tried after maxProbe, then half as often each time.
	maxStarved = 10 * time.Minute
)

// Reasons to leave a way.
var (
	errDown    = errors.New("nothing comes back any more")
	errStarved = errors.New("only QUIC passes, and its congestion control holds the stream up")
	errBack    = errors.New("an earlier way answers again")
)

// newChain makes the ways of URL|URL|…, or of one fairlead:// URL with fallback=rtmps or rtmp.
func (p *Push) newChain(urls []string) (output, error) {
	c := &chain{push: p, urls: urls}
	for _, u := range urls { // all words are right, not only those of the first
		way, err := p.newWay(u)
		if err != nil {
			return nil, err
		}
		if c.way == nil {
			c.way = way
		}
	}
	return c, nil
}

// ways takes a destination's URL apart.
func ways(raw string) ([]string, error) {
	urls := strings.Split(raw, "|")
	u, err := url.Parse(raw)
	if len(urls) > 1 || err != nil || u.Scheme != quiclink.Scheme || !u.Query().Has("fallback") {
		return urls, nil
	}
	q := u.Query()
	scheme := q.Get("fallback")
	q.Del("fallback")
	u.RawQuery = q.Encode()
	if scheme != "rtmps" && scheme != "rtmp" {
		return nil, fmt.Errorf("%w: fallback: %q is neither rtmps nor rtmp; write URL|URL for any other", config.ErrUsage, scheme)
	}
	over := url.URL{Scheme: scheme, Host: u.Hostname(), Path: u.Path}
	if strings.Contains(over.Host, ":") {
		over.Host = "[" + over.Host + "]"
	}
	if token := q.Get("token"); token != "" {
		over.RawQuery = url.Values{"token": {token}}.Encode()
	}
	return []string{u.String(), over.String()}, nil
}

// open connects the first way that can be.
func (c *chain) open(ctx context.Context) error {
	var last error
	for i := range c.urls {
		err := c.enter(ctx, i, last)
		if err == nil || ctx.Err() != nil || i == 0 && refused(err) {
			return err
		}
		last = err
	}
	return last
}

func refused(err error) bool { return errors.Is(err, ErrRefused) || errors.Is(err, config.ErrUsage) }

// inUse reports whether a relay has another publisher of that name.
func inUse(err error) bool {
	r, ok := errors.AsType[*quiclink.Rejection](err)
	return ok && r.Status == http.StatusConflict
}

// enter makes way i the one in use.
func (c *chain) enter(ctx context.Context, i int, why error) error {
	way, err := c.push.newWay(c.urls[i])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, wayTimeout)
	defer cancel()
	err = way.open(ctx)
	for ; inUse(err) && ctx.Err() == nil; err = way.open(ctx) { // by ourselves, over the way that was left: the relay has not noticed yet
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	if err != nil {
		way.close()
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%s: no answer within %v: %w", label(c.urls[i]), wayTimeout, err)
		}
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.way, c.why = i, way, ""
	if i > 0 && why != nil {
		c.why = why.Error()
	}
	return nil
}

// run carries the stream over the way in use, and over another one when that is called for.
//
// Goroutines: the way's; one asks whether an earlier way answers again.
func (c *chain) run(ctx context.Context, h *hub.Hub, name string) error {
	every := c.push.cfg.ProbeEvery
	for since := time.Now(); ; since = time.Now() {
		err := c.ride(ctx, h, name, every)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if c.index() == 0 && refused(err) {
			return err
		}
		next := c.index() + 1
		switch {
		case errors.Is(err, errBack):
			next = 0
		case errors.Is(err, errStarved): // it answers, and will as soon as it is asked: that says little
			if every < maxProbe {
				every = maxProbe
			} else {
				every = min(2*every, maxStarved)
			}
		case c.index() == 0 && time.Since(since) < steady:
			every = min(2*every, maxProbe)
		case c.index() == 0:
			every = c.push.cfg.ProbeEvery
		}
		c.leave()
		for ; ; next++ {
			why := c.enter(ctx, next%len(c.urls), err)
			if why == nil {
				break
			}
			c.push.cfg.Logger.Info("not reached", "to", label(c.urls[next%len(c.urls)]), "err", why)
			if err = why; ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if (next+1)%len(c.urls) == 0 { // all of them have been tried
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
		}
		c.push.cfg.Logger.Warn("the stream goes another way", "to", c.status().To, "err", err)
	}
}

// ride carries the stream over the way in use until the stream ends (nil), the way is down or fails, or an earlier one is back.
func (c *chain) ride(ctx context.Context, h *hub.Hub, name string, every time.Duration) error {
	way, i := c.inUse()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	if i > 0 {
		wg.Go(func() { cancel(c.lookBack(ctx, i, every)) })
	}
	ended := make(chan error, 1)
	wg.Go(func() {
		err := way.run(ctx, h, name)
		if why := context.Cause(ctx); errors.Is(why, errDown) || errors.Is(why, errStarved) || errors.Is(why, errBack) {
			err = why
		}
		ended <- err
		cancel(nil)
	})
	tick := time.NewTicker(c.push.cfg.Patience / 16)
	defer tick.Stop()
	var w watch
	for {
		select {
		case err := <-ended:
			return err
		case now := <-tick.C:
			if w.down(now, way) > c.push.cfg.Patience {
				cancel(fmt.Errorf("%s: %w", label(c.urls[i]), errDown))
			}
			if h, ok := way.(hungry); ok && i+1 < len(c.urls) && h.starved() > 2*c.push.cfg.Patience {
				cancel(fmt.Errorf("%s: %w", label(c.urls[i]), errStarved))
			}
		}
	}
}

// watch tells how long a way has carried nothing.
type watch struct{ since time.Time } // it carried nothing; zero: it does

// silent is a way that knows itself.
type silent interface{ silent() time.Duration }

// hungry is a way that knows whether it carries the stream.
type hungry interface{ starved() time.Duration }

func (w *watch) down(now time.Time, way output) time.Duration {
	if s, ok := way.(silent); ok {
		return s.silent()
	}
	switch st := way.status(); {
	case st.State == "connected" || st.State == "publishing" || st.State == "idle":
		w.since = time.Time{}
		return 0
	case w.since.IsZero():
		w.since = now
	}
	return now.Sub(w.since)
}

// lookBack asks the ways before i whether they answer; errBack: one does.
func (c *chain) lookBack(ctx context.Context, i int, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for _, u := range c.urls[:i] {
			if reachable(ctx, u) == nil {
				return errBack
			}
		}
	}
}

// errUnknown: no way is known to ask without publishing.
var errUnknown = errors.New("cannot be asked")

// reachable reports whether something answers at a URL, without publishing there.
func reachable(ctx context.Context, raw string) error {
	ctx, cancel := context.WithTimeout(ctx, wayTimeout)
	defer cancel()
	u, err := url.Parse(raw)
	if err != nil {
		return err
	}
	switch u.Scheme {
	case quiclink.Scheme:
		t, err := quiclink.ParseURL(raw)
		if err != nil {
			return err
		}
		return quiclink.Reachable(ctx, t)
	case "rtmp", "rtmps":
		port := cmp.Or(u.Port(), map[string]string{"rtmp": "1935", "rtmps": "443"}[u.Scheme])
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	return errUnknown
}

func (c *chain) inUse() (output, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.way, c.now
}

func (c *chain) index() int { _, i := c.inUse(); return i }

// leave keeps the numbers of the way in use and closes it.
func (c *chain) leave() {
	way, _ := c.inUse()
	st := way.status()
	way.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before = plus(c.before, st)
	c.before.Reconnects++
	c.way = nowhere{st.To}
}

func (c *chain) close() {
	way, _ := c.inUse()
	way.close()
}

func (c *chain) status() Status {
	c.mu.Lock()
	way, why, before := c.way, c.why, c.before
	c.mu.Unlock()
	st := plus(way.status(), before)
	st.Detour = why
	return st
}

// plus adds the counters of b to a.
func plus(a, b Status) Status {
	for _, n := range [...]struct {
		to   *uint64
		from uint64
	}{
		{&a.FramesSent, b.FramesSent}, {&a.Unsent, b.Unsent}, {&a.SendBytes, b.SendBytes}, {&a.Packets, b.Packets}, {&a.Delivered, b.Delivered},
		{&a.RecoveredFEC, b.RecoveredFEC}, {&a.RecoveredResend, b.RecoveredResend}, {&a.Late, b.Late}, {&a.Lost, b.Lost},
		{&a.FramesDelivered, b.FramesDelivered}, {&a.FramesLost, b.FramesLost}, {&a.Resent, b.Resent},
		{&a.Parity, b.Parity}, {&a.Feedback, b.Feedback}, {&a.FeedbackBytes, b.FeedbackBytes},
	} {
		*n.to += n.from
	}
	a.Reconnects += b.Reconnects
	return a
}

// nowhere is between two ways.
type nowhere struct{ to string }

func (n nowhere) open(context.Context) error                  { return nil }
func (n nowhere) run(context.Context, *hub.Hub, string) error { return nil }
func (n nowhere) status() Status                              { return Status{To: n.to, State: "connecting"} }
func (n nowhere) close()                                      {}

// label names a URL without what is secret in it.
func label(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
