package show

import (
	"time"

	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// score judges the pictures from the first key frame after Skip on.
func (st *Stage) score(r *Result, wire int64) {
	first := 0
	for first < len(st.source) && (st.source[first].Capture < st.Skip || !st.source[first].Key) {
		first++
	}
	var source []stutter.Frame
	made, begin := 0, st.For
	for i, f := range st.source[first:] {
		if i == 0 {
			begin = f.Capture
		}
		made += f.Size
		source = append(source, stutter.Frame{
			Seq: int64(i), DTS: f.Capture, Key: f.Key, Droppable: f.Droppable, Size: f.Size, Capture: f.Capture,
		})
	}
	span := (st.For - begin).Seconds()
	if span <= 0 {
		st.Fault("nothing to score: the run is shorter than what is skipped")
		r.Faults = st.Faults()
		return
	}
	r.Source = source
	m := stutter.NewMeter(stutter.Config{Buffers: st.Buffers, Source: source})
	arrived := 0
	last, shown, whole := int64(-1), 0, int64(-2)
	var end time.Duration
	for _, a := range st.arrivals {
		if a.seq <= last {
			st.Fault("picture %d after %d", a.seq, last)
		}
		last = a.seq
		r.Pictures = append(r.Pictures, Shown{st.source[a.seq], a.at})
		i := a.seq - int64(first)
		if i < 0 {
			continue
		}
		m.Observe(source[i], a.at)
		arrived++
		end = a.at
		// decodable: a key frame, or all before it that it refers to
		if f := source[i]; f.Key || whole == i-1 {
			shown += f.Size
			whole = i
			for j := i + 1; j < int64(len(source)) && source[j].Droppable; j++ {
				whole = j // nothing refers to these: what follows them needs only this one
			}
		} else if f.Droppable && whole >= i {
			shown += f.Size
		}
	}
	m.AddWire(wire)
	r.Score = m.Score(max(end, st.For+st.Latency))
	for i := range r.Score.Players {
		chargeStart(&r.Score.Players[i], r.Score.LatencyP50)
	}
	r.Made = float64(made) * 8 / span
	r.Whole = float64(arrived) / float64(len(source))
	r.Shown = float64(shown) * 8 / span
	r.Wire = float64(wire) * 8 / (st.For - st.Skip).Seconds()
	r.Sound = float64(st.heard) / float64(max(1, st.sounds))
	r.Faults = st.Faults()
}

// chargeStart books a late start as a stall: somebody who waits for the first picture sees nothing, whatever a player calls it. What he has
// to wait for is the player's buffer behind the usual latency of the run; what is longer than that, because the first key frames
// did not come whole, counts. A player that never started is stalled all the time as it is.
func chargeStart(p *stutter.Player, usual time.Duration) {
	wait := p.StartUp - p.Buffer - max(0, usual)
	if !p.Started || wait <= stutter.Threshold {
		return
	}
	p.Stalls++
	p.StallTime += wait
	p.Watched += wait
	p.Longest = max(p.Longest, wait)
}
