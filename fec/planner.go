package fec

import (
	"math"
	"slices"
)

const (
	// plansKept bounds a Planner: 16 × 20 KiB.
	plansKept = 16
	// patience is how many frames an estimate must lie apart from every plan until a new one is made, unless the
	// channel is so much worse that it cannot wait. Ours: it keeps the noise of bursty paths from asking for a plan
	// every second, at no cost in a simulation of 2 % in bursts of 3.
	patience = 90
)

// A Planner keeps the plans of the channels seen last, at most 320 KiB. The senders of one goroutine may share it, for
// plans belong to channels and not to streams. It computes nothing by itself:
//
//	plan := planner.Use(setting)             // once per frame
//	if s, ok := planner.Wanted(); ok {       // off the packet path, in any goroutine:
//		planner.Add(fec.NewPlan(s))          // Add belongs to the owner again
//	}
type Planner struct {
	plans  []*Plan // the one used last first
	wanted Setting
	want   bool
	misses int
}

// NewPlanner starts with a plan for an unknown path: 2 % of independent loss.
func NewPlanner() *Planner {
	return &Planner{plans: []*Plan{NewPlan(Setting{Loss: 0.02})}}
}

// NewPlannerWith starts with plans that were made before, at least one, and computes none.
func NewPlannerWith(plans ...*Plan) *Planner {
	return &Planner{plans: slices.Clone(plans[:min(len(plans), plansKept)])}
}

// Use returns the plan whose setting is nearest. When that is not near, for long enough or by far, Wanted asks for a
// better one.
func (p *Planner) Use(s Setting) *Plan {
	s = s.round()
	best, least := 0, math.Inf(1)
	for i, plan := range p.plans {
		if d := plan.setting.distance(s); d < least {
			best, least = i, d
		}
	}
	plan := p.plans[best]
	copy(p.plans[1:best+1], p.plans[:best])
	p.plans[0] = plan
	switch {
	case least <= near:
		p.misses, p.want = 0, false
	case least > far || p.misses >= patience:
		p.wanted, p.want = s, true
	default:
		p.misses++
		p.want = false
	}
	return plan
}

const (
	near = 0.15 // 15 % dearer than need be
	far  = 1.0
)

// distance says how ill a plan made for have serves s, both rounded: roughly the logarithm of the ratio of losses, a
// plan that is too careless counting double.
func (have Setting) distance(s Setting) float64 {
	if have.Relax != s.Relax {
		return 100
	}
	if have.Frames != s.Frames || have.Packets != s.Packets {
		return 10 + float64(abs(have.Frames-s.Frames)+abs(have.Packets-s.Packets))
	}
	if have.Loss == 0 || s.Loss == 0 {
		if have.Loss == s.Loss {
			return 0
		}
		return 5 + have.Loss
	}
	apart := func(have, want float64) float64 {
		d := math.Log(have / want)
		if d < 0 {
			return -2 * d
		}
		return d
	}
	d := apart(have.Loss, s.Loss) + apart(have.burst(), s.burst())/2
	if have.Burst > 0 && s.Burst > 0 {
		d += max(0, math.Abs(math.Log(have.Idle/s.Idle))-0.7)
	}
	return d
}

func (s Setting) burst() float64 { return max(s.Burst, 1/(1-s.Loss)) }

func abs(n int) int { return max(n, -n) }

// Wanted is the setting that Use did not find, if the newest call did not.
func (p *Planner) Wanted() (Setting, bool) { return p.wanted, p.want }

// Add takes a plan, which Use returns from now on for its setting. The plan not used for longest gives way.
func (p *Planner) Add(plan *Plan) {
	if p.want && plan.setting == p.wanted {
		p.want, p.misses = false, 0
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
	if s.Relax <= 0 || s.Relax == 1 {
		s.Relax = 0
	} else {
		s.Relax = min(max(s.Relax, 0.01), 1000)
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
