package cc

import (
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bench/sim"
)

// world is the bottleneck, what lies behind it and the way back.
type world struct {
	*sim.World
	sc    *Scenario
	up    *netem.Link
	after *netem.Link // nil: no loss behind the bottleneck
	down  *netem.Link
	flows []flow
	score *score
}

// flow is a sender with its receiver.
type flow interface {
	start()
	// arrive tells the receiver of packet seq.
	arrive(now time.Duration, seq int64, size int, ce bool)
	// reply brings the sender what the receiver sent.
	reply(now time.Duration, r *report)
}

// warmUp is not counted.
const warmUp = 5 * time.Second

// Run plays the scenario. One seed is one run.
func Run(sc Scenario, seed uint64) Result {
	w := &world{
		World: sim.New(seed), sc: &sc,
		up:   netem.NewLink(sc.Up, seed, netem.Up),
		down: netem.NewLink(sc.Down, seed, netem.Down),
	}
	if sc.After != (netem.Loss{}) {
		w.after = netem.NewLink(netem.Config{Loss: sc.After}, seed^0xaf7e4, netem.Up)
	}
	w.score = newScore(&sc, seed)
	for i, f := range sc.Flows {
		var fl flow
		switch f.Kind {
		case Ours, Fixed, SCReAM, Oracle:
			fl = newMedia(w, i, f)
		default:
			fl = newBulk(w, i, f)
		}
		w.flows = append(w.flows, fl)
		w.At(f.Start, fl.start)
	}
	w.Every(sampleEvery, func() { w.score.sample(w) })
	w.World.Run(sc.For)
	return w.score.result(w)
}

// send puts a packet of flow i on the link, and says how long it waits there.
func (w *world) send(i int, seq int64, size int) (wait time.Duration) {
	now := w.Elapsed()
	at, fate := w.up.Admit(now, size)
	w.score.sent(i, now, size, fate)
	if fate.Drop != netem.Delivered {
		return 0
	}
	w.score.waited(i, now, at, fate.Wait, size)
	w.At(at, func() {
		if w.after != nil {
			if _, f := w.after.Admit(at, size); f.Drop != netem.Delivered {
				return
			}
		}
		w.score.arrived(i, at, size)
		w.flows[i].arrive(at, seq, size, fate.Marked)
	})
	return fate.Wait
}

// back sends a report of flow i.
func (w *world) back(i int, r *report, size int) {
	at, fate := w.down.Admit(w.Elapsed(), size)
	if fate.Drop != netem.Delivered {
		return
	}
	w.At(at, func() { w.flows[i].reply(at, r) })
}

// report says which packets arrived, and when by the receiver's clock.
type report struct {
	got []got
}

type got struct {
	seq int64
	at  time.Duration
	ce  bool
}
