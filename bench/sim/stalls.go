package sim

import (
	"math/rand/v2"
	"time"
)

// Stalls says how often somebody stands still: a process that is not scheduled, a collection of garbage, a phone that saves power.
// The zero value: never.
type Stalls struct {
	Every       time.Duration // mean time between the end of one and the begin of the next
	Least, Most time.Duration // length, evenly distributed
	Sender      bool          // end A only, and not the link: a publisher that is stopped
}

// BusyHost is a machine with more to do than it has cores: stalls of 5 to 80 ms.
func BusyHost(every time.Duration) Stalls {
	return Stalls{Every: every, Least: 5 * time.Millisecond, Most: 80 * time.Millisecond}
}

// Stall makes both ends' loops and both directions of the link, or the sender alone, stand still now and then, each at times of its own.
//
// An end that stands still is given what came meanwhile when it goes on: packets with the time of their arrival (Arrival.At),
// timers late, what Do was given late. A direction that stands still takes packets late: neither end sees why.
func (l *Link) Stall(s Stalls) {
	for _, e := range [...]*End{l.A, l.B} {
		if s.Sender {
			if e == l.A {
				e.loop = newStanding(s, e.w.Rand(e.Name+" loop"))
			}
			continue
		}
		e.loop = newStanding(s, e.w.Rand(e.Name+" loop"))
		e.way = newStanding(s, e.w.Rand(e.Name+" way"))
	}
}

// readFirst: an end that goes on reads all that came before it does anything else, as a shell that wakes late lets its reader have a turn.
const readFirst = time.Microsecond

// Do calls f in the end's own loop, which may stand still, and drives the node then.
func (e *End) Do(f func()) {
	if at := e.loop.over(e.w.now); at > e.w.now {
		e.w.At(at, func() { e.Do(f) })
		return
	}
	f()
	e.Wake()
}

// standing is when somebody stands still. It is asked about times that never go back.
type standing struct {
	Stalls
	rng        *rand.Rand
	begin, end time.Duration // of the stall that is on or comes next
}

func newStanding(s Stalls, rng *rand.Rand) *standing {
	if s.Every <= 0 || s.Most <= 0 {
		return nil
	}
	t := &standing{Stalls: s, rng: rng}
	t.next()
	return t
}

func (t *standing) next() {
	t.begin = t.end + time.Duration(t.rng.ExpFloat64()*float64(t.Every))
	t.end = t.begin + t.Least + time.Duration(t.rng.Float64()*float64(max(0, t.Most-t.Least)))
}

// over is when it goes on: at, if it does not stand still then.
func (t *standing) over(at time.Duration) time.Duration {
	if t == nil {
		return at
	}
	for t.end <= at {
		t.next()
	}
	if at < t.begin {
		return at
	}
	return t.end
}
