package continuity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fairlead-live/fairlead/bench/clip"
)

// scenarios in the order of the table.
var scenarios = []struct {
	name, about string
	run         func(context.Context, *rig) ([]Figure, error)
}{
	{"publisher-gap", "the publisher is killed and comes back later with another clock", publisherGap},
	{"relay-restart", "the relay is killed (-9) and started again", relayRestart},
	{"destination-restart", "a destination goes away and listens again", destinationRestart},
	{"destination-stall", "a destination does not read for a while", destinationStall},
}

// Scenarios returns the names of the scenarios and what each is about.
func Scenarios() (out [][2]string) {
	for _, s := range scenarios {
		out = append(out, [2]string{s.name, s.about})
	}
	return out
}

var errNotBack = errors.New("continuity: it does not come back")

// clockStep is how far the encoder's clock is from its last one when it returns: rounds of the clip, so that sound keeps its place in it.
const clockStep = 500 * clip.Length

func publisherGap(_ context.Context, r *rig) ([]Figure, error) {
	r.sleep(4 * time.Second)
	r.source.kill()
	gone := time.Now()
	r.sleep(r.cfg.Gap)
	before, _ := r.a.arrivals()
	var err error
	if r.source, err = newSource(r.ctx, r.in, r.cfg.Bitrate, clockStep); err != nil {
		return nil, err
	}
	back := time.Now()
	var first arrival
	if !until(r.ctx, 20*time.Second, func() bool {
		got, _ := r.a.arrivals()
		i := slices.IndexFunc(got, func(a arrival) bool { return a.stamped && a.source >= clockStep && a.key })
		if i >= 0 {
			first = got[i]
		}
		return i >= 0
	}) {
		return nil, fmt.Errorf("%w: %s", errNotBack, r.said())
	}
	r.sleep(4 * time.Second)
	got, sessions := r.a.arrivals()
	silence, _ := longest(got, gone.Add(-time.Second), func(arrival) bool { return true })
	out := []Figure{
		{"publishes seen", float64(sessions), ""},
		{"longest silence", silence.Seconds(), "s"},
		{"times that went back", float64(wentBack(got)), ""},
		{"frames in the gap", float64(len(before) - slices.IndexFunc(before, func(a arrival) bool { return a.at.After(gone) || a == before[len(before)-1] }) - 1), ""},
		{"picture after return", first.at.Sub(back).Seconds(), "s"},
	}
	was, ok1 := skew(got, gone.Add(-3*time.Second), gone)
	is, ok2 := skew(got, first.at, time.Now())
	if ok1 && ok2 {
		out = append(out, Figure{"sound moved", float64(wrap(is - was).Milliseconds()), "ms"})
	}
	return out, nil
}

// wentBack counts the frames whose time is before that of the frame before them, of the same kind and publish.
func wentBack(in []arrival) (n int) {
	var last [2]arrival
	for _, a := range in {
		l := &last[0]
		if a.audio {
			l = &last[1]
		}
		if a.session == l.session && a.dts < l.dts {
			n++
		}
		*l = a
	}
	return n
}

// longest returns the longest time between two arrivals of a kind since t, and how many there were.
func longest(in []arrival, t time.Time, kind func(arrival) bool) (gap time.Duration, n int) {
	var last time.Time
	for _, a := range in {
		if !kind(a) || a.at.Before(t) {
			continue
		}
		if n++; !last.IsZero() {
			gap = max(gap, a.at.Sub(last))
		}
		last = a.at
	}
	return gap, n
}

// skew returns by how much sound is later than the picture at the tier, against the publisher, by the last frames of a window. It is known
// but for whole rounds of the clip.
func skew(in []arrival, from, to time.Time) (time.Duration, bool) {
	var offset [2]time.Duration
	var have [2]bool
	for _, a := range in {
		if !a.stamped || a.at.Before(from) || a.at.After(to) {
			continue
		}
		i := 0
		if a.audio {
			i = 1
		}
		offset[i], have[i] = a.dts-a.source, true
	}
	return wrap(offset[1] - offset[0]), have[0] && have[1]
}

// wrap takes whole rounds of the clip away.
func wrap(d time.Duration) time.Duration {
	d = (d%clip.Length + clip.Length) % clip.Length
	if d > clip.Length/2 {
		d -= clip.Length
	}
	return d
}

// spread are the median and the longest of some times, and those that did not come.
func spread(what string, in []time.Duration) []Figure {
	slices.Sort(in)
	if len(in) == 0 {
		return nil
	}
	return []Figure{{what + ", median", in[len(in)/2].Seconds(), "s"}, {what + ", longest", in[len(in)-1].Seconds(), "s"}}
}

func relayRestart(_ context.Context, r *rig) ([]Figure, error) {
	var took []time.Duration
	for i := range r.cfg.Times {
		r.sleep(6 * time.Second)
		r.killRelay()
		r.sleep(time.Duration(300+i*270%1000) * time.Millisecond)
		if err := r.startRelay(); err != nil {
			return nil, err
		}
		listens := time.Now()
		at, err := r.freshAt(r.a, listens)
		if err != nil {
			return spread("picture at the destination", took), err
		}
		took = append(took, at.Sub(listens))
	}
	return spread("picture at the destination", took), nil
}

// freshAt waits for the first picture at a tier that was written after t.
func (r *rig) freshAt(t *tier, after time.Time) (at time.Time, err error) {
	ok := until(r.ctx, 40*time.Second, func() bool {
		got, _ := t.arrivals()
		for i := len(got) - 1; i >= 0 && got[i].at.After(after); i-- {
			if got[i].stamped && !got[i].audio && got[i].at.Add(-got[i].age).After(after.Add(-time.Second)) {
				at = got[i].at
			}
		}
		return !at.IsZero()
	})
	if !ok {
		return at, fmt.Errorf("%w: %s", errNotBack, r.said())
	}
	return at, nil
}

func destinationRestart(_ context.Context, r *rig) ([]Figure, error) {
	var publish, picture []time.Duration
	for i := range r.cfg.Times {
		r.sleep(6 * time.Second)
		r.a.kill()
		r.sleep(time.Duration(300+i*370%1900) * time.Millisecond)
		listens := time.Now()
		if err := r.a.listen(); err != nil {
			return nil, err
		}
		if !until(r.ctx, 40*time.Second, r.a.publishing) {
			return nil, fmt.Errorf("%w: %s", errNotBack, r.said())
		}
		publish = append(publish, time.Since(listens))
		at, err := r.freshAt(r.a, listens)
		if err != nil {
			return nil, err
		}
		picture = append(picture, at.Sub(listens))
	}
	return append(spread("publishing after it listens", publish), spread("picture", picture)...), nil
}

func destinationStall(_ context.Context, r *rig) ([]Figure, error) {
	r.sleep(4 * time.Second)
	before, most := r.resident(), int64(0)
	shut := time.Now()
	r.b.shut()
	for time.Since(shut) < r.cfg.Stall && r.ctx.Err() == nil {
		r.sleep(min(500*time.Millisecond, r.cfg.Stall))
		most = max(most, r.resident())
	}
	reopen := time.Now()
	r.b.reopen()
	fresh := time.Time{}
	until(r.ctx, 15*time.Second, func() bool {
		got, _ := r.b.arrivals()
		for i := len(got) - 1; i >= 0 && got[i].at.After(reopen); i-- {
			if got[i].stamped && !got[i].audio && got[i].age < time.Second {
				fresh = got[i].at
			}
		}
		return !fresh.IsZero()
	})
	r.sleep(4 * time.Second)
	healthy, _ := r.a.arrivals()
	picture := func(a arrival) bool { return a.stamped && !a.audio }
	gap, _ := longest(healthy, shut, picture)
	var written []arrival
	for _, a := range healthy {
		if picture(a) {
			a.at = a.at.Add(-a.age)
			written = append(written, a)
		}
	}
	source, _ := longest(written, shut, picture)
	got, sessions := r.b.arrivals()
	old, oldest := 0, time.Duration(0)
	for _, a := range got {
		if picture(a) && a.at.After(reopen) && a.age > time.Second {
			old++
			oldest = max(oldest, a.age)
		}
	}
	out := []Figure{
		{"the other's longest gap", 1000 * gap.Seconds(), "ms"},
		{"the publisher's longest gap", 1000 * source.Seconds(), "ms"},
		{"pictures older than 1 s", float64(old), ""},
		{"oldest picture", oldest.Seconds(), "s"},
		{"publishes seen", float64(sessions), ""},
		{"memory", float64(most-before) / 1e6, "MB"},
	}
	if fresh.IsZero() {
		return out, errNotBack
	}
	return append(out, Figure{"fresh picture after", fresh.Sub(reopen).Seconds(), "s"}), nil
}
