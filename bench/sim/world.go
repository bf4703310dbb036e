// Package sim is a world in virtual time: protocol objects talk over links of bench/netem, on one
// goroutine, at the speed of the CPU. One seed is one run, byte for byte.
//
//	w := sim.New(seed)
//	link := w.Connect(sim.Path{Up: up, Down: down}, sender, receiver)
//	link.B.OnWake = func(now time.Time) { … receiver.PopPayload(now) … }
//	w.Every(33*time.Millisecond, func() { sender.Push(frame); link.A.Wake() })
//	w.Run(60 * time.Second)
//
// A protocol object is anything that follows the driving rule of [Node]; the same object runs under a
// socket. bench/sim/simtest runs a test over many seeds and prints the command that repeats a
// failing one.
//
// Everything that happens is an event of a heap, ordered by time and then by when it was scheduled.
// World.Rand gives the world's users their own streams, so that asking for one more draw in one
// place moves nothing in another. Maps must not be walked where their order reaches the wire.
//
// A packet's size on the link is its payload plus 28 bytes of IPv4 and UDP header. A corrupted packet
// is delivered with one payload bit flipped, as where checksums are off: protocols are to survive it.
//
// Memory: the heap, the packets under way (bounded by the links' queues and delays) and the last
// 4096 verdicts.
package sim

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// Epoch is the time at which every world starts.
var Epoch = time.Unix(1_000_000_000, 0).UTC()

// A World is owned by one goroutine; it holds no lock.
type World struct {
	seed   uint64
	now    time.Duration
	order  uint64
	events heap
	rands  map[string]*rand.Rand
	links  []*Link
	free   [][]byte
	sum    uint64
	recent recent
	faults []string

	// OnVerdict, if set, sees each verdict of each link, in order.
	OnVerdict func(*Link, netem.Verdict)
}

// New makes a world. The seed decides all of it.
func New(seed uint64) *World {
	return &World{seed: seed, rands: map[string]*rand.Rand{}, sum: seed}
}

// Seed returns what New was given.
func (w *World) Seed() uint64 { return w.seed }

// Now returns the world's time.
func (w *World) Now() time.Time { return Epoch.Add(w.now) }

// Elapsed returns the time since Epoch.
func (w *World) Elapsed() time.Duration { return w.now }

// At calls f at time at since Epoch, or now if that has passed.
func (w *World) At(at time.Duration, f func()) { w.push(event{at: max(at, w.now), f: f}) }

// After calls f in d.
func (w *World) After(d time.Duration, f func()) { w.At(w.now+d, f) }

// Every calls f each d, first in d, for as long as the world runs.
func (w *World) Every(d time.Duration, f func()) {
	if d <= 0 {
		panic("sim: Every needs a positive time")
	}
	var again func()
	again = func() {
		f()
		w.After(d, again)
	}
	w.After(d, again)
}

// Rand returns the random stream of that name: the same one at each call, its own for each seed.
func (w *World) Rand(stream string) *rand.Rand {
	r := w.rands[stream]
	if r == nil {
		h := fnv.New64a()
		h.Write([]byte(stream))
		r = rand.New(rand.NewPCG(w.seed, h.Sum64()))
		w.rands[stream] = r
	}
	return r
}

// Run lets the world go on for d.
func (w *World) Run(d time.Duration) {
	end := w.now + d
	for len(w.events) > 0 && w.events[0].at <= end {
		e := w.events.pop()
		w.now = e.at
		switch {
		case e.f != nil:
			e.f()
		case e.data != nil:
			e.end.receive(e)
		default:
			e.end.timer(e)
		}
	}
	w.now = end
}

// Sum is a hash over all verdicts and deliveries so far: two runs that have the same are the same.
func (w *World) Sum() uint64 { return w.sum }

// note folds x into the sum.
func (w *World) note(x uint64) { w.sum = (w.sum ^ x) * 0x100000001B3 } // FNV-1a's prime, by 64-bit words

// Fault records a broken invariant of the world or of its user. A test asks for Faults at its end.
func (w *World) Fault(format string, args ...any) {
	if len(w.faults) < 20 {
		w.faults = append(w.faults, fmt.Sprintf("%v: ", w.now)+fmt.Sprintf(format, args...))
	}
}

// Faults returns the first 20.
func (w *World) Faults() []string { return w.faults }

// buffer lends a buffer for one packet under way.
func (w *World) buffer() []byte {
	if n := len(w.free); n > 0 {
		b := w.free[n-1]
		w.free = w.free[:n-1]
		return b[:0]
	}
	return make([]byte, 0, 2048)
}

func (w *World) release(b []byte) { w.free = append(w.free, b) }

// recent keeps the last verdicts, for the trace of a failing seed.
type recent struct {
	ring [4096]netem.Verdict
	link [4096]*Link
	n    int
}

// AppendTrace appends the last 4096 verdicts, one a line, with their link's name, oldest first.
func (w *World) AppendTrace(dst []byte) []byte {
	r := &w.recent
	for i := max(0, r.n-len(r.ring)); i < r.n; i++ {
		dst = append(append(dst, r.link[i%len(r.link)].Name...), ' ')
		dst = append(r.ring[i%len(r.ring)].AppendText(dst), '\n')
	}
	return dst
}
