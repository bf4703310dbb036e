package profile

import (
	"math"
	"slices"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// Stats are the figures by which a trace is described and a model is judged.
type Stats struct {
	Mean, P5, P50, P95 float64       // rate of one second, Mbit/s
	CoV                float64       // standard deviation over mean, of the same
	GapsPerMinute      float64       // without a delivery for 200 ms or more
	GapP90, GapMax     time.Duration // of those of 100 ms or more
	DipsPerMinute      float64       // times at which 200 ms carry less than half of the mean of the 5 s before
}

// Measure returns a trace's figures. A rate trace has no structure below a second, and no dips or gaps.
func Measure(t *netem.Trace) Stats {
	var s Stats
	seconds := int(t.Period() / time.Second)
	rates := make([]float64, seconds)
	for i := range rates {
		from := time.Duration(i) * time.Second
		rates[i] = float64(t.Bytes(from, from+time.Second)) * 8 / 1e6
		s.Mean += rates[i] / float64(seconds)
	}
	var sq float64
	for _, r := range rates {
		sq += (r - s.Mean) * (r - s.Mean) / float64(seconds)
	}
	s.CoV = math.Sqrt(sq) / s.Mean
	slices.Sort(rates)
	at := func(p float64) float64 { return rates[int(p*float64(seconds))] }
	s.P5, s.P50, s.P95 = at(0.05), at(0.5), at(0.95)
	if t.IsRate() {
		return s
	}
	minutes := t.Period().Minutes()
	s.gaps(t, minutes)
	const bin, back = 200 * time.Millisecond, 25
	bins := make([]float64, t.Period()/bin)
	dip := false
	for i := range bins {
		from := time.Duration(i) * bin
		bins[i] = float64(t.Bytes(from, from+bin))
		if i < back {
			continue
		}
		var mean float64
		for _, b := range bins[i-back : i] {
			mean += b / back
		}
		if was := dip; bins[i] < mean/2 {
			dip = true
			if !was {
				s.DipsPerMinute += 1 / minutes
			}
		} else {
			dip = false
		}
	}
	return s
}

func (s *Stats) gaps(t *netem.Trace, minutes float64) {
	var gaps []time.Duration
	var last time.Duration
	for at := range t.Times() {
		if g := at - last; g >= 100*time.Millisecond {
			gaps = append(gaps, g)
			if g >= 200*time.Millisecond {
				s.GapsPerMinute += 1 / minutes
			}
		}
		last = at
	}
	if len(gaps) > 0 {
		slices.Sort(gaps)
		s.GapP90, s.GapMax = gaps[len(gaps)*9/10], gaps[len(gaps)-1]
	}
}
