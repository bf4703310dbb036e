package rtmpout

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/hub"
)

// watchEvery is how often a connection with a backup is looked at. Ours: a tenth of Config.FailAfter.
const watchEvery = 100 * time.Millisecond

// goal is a connection to be made while another one publishes.
type goal struct {
	to       *destination
	redirect string // where a server sent us
	why      string
	how      begin // beginAfter, or beginNewest when the one that publishes is given up
}

// attempt is a connection being made.
type attempt struct {
	goal  goal
	began time.Time
	stop  context.CancelFunc
	s     *session // nil: err says why
	err   error
	off   bool // called off
}

// keeper keeps one output publishing while its stream lasts. It is owned by one goroutine.
type keeper struct {
	o    *Output
	seat *hub.Subscriber
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	live    *session // publishes, or will at the next key frame
	old     *session // publishes until that key frame
	goal    *goal    // while live != nil: what to move to
	attempt *attempt
	now     time.Time // of the event being handled
	timer   *time.Timer
	down    time.Time // when it last ceased to publish
	said    Cause     // of the last failure logged
	saidAt  time.Time
	back    time.Time // when to try the first address again
	again   bool      // it has published before
	fresh   bool      // the destination was too slow, so it gets only what is young

	dialed chan *attempt
	ended  chan *session
	asked  chan request
}

// request is a server's wish that we reconnect.
type request struct {
	s     *session
	moved *movedError
}

// keep publishes until the stream is over or ctx ends.
func (o *Output) keep(ctx context.Context, seat *hub.Subscriber) {
	k := &keeper{o: o, seat: seat, now: time.Now(), dialed: make(chan *attempt), ended: make(chan *session), asked: make(chan request, 1), timer: time.NewTimer(time.Hour)}
	k.ctx, k.stop = context.WithCancel(ctx)
	gone := make(chan struct{})
	k.wg.Go(func() {
		_, _ = seat.Read(k.ctx)
		close(gone)
	})
	k.down = k.now
	first, n := o.first()
	k.dial(goal{to: first})
	watch := time.NewTicker(watchEvery)
	if n < 2 {
		watch.Stop() // until Move
	}
	defer watch.Stop()
	over := false
	for ctx.Err() == nil && !(over && k.live == nil && k.old == nil) {
		select {
		case <-ctx.Done():
		case <-gone: // what publishes sees it too, behind what is queued
			over, gone = true, nil
		case a := <-k.dialed:
			k.now = time.Now()
			k.attempt = nil
			switch {
			case a.off:
				if a.s != nil {
					_ = a.s.nc.Close()
				}
				k.next()
			case a.err != nil:
				k.missed(a)
			default:
				k.publish(a)
			}
		case s := <-k.ended:
			k.now = time.Now()
			k.lost(s)
			over = over || causeOf(s.err) == CauseStreamEnd
		case r := <-k.asked:
			k.now = time.Now()
			k.reconnect(r)
		case <-o.move:
			k.now = time.Now()
			k.moved()
			watch.Reset(watchEvery)
		case <-watch.C:
			k.now = time.Now()
			k.watch()
		case <-k.timer.C:
			k.now = time.Now()
			k.next()
		}
	}
	k.end()
}

// end stops everything and waits for it.
func (k *keeper) end() {
	if k.live != nil {
		k.o.set(Draining)
	}
	k.stop()
	done := make(chan struct{})
	go func() { k.wg.Wait(); close(done) }()
	for {
		select {
		case a := <-k.dialed:
			if a.s != nil {
				_ = a.s.nc.Close()
			}
		case s := <-k.ended:
			k.count(s.err)
		case <-done:
			return
		}
	}
}

// dial begins an attempt.
func (k *keeper) dial(g goal) {
	ctx, cancel := context.WithCancel(k.ctx)
	a := &attempt{goal: g, began: k.now, stop: cancel}
	k.attempt = a
	if k.live == nil {
		k.o.update(func(st *Stats) { st.Destination, st.Place = g.to.name, g.to.place })
		k.o.set(Connecting)
	}
	k.wg.Go(func() {
		defer cancel()
		a.s, a.err = k.o.connect(ctx, g.to, g.redirect, k.seat.Tracks())
		k.dialed <- a
	})
}

// callOff ends the attempt under way; dialed is told of it.
func (k *keeper) callOff() {
	if k.attempt != nil {
		k.attempt.off = true
		k.attempt.stop()
	}
}

// publish lets a connection publish.
func (k *keeper) publish(a *attempt) {
	s, g := a.s, a.goal
	how := g.how
	if k.live == nil {
		how = beginNewest
		switch {
		case k.fresh:
			how = beginFresh
		case k.again:
			how = beginAgain
		}
	}
	if err := s.subscribe(how, k.live); err != nil { // the stream is over
		_ = s.nc.Close()
		return
	}
	ctx, cancel := context.WithCancelCause(k.ctx)
	s.kill, s.began = cancel, k.now
	s.asked = func(s *session, m *movedError) {
		select {
		case k.asked <- request{s, m}:
		default: // one is enough
		}
	}
	log := k.o.cfg.Logger.With("to", s.to.name)
	switch {
	case k.live == nil:
		log.Info("push: publishing", "after_ms", k.now.Sub(k.down).Milliseconds())
	case how == beginAfter:
		log.Info("push: moving at the next key frame", "why", g.why, "from", k.live.to.name)
		k.old = k.live
	default:
		log.Warn("push: backup takes over", "why", g.why, "from", k.live.to.name, "after_ms", k.now.Sub(a.began).Milliseconds())
		k.live.kill(errStalled)
	}
	k.live, k.goal = s, nil
	k.again, k.fresh = true, false
	k.back = time.Time{}
	if s.to.place > 0 && k.o.cfg.Return > 0 {
		k.back = k.now.Add(k.o.cfg.Return)
	}
	k.o.opened(s)
	k.o.update(func(st *Stats) { st.Publishes++; st.Moving = k.old != nil })
	k.o.set(Publishing)
	k.wg.Go(func() {
		s.err = s.run(ctx, cancel)
		s.live = time.Since(s.began)
		k.ended <- s
	})
	k.next()
}

// lost is told of the end of a session.
func (k *keeper) lost(s *session) {
	cause := k.count(s.err)
	switch s {
	case k.old: // as planned, or not: the new one begins at its next key frame anyway
		k.old = nil
		k.o.update(func(st *Stats) { st.Moving = false })
		k.o.cfg.Logger.Info("push: moved", "from", s.to.name, "cause", cause.String())
		k.next()
	case k.live:
		k.live, k.old = k.old, nil
		if k.live != nil { // the new one did not last until the key frame
			k.o.opened(k.live)
			k.o.update(func(st *Stats) { st.Moving = false })
		} else {
			k.down, k.fresh = k.now, cause == CauseStalled
		}
		k.failed(s.to, cause, s.err, s.live, k.now, redirectOf(s.err))
	default: // given up before
		k.failed(s.to, cause, s.err, s.live, k.now, "")
	}
}

// missed is told of an attempt that failed.
func (k *keeper) missed(a *attempt) {
	if k.ctx.Err() != nil {
		return
	}
	cause := causeOf(a.err)
	k.count(a.err)
	if cause == CauseTimeout {
		k.fresh = true
	}
	if k.live != nil && cause == CauseBadName && a.goal.how == beginAfter && a.goal.redirect == "" && a.goal.to.host == k.live.to.host {
		// It is the same server: only one of us can publish.
		select {
		case k.live.moving <- &movedError{a.goal.redirect}:
		default:
		}
		k.goal = nil
		return
	}
	k.failed(a.goal.to, cause, a.err, 0, a.began, redirectOf(a.err))
}

// failed sets when a destination is tried again, and goes on.
func (k *keeper) failed(to *destination, cause Cause, err error, live time.Duration, began time.Time, redirect string) {
	delay := to.backoff.next(&k.o.cfg.Backoff, cause, live, rand.Float64())
	to.notYet = began.Add(delay)
	to.failed = cause == CauseAuth && delay > 0 || cause == CauseUnfit
	wait := max(0, to.notYet.Sub(k.now))
	if k.live == nil {
		k.o.update(func(st *Stats) { st.LastError = err.Error() })
	}
	if k.live == nil && cause == CauseRedirect && to.backoff.redirects <= maxRedirects {
		if k.attempt == nil {
			k.dial(goal{to: to, redirect: redirect})
		}
		return
	}
	if g := k.goal; g != nil && g.to == to {
		if g.redirect = ""; cause == CauseRedirect {
			g.redirect = redirect
		}
		if g.why == whyReturn { // later
			k.goal = nil
			k.back = k.now.Add(k.o.cfg.Return)
		}
	}
	log := k.o.cfg.Logger.With("to", to.name)
	switch {
	case cause == CauseStreamEnd:
		log.Info("push: stream ended")
		return
	case cause == CauseUnfit && (cause != k.said || k.now.Sub(k.saidAt) > sayUnfitEvery):
		k.said, k.saidAt = cause, k.now
		log.Error("push: not pushed", "cause", cause.String(), "err", err)
	case cause == CauseUnfit:
	case to.failed:
		log.Error("push: refused for who we are", "cause", cause.String(), "err", err, "retry_ms", wait.Milliseconds())
	case live > 0 || cause != k.said || k.now.Sub(k.saidAt) > sayEvery:
		k.said, k.saidAt = cause, k.now
		log.Warn("push: down", "cause", cause.String(), "err", err, "live_ms", live.Milliseconds(), "retry_ms", wait.Milliseconds())
	default:
		log.Debug("push: down", "cause", cause.String(), "err", err, "retry_ms", wait.Milliseconds())
	}
	k.next()
}

// sayEvery is how often the same failure is worth a line in the log.
const sayEvery = 10 * time.Second

// sayUnfitEvery is the same for a stream whose codec the destination does not take: it lasts.
const sayUnfitEvery = 10 * time.Minute

const whyReturn = "the first address again"

// count counts an end.
func (k *keeper) count(err error) Cause {
	cause := causeOf(err)
	k.o.update(func(st *Stats) { st.Ended[cause]++ })
	return cause
}

// next begins the next attempt, or sets the timer for it.
func (k *keeper) next() {
	if k.attempt != nil || k.old != nil {
		return
	}
	var g goal
	switch {
	case k.live == nil:
		k.goal = nil
		g.to = k.candidate(nil)
	case k.goal != nil:
		g = *k.goal
		if g.how == beginNewest { // any will do but the one that is stuck
			g.to = k.candidate(k.live.to)
			k.goal.to = g.to
		}
	default:
		return
	}
	wait := g.to.notYet.Sub(k.now)
	if wait <= 0 {
		k.dial(g)
		return
	}
	k.timer.Reset(wait)
	if k.live == nil {
		if g.to.failed {
			k.o.set(Failed)
		} else {
			k.o.set(BackingOff)
		}
	}
}

// candidate returns the destination that may be tried first: the earlier in the list the better, but for one.
func (k *keeper) candidate(but *destination) *destination {
	k.o.mu.Lock()
	defer k.o.mu.Unlock()
	var best *destination
	for _, d := range k.o.destinations {
		if d == but {
			continue
		}
		if best == nil || d.notYet.After(k.now) && d.notYet.Before(best.notYet) || best.notYet.After(k.now) && !d.notYet.After(k.now) {
			best = d
		}
	}
	if best == nil {
		best = but
	}
	return best
}

// reconnect follows a server's wish to reconnect.
func (k *keeper) reconnect(r request) {
	if r.s != k.live || k.goal != nil || k.old != nil {
		return
	}
	r.s.to.notYet = k.now
	k.goal = &goal{to: r.s.to, redirect: r.moved.tcURL, why: "the server asks to reconnect", how: beginAfter}
	k.o.update(func(st *Stats) { st.Moving = true })
	k.next()
}

// moved begins to publish to the new first destination.
func (k *keeper) moved() {
	k.callOff()
	first, _ := k.o.first()
	if k.live != nil {
		k.goal = &goal{to: first, why: "configuration", how: beginAfter}
		k.o.update(func(st *Stats) { st.Moving = true })
	}
	k.next()
}

// watch leaves a destination that takes nothing for one that may, and goes back to the first when it is time.
func (k *keeper) watch() {
	s := k.live
	first, n := k.o.first()
	if s == nil || n < 2 {
		return
	}
	stalled := s.mark.stalled(s.nc, k.now) >= k.o.cfg.FailAfter
	switch {
	case k.goal != nil && k.goal.how == beginNewest:
		if !stalled {
			k.goal = nil
			k.callOff()
		}
	case stalled && (k.goal == nil || k.goal.why == whyReturn):
		k.goal = &goal{to: k.candidate(s.to), why: "it acknowledges nothing", how: beginNewest}
		k.next()
	case k.goal == nil && !k.back.IsZero() && k.now.After(k.back):
		k.back = time.Time{}
		first.notYet = k.now
		k.goal = &goal{to: first, why: whyReturn, how: beginAfter}
		k.next()
	}
}
