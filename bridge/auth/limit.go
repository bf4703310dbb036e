package auth

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

const (
	maxFailures   = 20          // different guesses a minute and address, then nothing is checked for the rest of it
	failureWindow = time.Minute // from the first failure
	maxAddresses  = 4096        // remembered; more: the table is emptied, guessing is then slowed less
	maxSeen       = 65536       // credentials remembered against replay
	sameAnswer    = time.Second // the same guess again gets the same answer without a check: libsrt's callers repeat every 10 ms
)

// limiter counts failures by source address; IPv6 by /64, which is one subscriber. One caller that repeats itself is one
// guess, so that it does not lock out the others of its network.
type limiter struct {
	mu   sync.Mutex
	seed maphash.Seed
	by   map[netip.Addr]*failures
}

type failures struct {
	since   time.Time
	guesses []guess // at most maxFailures
}

type guess struct {
	hash uint64
	at   time.Time
	err  error
}

func source(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// known returns the refusal of a guess that was made within sameAnswer, or of one too many; nil: check it.
func (l *limiter) known(now time.Time, r *Request) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.by[source(r.Peer)]
	if f == nil || now.Sub(f.since) >= failureWindow {
		return nil
	}
	h := l.hash(r)
	for i := range f.guesses {
		if g := &f.guesses[i]; g.hash == h && now.Sub(g.at) < sameAnswer {
			return g.err
		}
	}
	if len(f.guesses) == maxFailures {
		return deny(TooMany, "%d different failures from %s within a minute", maxFailures, r.Peer)
	}
	return nil
}

func (l *limiter) hash(r *Request) uint64 {
	return maphash.Comparable(l.seed, [5]string{r.Action.String(), r.Name, r.Suffix, r.Token, r.Query})
}

func (l *limiter) failed(now time.Time, r *Request, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil || len(l.by) >= maxAddresses {
		l.by = map[netip.Addr]*failures{}
	}
	a := source(r.Peer)
	f := l.by[a]
	if f == nil || now.Sub(f.since) >= failureWindow {
		f = &failures{since: now}
		l.by[a] = f
	}
	g := guess{l.hash(r), now, err}
	for i := range f.guesses {
		if f.guesses[i].hash == g.hash {
			f.guesses[i] = g
			return
		}
	}
	if len(f.guesses) < maxFailures {
		f.guesses = append(f.guesses, g)
	}
}

// replay binds a credential with an id to the first address that used it, so that a copy is worth nothing elsewhere
// while the one it was made for can come back with it.
type replay struct {
	mu   sync.Mutex
	seen map[string]use
}

type use struct {
	by    netip.Addr
	until time.Time
}

func (p *replay) use(now time.Time, a netip.Addr, g grant) bool {
	if g.id == "" {
		return true
	}
	a = source(a)
	p.mu.Lock()
	defer p.mu.Unlock()
	if u, ok := p.seen[g.id]; ok && now.Before(u.until) {
		return u.by == a
	}
	if p.seen == nil {
		p.seen = map[string]use{}
	}
	if len(p.seen) >= maxSeen {
		for id, u := range p.seen {
			if !now.Before(u.until) {
				delete(p.seen, id)
			}
		}
		if len(p.seen) >= maxSeen {
			return false
		}
	}
	p.seen[g.id] = use{a, g.expiry}
	return true
}
