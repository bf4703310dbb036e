package netem

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Config is one direction of a link. The zero value passes everything at once.
// It is read-only after NewLink and may be shared.
type Config struct {
	Delay     Delay
	Loss      Loss
	Reorder   Reorder
	Duplicate Chance
	Corrupt   Chance

	// Rate of the bottleneck; 0: no bottleneck, unless a trace gives one.
	Rate Bitrate
	// Poisson makes the bottleneck take 1500 bytes at Poisson times of that rate (the Pantheon's model).
	Poisson bool
	// Trace of the bottleneck; it excludes Rate.
	Trace *Trace
	// TraceFile is the name a `trace` word gave. It is the loader's job to turn it into Trace.
	TraceFile string
	// TraceOffset is where in the trace the link starts; negative: by seed. The zero value is the start.
	TraceOffset time.Duration
	// Overhead is added to each packet's size at policer and bottleneck, bytes.
	Overhead int

	Limit   Limit
	CoDel   CoDel
	ECN     bool // loss and CoDel mark instead of dropping
	Policer Policer
	Drought Drought

	// Schedule in order of At; with Repeat it starts again each Repeat. A change stays until the next one.
	Schedule []Step
	Repeat   time.Duration
}

// Chance is the word pair P [CORR]: a ratio 0..1 and its correlation from packet to packet, 0..1.
type Chance struct{ P, Corr float64 }

// Distribution of jitter.
type Distribution uint8

const (
	Uniform      Distribution = iota // in [-JITTER, +JITTER]
	Normal                           // standard deviation JITTER
	Pareto                           // shape 3, standard deviation JITTER
	ParetoNormal                     // a quarter normal, three quarters Pareto, standard deviation JITTER
)

var distributionNames = []string{"uniform", "normal", "pareto", "paretonormal"}

func (d Distribution) String() string { return distributionNames[d] }

// Delay is propagation: Base plus a jitter of the distribution.
type Delay struct {
	Base, Jitter time.Duration
	Corr         float64
	Dist         Distribution
	InOrder      bool // a packet never overtakes the one before
}

// LossModel says which fields of Loss count.
type LossModel uint8

const (
	NoLoss     LossModel = iota
	LossRandom           // P, Corr
	LossState            // P13, P31, P32, P23, P14
	LossGE               // P (good to bad), R (bad to good), Bad, Good, per packet
	LossTime             // GoodFor, BadFor (mean stay, exponential), Bad, Good
)

// Loss is a loss process. State and GE are tc's four-state and Gilbert-Elliott models.
type Loss struct {
	Model                   LossModel
	P, Corr                 float64
	R                       float64 // GE: from bad to good
	Bad, Good               float64 // GE: loss ratio in the bad state (1-h) and in the good one (1-k)
	P13, P31, P32, P23, P14 float64
	GoodFor, BadFor         time.Duration
}

// Reorder lets every Gapth packet skip the delay with chance P. Gap 0 means 1.
type Reorder struct {
	P, Corr float64
	Gap     int
}

// Limit of the queue. The zero value is 1000 packets, tc's default. Time is counted in bytes at the
// link's current rate (with a trace: its mean), as buffers are.
type Limit struct {
	Packets int
	Bytes   int
	Time    time.Duration
}

// CoDel manages the queue as in RFC 8289.
type CoDel struct {
	On               bool
	Target, Interval time.Duration // 0: 5 ms and 100 ms, RFC 8289 §4.2, §4.3
}

// Policer is a token bucket with no queue. Rate 0: none.
type Policer struct {
	Rate  Bitrate
	Burst int // bytes
}

// Drought holds all packets for a time uniform in [Min, Max], at Poisson times Every apart on average.
type Drought struct{ Every, Min, Max time.Duration }

// StepKind is what a Step changes.
type StepKind uint8

const (
	StepRate     StepKind = iota // Rate from now on
	StepLoss                     // Loss from now on
	StepDelay                    // Delay from now on
	StepOutage                   // packets are dropped for For
	StepStall                    // packets are held for For
	StepHandover                 // another address from now on (Fate.Path); dropped for For, if any
)

// Step is one line of a schedule.
type Step struct {
	At    time.Duration
	Kind  StepKind
	Rate  Bitrate
	Loss  Loss
	Delay Delay
	For   time.Duration
}

// ErrConfig is in the chain of every error of Validate.
var ErrConfig = errors.New("netem: bad config")

// Bounds of what is accepted: sums of times stay far from overflow, and the work for one packet is bounded.
const (
	maxTime  = 1000 * time.Hour
	minRate  = Kbit
	maxRate  = 1000 * Gbit
	minEvery = 10 * time.Millisecond
	minStay  = time.Millisecond
)

// Validate names the field that makes no sense, and its value.
func (c *Config) Validate() error {
	v := validator{}
	v.delay("delay", c.Delay)
	v.loss("loss", c.Loss)
	v.ratio("reorder", c.Reorder.P, c.Reorder.Corr)
	v.ratio("duplicate", c.Duplicate.P, c.Duplicate.Corr)
	v.ratio("corrupt", c.Corrupt.P, c.Corrupt.Corr)
	v.count("reorder gap", c.Reorder.Gap)
	v.count("overhead", c.Overhead)
	v.count("limit", c.Limit.Packets)
	v.count("limit", c.Limit.Bytes)
	v.time("limit", c.Limit.Time)
	v.time("codel", c.CoDel.Target, c.CoDel.Interval)
	v.count("policer burst", c.Policer.Burst)
	v.rate("rate", c.Rate)
	v.rate("policer", c.Policer.Rate)
	v.time("drought", c.Drought.Every, c.Drought.Min, c.Drought.Max)
	v.check(c.Policer.Rate == 0 || c.Policer.Burst > 0, "policer: burst must be positive")
	v.check(c.Drought.Min <= c.Drought.Max, "drought: %v is longer than %v", c.Drought.Min, c.Drought.Max)
	v.check(c.Drought.Every >= minEvery || c.Drought == Drought{}, "drought: every %v is below %v", c.Drought.Every, minEvery)
	v.check(c.Drought.Max <= time.Minute, "drought: %v is above a minute", c.Drought.Max)
	v.check(c.TraceFile == "" || c.Trace != nil, "trace %s: not loaded", c.TraceFile)
	v.check(c.Trace == nil || c.Rate == 0, "trace and rate exclude each other")
	v.check(c.Trace == nil || c.Trace.Period() > 0, "trace: empty")
	v.check(!c.Poisson || c.Rate > 0, "poisson needs a rate")
	v.check(!c.Poisson || c.Rate <= Gbit, "poisson: %v is above %v", c.Rate, Gbit)
	v.check(c.Repeat == 0 || c.Repeat >= time.Second, "repeat: %v is below 1s", c.Repeat)
	v.check(c.Limit.Time == 0 || c.Rate > 0 || c.Trace != nil, "limit %v: a limit in time needs a rate", c.Limit.Time)
	v.time("repeat", c.Repeat)
	var last time.Duration
	for _, s := range c.Schedule {
		v.time("at", s.At, s.For)
		v.check(s.At >= last, "at %v: after %v", s.At, last)
		last = s.At
		switch s.Kind {
		case StepRate:
			v.check(s.Rate > 0, "at %v rate %v: must be positive (say stall or outage)", s.At, s.Rate)
			v.rate("rate", s.Rate)
			v.check(c.Rate > 0, "at %v rate: needs a rate from the start", s.At)
		case StepLoss:
			v.loss("loss", s.Loss)
		case StepDelay:
			v.delay("delay", s.Delay)
		case StepOutage, StepStall:
			v.check(s.For > 0, "at %v: needs a length", s.At)
		}
		v.check(c.Repeat == 0 || s.At+s.For <= c.Repeat-minEvery, "at %v: does not end before repeat %v", s.At, c.Repeat)
	}
	return v.err
}

type validator struct{ err error }

func (v *validator) check(ok bool, format string, args ...any) {
	if !ok && v.err == nil {
		v.err = fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, args...))
	}
}

func (v *validator) ratio(name string, ps ...float64) {
	for _, p := range ps {
		v.check(p >= 0 && p <= 1 && !math.IsNaN(p), "%s: %v is not in 0..1", name, p)
	}
}

func (v *validator) time(name string, ds ...time.Duration) {
	for _, d := range ds {
		v.check(d >= 0 && d <= maxTime, "%s: %v is not in 0..%v", name, d, maxTime)
	}
}

func (v *validator) count(name string, n int) {
	v.check(n >= 0 && n <= 1<<30, "%s: %d is not in 0..2^30", name, n)
}

func (v *validator) rate(name string, r Bitrate) {
	v.check(r == 0 || r >= minRate && r <= maxRate, "%s: %d bit/s is not in %v..%v", name, int64(r), minRate, maxRate)
}

func (v *validator) delay(name string, d Delay) {
	v.time(name, d.Base, d.Jitter)
	v.ratio(name, d.Corr)
	v.check(int(d.Dist) < len(distributionNames), "%s: unknown distribution", name)
}

func (v *validator) loss(name string, l Loss) {
	v.ratio(name, l.P, l.Corr, l.R, l.Bad, l.Good, l.P13, l.P31, l.P32, l.P23, l.P14)
	v.check(l.P13+l.P14 <= 1, "%s state: p13 + p14 > 1", name)
	v.check(l.P31+l.P32 <= 1, "%s state: p31 + p32 > 1", name)
	v.time(name, l.GoodFor, l.BadFor)
	v.check(l.Model != LossTime || l.GoodFor >= minStay && l.BadFor >= minStay, "%s getime: both stays must be %v or more", name, minStay)
	v.check(l.Model <= LossTime, "%s: unknown model", name)
}
