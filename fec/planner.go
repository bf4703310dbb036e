package fec

import (
	"math"
	"slices"
)

// plansKept bounds a Planner: 6 × 20 KiB.
const plansKept = 6

// A Planner keeps the plans of the channels seen last. It computes nothing by itself:
//
//	plan := planner.Use(setting)             // per frame: the plan of this setting, or the nearest thing at hand
//	if s, ok := planner.Wanted(); ok {       // off the packet path, in any goroutine:
//		planner.Add(fec.NewPlan(s))          // Add belongs to the owner again
//	}
type Planner struct {
	plans  []*Plan // the one used last first
	wanted Setting
	want   bool
}

// NewPlanner starts with a plan for an unknown path: 2 % of independent loss.
func NewPlanner() *Planner {
	return &Planner{plans: []*Plan{NewPlan(Setting{Loss: 0.02})}}
}

// Use returns the plan for a setting. While it is not there yet, Wanted asks for it and the plan used before serves.
func (p *Planner) Use(s Setting) *Plan {
	s = s.round()
	p.want = false
	for i, plan := range p.plans {
		if plan.setting == s {
			copy(p.plans[1:i+1], p.plans[:i])
			p.plans[0] = plan
			return plan
		}
	}
	p.wanted, p.want = s, true
	return p.plans[0]
}

// Wanted is the setting that Use did not find, if the newest call did not.
func (p *Planner) Wanted() (Setting, bool) { return p.wanted, p.want }

// Add takes a plan, which Use returns from now on for its setting. The plan not used for longest gives way.
func (p *Planner) Add(plan *Plan) {
	if p.want && plan.setting == p.wanted {
		p.want = false
	}
	p.plans = slices.DeleteFunc(p.plans, func(old *Plan) bool { return old.setting == plan.setting })
	p.plans = slices.Insert(p.plans, 0, plan)
	if len(p.plans) > plansKept {
		clear(p.plans[plansKept:])
		p.plans = p.plans[:plansKept]
	}
}

// round makes settings that differ little the same: loss up in steps of 7 %, bursts up in steps of 19 %, idle time in
// steps of 41 %.
func (s Setting) round() Setting {
	up := func(x, step float64) float64 { return math.Pow(step, math.Ceil(math.Log(x)/math.Log(step)-1e-9)) }
	if s.Loss > 0 {
		s.Loss = min(up(max(s.Loss, leastLoss), 1.07), 0.6)
	} else {
		s.Loss = 0
	}
	if s.Burst <= 1.2 || s.Burst*(1-s.Loss) <= 1.02 || s.Loss == 0 { // as good as independent
		s.Burst, s.Idle = 0, 0
	} else {
		s.Burst = min(up(s.Burst, math.Sqrt(math.Sqrt2)), 64)
		s.Idle = math.Round(min(up(max(s.Idle, 1), math.Sqrt2), 1024))
	}
	if s.Frames <= 1 || s.Packets <= 0 {
		s.Frames, s.Packets = 0, 0
	} else {
		s.Frames = min(s.Frames, 60)
		s.Packets = min(blockSizes[sizeIndex(s.Packets)], 64)
	}
	return s
}

// Dither spreads a share evenly over a sequence of blocks. The zero value is ready.
type Dither struct{ x float64 }

// Next is the next number of a sequence that fills [0,1) evenly: the multiples of the golden ratio.
func (d *Dither) Next() float64 {
	d.x += 0.6180339887498949
	if d.x >= 1 {
		d.x--
	}
	return d.x
}

// Accumulator turns a rate into whole numbers that add up to it. The zero value is ready.
type Accumulator struct{ owed float64 }

// Take adds amount to what is owed and returns the whole part, which is owed no more.
func (a *Accumulator) Take(amount float64) int {
	a.owed += max(0, amount)
	n := math.Floor(a.owed + 1e-9)
	a.owed -= n
	return int(n)
}
