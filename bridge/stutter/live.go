package stutter

import (
	"slices"
	"time"
)

// Headline is the buffer of the player whose stalls get their cause.
const Headline = time.Second

const (
	window     = 100                    // s: what StallSeconds and the like are "per 100 s" of
	seconds    = 128                    // bins of one second; more than the window, so that a cause may come late
	maxPending = 32                     // stalls whose cause is not settled
	settleIn   = usualRelief            // after its end a stall's cause is settled
	foldAfter  = 6 * time.Second        // of a stall that goes on, what is older than foldKeep is settled
	foldKeep   = 2 * time.Second        //
	aheadMost  = 30 * time.Second       // a stall that lies further ahead is settled at once
	outputWait = settleIn + time.Second // an output's stalls wait for the stream's
	lookAfter  = 16                     // frames that are looked at together, at most: three to each Tick at 30 a second
)

// Live judges one track while it runs: the reference players of a Meter, and why the viewer of a buffer of Headline waits. It is owned by one
// goroutine. Memory: 35 KiB, of an output 4 KiB, and 64 KiB in each player at most while stalls lie ahead.
//
// Give it each frame as it leaves (Observe) and ten times a second what is known of its way here (Tick). A Live with an upstream is an output's:
// what the stream did not have, the output cannot send, and the rest is the destination's (Egress).
type Live struct {
	m        *Meter
	why      *evidence     // nil: of an output
	pending  []gap         // not settled, oldest first
	folded   time.Duration // what is before is settled
	now      time.Duration
	upstream *Live // of an output, since its last Tick; borrowed until the next
	total    ByCause
	stalls   [causes]uint64
	longest  time.Duration
	length   time.Duration           // of the stall that was settled last, so far
	ring     [seconds][causes]uint16 // ms
	second   int64                   // newest of ring

	seen []seen // frames that are not looked at yet: all at once costs a third of one at a time, when what is here is no longer at hand
}

// seen is a frame, and when it was complete.
type seen struct {
	Frame
	at time.Duration
}

// NewLive makes one of a stream. The clock is the caller's; it begins anywhere.
func NewLive() *Live {
	l := NewOutput()
	l.why = new(evidence)
	return l
}

// NewOutput makes one of an output; Tick is then told of the stream's.
func NewOutput() *Live {
	l := &Live{
		m:       NewMeter(Config{Buffers: []time.Duration{200 * time.Millisecond, Headline, 3 * time.Second}, stallsOnly: true}),
		pending: make([]gap, 0, maxPending),
		seen:    make([]seen, 0, lookAfter),
	}
	p := l.player()
	p.live, p.gaps = true, make([]gap, 0, maxGaps)
	return l
}

func (l *Live) player() *player { return &l.m.players[1] }

// Observe takes a frame that is complete at egress.
func (l *Live) Observe(f Frame, at time.Duration) {
	if l.seen = append(l.seen, seen{f, at}); len(l.seen) == lookAfter {
		l.look()
	}
}

// look looks at the frames that have come: before anything is said.
func (l *Live) look() {
	for i := range l.seen {
		l.observe(l.seen[i].Frame, l.seen[i].at)
	}
	l.seen = l.seen[:0]
}

func (l *Live) observe(f Frame, at time.Duration) {
	l.advance(at)
	l.m.Observe(f, at)
	p := l.player()
	for _, g := range p.gaps {
		if l.rest(&g); g.Length <= 0 {
			continue
		}
		if len(l.pending) == maxPending {
			l.settle(&l.pending[0])
			l.pending = slices.Delete(l.pending, 0, 1)
		}
		l.pending = append(l.pending, g)
	}
	p.gaps = p.gaps[:0]
}

// Tick takes what is known now of a stream's way.
func (l *Live) Tick(now time.Duration, f Facts) { l.tick(now, &f, nil) }

// TickOutput is Tick of an output. It reads the stream's Live until the next one.
func (l *Live) TickOutput(now time.Duration, stream *Live) { l.tick(now, nil, stream) }

func (l *Live) tick(now time.Duration, f *Facts, upstream *Live) {
	l.look()
	l.advance(now)
	wait := settleIn
	if l.why == nil {
		l.upstream, wait = upstream, outputWait
	} else {
		l.why.add(l.now, f)
	}
	n := 0
	for i := range l.pending {
		g := &l.pending[i]
		if end := max(g.to(), g.until); l.now-end < wait && end-l.now < aheadMost {
			break
		}
		l.settle(g)
		n++
	}
	l.pending = slices.Delete(l.pending, 0, n)
	if g, ok := l.openGap(); ok && g.Length > foldAfter && len(l.pending) == 0 {
		old := g
		old.Length -= foldKeep
		l.settle(&old)
		l.folded = old.to()
	}
}

// openGap is the stall that goes on, without what is settled of it.
func (l *Live) openGap() (gap, bool) {
	g, ok := l.player().open(l.now)
	l.rest(&g)
	return g, ok && g.Length > 0
}

// rest takes away what is settled of a stall.
func (l *Live) rest(g *gap) {
	if g.From < l.folded {
		g.Length -= l.folded - g.From
		g.From, g.part = l.folded, true
	}
}

// advance moves the clock, and empties the seconds that have come.
func (l *Live) advance(now time.Duration) {
	l.now = max(l.now, now)
	s := int64((l.now + aheadMost) / time.Second) // stalls may lie ahead
	if s-l.second > seconds {
		l.second = s - seconds
	}
	for l.second < s {
		l.second++
		l.ring[l.second%seconds] = [causes]uint16{}
	}
}

// settle books a stall under its cause, for good.
func (l *Live) settle(g *gap) {
	c := l.cause(g)
	l.total[c] += g.Length
	if g.part {
		l.length += g.Length
	} else {
		l.stalls[c]++
		l.length = g.Length
	}
	l.longest = max(l.longest, l.length)
	spread(g, func(second int64, d time.Duration) {
		if second > l.second-seconds && second <= l.second && second >= 0 {
			l.ring[second%seconds][c] += uint16(d / time.Millisecond)
		}
	})
}

// spread cuts a stall at full seconds.
func spread(g *gap, f func(second int64, d time.Duration)) {
	for at := g.From; at < g.to(); {
		s := int64(at / time.Second)
		end := min(time.Duration(s+1)*time.Second, g.to())
		f(s, end-at)
		at = end
	}
}

func (l *Live) cause(g *gap) Cause {
	if l.why != nil {
		return l.why.decide(g, Headline)
	}
	if l.upstream == nil {
		return Egress
	}
	// The stream's own stall came a little earlier than what the output made of it.
	by := l.upstream.between(g.From-time.Second, g.to())
	if c, ok := by.Main(); ok && 2*by.Sum() >= min(g.Length, g.to()-g.From) {
		return c
	}
	return Egress
}

// between is how long a viewer waited in a time of the last 100 s, to a second's grain, by cause.
func (l *Live) between(from, to time.Duration) (by ByCause) {
	for s := max(int64(from/time.Second), l.second-seconds+1, 0); s <= min(int64(to/time.Second), l.second); s++ {
		for c, ms := range l.ring[s%seconds] {
			by[c] += time.Duration(ms) * time.Millisecond
		}
	}
	add := func(g gap) {
		if d := min(g.to(), to) - max(g.From, from); d > 0 {
			by[l.cause(&g)] += d
		}
	}
	for _, g := range l.pending {
		add(g)
	}
	if g, ok := l.openGap(); ok {
		add(g)
	}
	return by
}

// Report is what a viewer got.
type Report struct {
	Started bool
	Watched time.Duration // since the first picture
	Stalls  uint64
	Total   ByCause // stalled, since the first picture; what is not settled is in it by what is known now
	Last100 ByCause // of the last 100 s
	Span    time.Duration
	Longest time.Duration
	Behind  time.Duration // how far stalls have put the viewer behind

	Settled ByCause        // of Total, what will not change: for counters
	Counts  [Causes]uint64 // stalls by cause, settled

	Stalled bool // now
	Cause   Cause
	For     time.Duration

	// The other players', since the first picture.
	Total200, Total3000 time.Duration
}

// StallSecondsPer100 is seconds stalled per 100 s, of the last 100.
func (r *Report) StallSecondsPer100() float64 { return per100(r.Last100.Sum().Seconds(), r.Span) }

// Stalled says whether a viewer waits now, why, and since how long.
func (l *Live) Stalled() (c Cause, lasted time.Duration, ok bool) {
	l.look()
	g, ok := l.openGap()
	for i := len(l.pending) - 1; i >= 0 && !ok; i-- {
		if p := l.pending[i]; p.From <= l.now && p.to() > l.now-binEvery {
			g, ok = p, true
		}
	}
	if !ok {
		return 0, 0, false
	}
	lasted = min(g.to(), l.now) - g.From
	if g.part {
		lasted += l.length
	}
	return l.cause(&g), lasted, true
}

// Total is how long a viewer has waited, by what is known now.
func (l *Live) Total() ByCause {
	l.look()
	t := l.total
	for i := range l.pending {
		if g := &l.pending[i]; g.From < l.now {
			t[l.cause(g)] += min(g.to(), l.now) - g.From
		}
	}
	if g, ok := l.openGap(); ok {
		t[l.cause(&g)] += g.Length
	}
	return t
}

// Report says how it stands at the newest time the Live was told.
func (l *Live) Report() Report {
	l.look()
	p := l.player()
	r := Report{Started: p.started, Settled: l.total, Total: l.total, Counts: l.stalls, Longest: l.longest}
	for _, n := range l.stalls {
		r.Stalls += n
	}
	if !p.started {
		return r
	}
	r.Watched = max(0, l.now-p.startAt)
	r.Behind = p.base + p.first - p.startAt
	r.Span = min(r.Watched, window*time.Second)
	newest := int64(l.now / time.Second)
	for s := max(newest-window+1, 0); s <= newest; s++ {
		for c, ms := range l.ring[s%seconds] {
			r.Last100[c] += time.Duration(ms) * time.Millisecond
		}
	}
	book := func(g gap) {
		d := min(g.to(), l.now) - g.From
		if d <= 0 {
			return
		}
		c := l.cause(&g)
		r.Total[c] += d
		r.Last100[c] += min(d, window*time.Second)
		if g.part {
			d += l.length
		} else {
			r.Stalls++
		}
		r.Longest = max(r.Longest, d)
		if g.to() > l.now-binEvery {
			r.Stalled, r.Cause, r.For = true, c, d
		}
	}
	for _, g := range l.pending {
		book(g)
	}
	if g, ok := l.openGap(); ok {
		book(g)
	}
	for i, to := range map[int]*time.Duration{0: &r.Total200, 2: &r.Total3000} {
		s := l.m.players[i].score(0, l.now)
		*to = s.StallTime
	}
	return r
}

// Add takes over the totals of what was before.
func (r *Report) Add(past *Report) {
	r.Watched += past.Watched
	r.Stalls += past.Stalls
	for c := range r.Total {
		r.Total[c] += past.Total[c]
		r.Settled[c] += past.Settled[c]
		r.Counts[c] += past.Counts[c]
	}
	r.Longest = max(r.Longest, past.Longest)
	r.Total200 += past.Total200
	r.Total3000 += past.Total3000
}

// End says that nobody waits any more: what is not settled is.
func (r *Report) End() { r.Settled, r.Stalled = r.Total, false }
