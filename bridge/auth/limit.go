package auth

import (
	"net/netip"
	"sync"
	"time"
)

const (
	maxFailures   = 20          // a minute and address, then nothing is checked for the rest of it
	failureWindow = time.Minute // from the first failure
	maxAddresses  = 4096        // remembered; more: the table is emptied, guessing is then slowed less
	maxSeen       = 65536       // credentials remembered against replay
)

// limiter counts failures by source address; IPv6 by /64, which is one subscriber.
type limiter struct {
	mu sync.Mutex
	by map[netip.Addr]failures
}

type failures struct {
	n     int
	since time.Time
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

func (l *limiter) ok(now time.Time, a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.by[source(a)]
	return f.n < maxFailures || now.Sub(f.since) >= failureWindow
}

func (l *limiter) failed(now time.Time, a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil || len(l.by) >= maxAddresses {
		l.by = map[netip.Addr]failures{}
	}
	a = source(a)
	f := l.by[a]
	if now.Sub(f.since) >= failureWindow {
		f = failures{since: now}
	}
	f.n++
	l.by[a] = f
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
