package profile

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"sync"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// Model makes a packet trace of our own that has the published statistics of a recorded one.
//
// The rate of each second is a Gaussian AR(1) process, put through the quantile function that has the
// given rates at 5, 50 and 95 % and the given mean. Gaps (no delivery at all) come at Poisson times;
// the seconds they fill are the slow ones. Inside a second the rate varies by slots of 100 ms.
type Model struct {
	Seconds int `yaml:"seconds"` // length; 0: 600

	// Rates of one second, Mbit/s: the lowest, 5 %, 50 %, 95 %, the highest; and the mean.
	Quantiles [5]float64 `yaml:"quantiles"`
	Mean      float64    `yaml:"mean"`

	Correlation float64 `yaml:"correlation"` // of a second with the next one, 0..1
	Texture     float64 `yaml:"texture"`     // standard deviation of the log of the rate of 100 ms

	GapsPerMinute float64    `yaml:"gaps_per_minute"`
	GapSeconds    [2]float64 `yaml:"gap_seconds"` // shortest and longest; bounded Pareto of shape GapShape
}

// GapShape of the lengths of gaps. Ours: with it the longest of a hundred gaps is about 40 times the shortest.
const GapShape = 1.2

const slotsPerSecond = 10

// validate names the field that makes no sense.
func (m *Model) validate() error {
	for i, q := range m.Quantiles {
		if !(q >= 0 && q <= 1e5) || i > 0 && q < m.Quantiles[i-1] {
			return fmt.Errorf("model: quantiles %v: want five rates in ascending order", m.Quantiles)
		}
	}
	switch {
	case !(m.Mean >= 0.001 && m.Mean <= m.Quantiles[4]):
		return fmt.Errorf("model: mean %v is not in 0.001..%v", m.Mean, m.Quantiles[4])
	case !(m.Correlation >= 0 && m.Correlation < 1):
		return fmt.Errorf("model: correlation %v is not in 0..1", m.Correlation)
	case !(m.Texture >= 0 && m.Texture <= 3):
		return fmt.Errorf("model: texture %v is not in 0..3", m.Texture)
	case !(m.GapsPerMinute >= 0 && m.GapsPerMinute <= 600):
		return fmt.Errorf("model: gaps_per_minute %v is not in 0..600", m.GapsPerMinute)
	case m.GapsPerMinute > 0 && !(m.GapSeconds[0] > 0 && m.GapSeconds[0] <= m.GapSeconds[1] && m.GapSeconds[1] <= 60):
		return fmt.Errorf("model: gap_seconds %v: want the shortest and the longest, up to 60", m.GapSeconds)
	case m.Seconds < 0 || m.Seconds > 3600 || m.Mean*float64(m.length()) > 60_000:
		return fmt.Errorf("model: seconds %d: want at most 3600, and 60 Gbit in all", m.Seconds)
	}
	return nil
}

func (m *Model) length() int {
	if m.Seconds == 0 {
		return 600
	}
	return m.Seconds
}

// Trace makes the trace. One seed is one trace; profiles use ModelSeed and let the link's seed choose
// where in it a run starts.
func (m *Model) Trace(seed uint64) (*netem.Trace, error) {
	if err := m.validate(); err != nil {
		return nil, err
	}
	n := m.length()
	draw := func(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }
	open := m.open(draw(1))

	// A score for each second decides its rank, and the rank its rate. Seconds mostly in a gap rank lowest.
	score := make([]float64, n)
	share := make([]float64, n)
	r := draw(2)
	z := r.NormFloat64()
	for s := range n {
		z = m.Correlation*z + math.Sqrt(1-m.Correlation*m.Correlation)*r.NormFloat64()
		for _, o := range open[s*slotsPerSecond*slotMs : (s+1)*slotsPerSecond*slotMs] {
			if o {
				share[s] += 1.0 / (slotsPerSecond * slotMs)
			}
		}
		score[s] = z
		if share[s] < 0.5 {
			score[s] = -100 + share[s]
		}
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return score[order[a]] < score[order[b]] })
	rate := make([]float64, n)
	bend := m.bend()
	for rank, s := range order {
		rate[s] = m.quantile((float64(rank)+0.5)/float64(n), bend)
	}

	var ms []uint32
	r = draw(3)
	left := 0.0 // packets carried to the next millisecond
	weight := make([]float64, slotsPerSecond*slotMs)
	for s := range n {
		sum := 0.0
		for slot := range slotsPerSecond {
			w := math.Exp(m.Texture * r.NormFloat64())
			for i := range slotMs {
				at := slot*slotMs + i
				weight[at] = 0
				if open[s*slotsPerSecond*slotMs+at] {
					weight[at] = w
				}
				sum += weight[at]
			}
		}
		if sum == 0 {
			continue
		}
		packets := rate[s] * 1e6 / 8 / 1500
		for at, w := range weight {
			left += packets * w / sum
			for ; left >= 1; left-- {
				ms = append(ms, uint32(s*1000+at))
			}
		}
	}
	if len(ms) == 0 {
		return nil, fmt.Errorf("model: nothing is delivered in %d s", n)
	}
	// The last line is the period.
	ms = append(ms, uint32(n*1000))
	return netem.NewPacketTrace(ms)
}

const slotMs = 1000 / slotsPerSecond

// ModelSeed is the seed of every profile's model.
const ModelSeed = 1

// kept holds the traces that were made: one for each model, for as long as the program runs.
var kept struct {
	mu     sync.Mutex // guards traces
	traces map[Model]*netem.Trace
}

// made returns the trace of ModelSeed, made once.
func made(m Model) (*netem.Trace, error) {
	kept.mu.Lock()
	defer kept.mu.Unlock()
	if t := kept.traces[m]; t != nil {
		return t, nil
	}
	t, err := m.Trace(ModelSeed)
	if err != nil {
		return nil, err
	}
	if kept.traces == nil {
		kept.traces = map[Model]*netem.Trace{}
	}
	kept.traces[m] = t
	return t, nil
}

// open says for each millisecond whether it is outside of gaps.
func (m *Model) open(r *rand.Rand) []bool {
	open := make([]bool, m.length()*1000)
	for i := range open {
		open[i] = true
	}
	if m.GapsPerMinute == 0 {
		return open
	}
	lo, hi := m.GapSeconds[0], m.GapSeconds[1]
	for at := 0.0; ; {
		at += r.ExpFloat64() * 60 / m.GapsPerMinute
		// The inverse of the bounded Pareto distribution.
		length := lo / math.Pow(1-r.Float64()*(1-math.Pow(lo/hi, GapShape)), 1/GapShape)
		from, to := int(at*1000), int((at+length)*1000)
		if from >= len(open) {
			return open
		}
		for i := from; i < min(to, len(open)); i++ {
			open[i] = false
		}
		at += length
	}
}

var quantileAt = [5]float64{0, 0.05, 0.5, 0.95, 1}

// quantile interpolates between the given rates; above the median along a power curve.
func (m *Model) quantile(u, bend float64) float64 {
	i := min(3, max(0, sort.SearchFloat64s(quantileAt[:], u)-1))
	x := (u - quantileAt[i]) / (quantileAt[i+1] - quantileAt[i])
	if i >= 2 {
		x = math.Pow(x, bend)
	}
	return m.Quantiles[i] + x*(m.Quantiles[i+1]-m.Quantiles[i])
}

// bend is the power that gives the mean, or as near as it can be.
func (m *Model) bend() float64 {
	const n = 2000
	lo, hi := 0.1, 10.0
	for range 50 {
		mid := math.Sqrt(lo * hi)
		sum := 0.0
		for i := range n {
			sum += m.quantile((float64(i)+0.5)/n, mid)
		}
		if sum/n > m.Mean {
			lo = mid
		} else {
			hi = mid
		}
	}
	return math.Sqrt(lo * hi)
}
