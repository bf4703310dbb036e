package srt

import "time"

// Constants of yielding; ours.
const (
	// yieldLeast and yieldMost bound how long without data a connection yields its stream to another caller that asks for it.
	yieldLeast, yieldMost = 20 * time.Millisecond, 300 * time.Millisecond
	// yieldSlack is added to twice the longest pause a connection has made: of a loop's ticks, at either end.
	yieldSlack = 4 * time.Millisecond
	// yieldWithin is how long the other caller is kept waiting for that, before it becomes a request; callers repeat themselves for 3 s.
	yieldWithin = 700 * time.Millisecond
	// pausesLeast is how many packets must have come before their pauses tell anything.
	pausesLeast = 32
	// pausesFor is how long a pause is remembered, at least; at most twice as long.
	pausesFor = 10 * time.Second
)

// pauses is how regularly data comes.
type pauses struct {
	last           time.Duration // when data came last
	n              int
	longest, older time.Duration // of this period and the one before
	since          time.Duration
}

// packet takes the arrival of data.
func (p *pauses) packet(now time.Duration) {
	if p.n > 0 {
		p.longest = max(p.longest, now-p.last)
	} else {
		p.since = now
	}
	if now-p.since > pausesFor {
		p.older, p.longest, p.since = p.longest, 0, now
	}
	p.last = now
	p.n++
}

// limit is how long a pause is no more than a pause: who is silent for longer has gone, as far as another caller for the stream is concerned.
func (p *pauses) limit() time.Duration {
	if p.n < pausesLeast {
		return yieldMost
	}
	return min(max(2*max(p.longest, p.older)+yieldSlack, yieldLeast), yieldMost)
}

// rival finds the connection that has a stream already; nil: there is none.
func (l *Listener) rival(streamID string) *Conn {
	for _, c := range l.conns {
		if c.ending == nil && c.streamID == streamID {
			return c.owner
		}
	}
	return nil
}

// gone reports whether all members of a connection's group have ended.
func (c *Conn) gone() bool {
	for _, m := range c.members {
		if m.ending == nil {
			return false
		}
	}
	return true
}

// yieldAt is when it yields, unless data comes.
func (c *Conn) yieldAt() time.Duration { return max(c.pauses.last, c.began) + c.pauses.limit() }

// yield turns callers that wait for a rival into requests: when it has ended, when it has fallen silent and yields, or when that takes too
// long. A caller that restarts, or comes over another network, must not wait until the connection it had is found dead.
//
// It is called when everything that has come has been taken: what waits in a socket is no silence.
func (l *Listener) yield(now time.Duration) {
	rest := l.waiting[:0]
	for _, r := range l.waiting {
		switch {
		case r.rival.gone():
			r.Replaces = r.rival
		case now >= r.rival.yieldAt():
			r.Replaces = r.rival
			l.take(r.rival)
		case now < r.until:
			rest = append(rest, r)
			continue
		}
		l.requests = append(l.requests, r)
	}
	clear(l.waiting[len(rest):])
	l.waiting = rest
}

// yieldsAt is when to look again; forever: nobody waits.
func (l *Listener) yieldsAt() time.Duration {
	at := forever
	for _, r := range l.waiting {
		at = min(at, r.until, r.rival.yieldAt())
	}
	return at
}
