package show

import (
	"time"

	"github.com/fairlead-live/fairlead/bench/sim"
	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// Watch sees a run as the relay does.
type Watch interface {
	// Delivered is told of each picture and sound the receiver releases. broken: a picture before it was lost on the way.
	Delivered(f Frame, now time.Time, broken bool)
	// Look is told ten times a second what the relay knows of the way; not while it stands still.
	Look(f stutter.Facts, now time.Time)
}

const lookEvery = 100 * time.Millisecond

func (st *Stage) look(facts func() stutter.Facts) {
	if st.Watch == nil {
		return
	}
	st.Every(lookEvery, func() {
		if !st.frozen() {
			st.Watch.Look(facts(), st.Now())
		}
	})
}

func (st *Stage) frozen() bool { return st.Freeze != nil && st.Freeze(st.Elapsed()) > st.Elapsed() }

// receiver is the receiving node as its process runs it.
func (st *Stage) receiver(n receiving) sim.Node {
	if st.Freeze == nil {
		return n
	}
	return &freezer{receiving: n, st: st}
}

type receiving interface {
	sim.Node
	sim.ArrivalHandler
}

// freezer holds what comes while the process stands still, as the kernel does.
type freezer struct {
	receiving
	st   *Stage
	held []held
	size int
}

type held struct {
	b []byte
	a sim.Arrival
}

// kernel is what the relay's socket holds where the kernel grants what it asks for (transport/udp).
const kernel = 4 << 20

func (f *freezer) HandleArrival(now time.Time, b []byte, a sim.Arrival) {
	if f.st.frozen() {
		a.At = a.Time(now) // which the kernel notes
		if f.size += len(b); f.size <= kernel {
			f.held = append(f.held, held{append([]byte(nil), b...), a})
		}
		return
	}
	f.thaw(now)
	f.receiving.HandleArrival(now, b, a)
}

func (f *freezer) thaw(now time.Time) {
	for _, h := range f.held {
		f.receiving.HandleArrival(now, h.b, h.a)
	}
	f.held, f.size = nil, 0
}

func (f *freezer) AppendDatagram(dst []byte, now time.Time) ([]byte, bool) {
	if f.st.frozen() {
		return dst, false
	}
	f.thaw(now)
	return f.receiving.AppendDatagram(dst, now)
}

func (f *freezer) NextTimeout() time.Time {
	at := f.receiving.NextTimeout()
	if f.st.frozen() {
		if until := sim.Epoch.Add(f.st.Freeze(f.st.Elapsed())); at.IsZero() || at.Before(until) {
			return until
		}
	}
	return at
}
