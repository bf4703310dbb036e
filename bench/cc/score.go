package cc

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// Result of a run, of the flows of ours together where not said otherwise.
type Result struct {
	Name string
	Seed uint64

	Utilisation float64 // of capacity, what arrived
	Media       float64 // of capacity, first sendings of media that were sent
	QueueP50    time.Duration
	QueueP95    time.Duration
	QueueClear  time.Duration // p95 without packets that met an outage of the link
	HeldP95     time.Duration // in the sender's queue
	LagP95      time.Duration // from the encoder to the far end of the bottleneck, of media that was sent
	SelfLoss    float64       // dropped at queue or policer, of what was sent
	Shares      []float64     // of each flow, of what arrived in the last half
	Jain        float64       // of the flows of ours, last half
	Capacity    float64       // bits/s, mean

	Curve   []Sample
	Lowered []time.Duration // when the encoder of the first flow was told less
	Flows   int
}

// Sample is a moment, averaged over sampleEvery.
type Sample struct {
	At       time.Duration
	Capacity float64   // bits/s
	Arrived  []float64 // bits/s, by flow
	Rate     float64   // R of the first flow
	Told     float64   // what its encoder was told
	Queue    time.Duration
	Reason   string
	Lost     float64 // dropped by queue or policer, bits/s, first flow
}

const sampleEvery = 100 * time.Millisecond

type score struct {
	sc                             *Scenario
	seed                           uint64
	shadow                         *shadow
	waits, clear, held, lag        []float32 // ms
	bytesIn, bytesHalf             []int
	bytesSent, selfLost, mediaSent int
	now                            []int
	lostNow                        int
	maxWait                        time.Duration
	curve                          []Sample
	lowered                        []time.Duration
}

func newScore(sc *Scenario, seed uint64) *score {
	n := len(sc.Flows)
	return &score{sc: sc, seed: seed, shadow: newShadow(sc, seed), bytesIn: make([]int, n), bytesHalf: make([]int, n), now: make([]int, n)}
}

func (s *score) own(i int) bool { return s.sc.Flows[i].Kind <= Oracle }

func (s *score) sent(i int, now time.Duration, size int, f netem.Fate) {
	dropped := f.Drop == netem.QueueFull || f.Drop == netem.Policed || f.Drop == netem.CoDelDrop
	if i == 0 && dropped {
		s.lostNow += size
	}
	if now < warmUp || !s.own(i) {
		return
	}
	s.bytesSent += size
	if dropped {
		s.selfLost += size
	}
}

func (s *score) waited(i int, now, at, wait time.Duration, _ int) {
	if i == 0 {
		s.maxWait = max(s.maxWait, wait)
	}
	if now < warmUp || !s.own(i) {
		return
	}
	ms := float32(wait.Seconds() * 1000)
	s.waits = append(s.waits, ms)
	if !s.shadow.outage(now, at) {
		s.clear = append(s.clear, ms)
	}
}

func (s *score) left(_ int, now, held, wait time.Duration, kind uint8, size int) {
	if now < warmUp || kind != kindMedia {
		return
	}
	s.mediaSent += size
	s.held = append(s.held, float32(held.Seconds()*1000))
	s.lag = append(s.lag, float32((held+wait).Seconds()*1000))
}

func (s *score) arrived(i int, now time.Duration, size int) {
	s.now[i] += size
	if now >= warmUp {
		s.bytesIn[i] += size
	}
	if now >= s.sc.For/2 {
		s.bytesHalf[i] += size
	}
}

func (s *score) sample(w *world) {
	now := w.Elapsed()
	x := Sample{At: now, Queue: s.maxWait, Lost: float64(s.lostNow) * 8 / sampleEvery.Seconds()}
	x.Capacity = s.shadow.rate(now-sampleEvery, now)
	for i := range s.now {
		x.Arrived = append(x.Arrived, float64(s.now[i])*8/sampleEvery.Seconds())
		s.now[i] = 0
	}
	if m, ok := w.flows[0].(*media); ok && m.ctl != nil {
		x.Rate, x.Told, x.Reason = float64(m.ctl.Rate()), float64(m.told), m.ctl.Reason().String()
	}
	s.maxWait, s.lostNow = 0, 0
	s.curve = append(s.curve, x)
}

func (s *score) result(*world) Result {
	r := Result{Name: s.sc.Name, Seed: s.seed, Curve: s.curve, Lowered: s.lowered, Flows: len(s.sc.Flows)}
	total := s.shadow.bytes(warmUp, s.sc.For)
	r.Capacity = total * 8 / (s.sc.For - warmUp).Seconds()
	in, all := 0, 0
	var sum, sq float64
	n := 0
	for i, b := range s.bytesIn {
		if s.own(i) {
			in += b
			h := float64(s.bytesHalf[i])
			sum, sq, n = sum+h, sq+h*h, n+1
		}
		all += s.bytesHalf[i]
	}
	for i := range s.bytesHalf {
		r.Shares = append(r.Shares, float64(s.bytesHalf[i])/math.Max(1, float64(all)))
	}
	r.Utilisation, r.Media = float64(in)/total, float64(s.mediaSent)/total
	if sq > 0 {
		r.Jain = sum * sum / (float64(n) * sq)
	}
	r.QueueP50, r.QueueP95 = percentile(s.waits, 0.5), percentile(s.waits, 0.95)
	r.QueueClear, r.HeldP95, r.LagP95 = percentile(s.clear, 0.95), percentile(s.held, 0.95), percentile(s.lag, 0.95)
	if s.bytesSent > 0 {
		r.SelfLoss = float64(s.selfLost) / float64(s.bytesSent)
	}
	return r
}

// percentile reorders ms.
func percentile(ms []float32, p float64) time.Duration {
	if len(ms) == 0 {
		return 0
	}
	k := min(len(ms)-1, int(p*float64(len(ms))))
	return time.Duration(float64(quickselect(ms, k)) * float64(time.Millisecond))
}

// quickselect is what stood at k if x were sorted: Hoare's FIND (CACM 1961), with the middle of three to divide by. A run has
// hundreds of thousands of packets, and only a few of their ranks are asked for.
func quickselect(x []float32, k int) float32 {
	for lo, hi := 0, len(x)-1; lo < hi; {
		a, b, c := x[lo], x[(lo+hi)/2], x[hi]
		pivot := max(min(a, b), min(max(a, b), c))
		i, j := lo, hi
		for i <= j {
			for x[i] < pivot {
				i++
			}
			for x[j] > pivot {
				j--
			}
			if i <= j {
				x[i], x[j] = x[j], x[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return x[k]
		}
	}
	return x[k]
}

// shadow is the same link, saturated: what it could carry, and when it carried nothing.
type shadow struct {
	bins []float64 // bytes of 10 ms
	gaps []gap
}

type gap struct{ from, to time.Duration }

const (
	shadowBin   = 10 * time.Millisecond
	outageLeast = 200 * time.Millisecond // issue's "link outage": ours, as long as users.md §2.4 counts gaps
)

func newShadow(sc *Scenario, seed uint64) *shadow {
	c := sc.Up
	policed := c.Policer
	c.Policer, c.Loss, c.CoDel, c.Delay = netem.Policer{}, netem.Loss{}, netem.CoDel{}, netem.Delay{}
	c.Limit = netem.Limit{Packets: 1 << 20}
	var steps []netem.Step
	for _, s := range c.Schedule {
		if s.Kind == netem.StepOutage || s.Kind == netem.StepStall || s.Kind == netem.StepHandover && s.For > 0 {
			s.Kind = netem.StepStall
			steps = append(steps, s)
		} else if s.Kind == netem.StepRate {
			steps = append(steps, s)
		}
	}
	c.Schedule = steps
	s := &shadow{bins: make([]float64, int(sc.For/shadowBin)+2)}
	if c.Rate == 0 && c.Trace == nil {
		rate := 50e6 // no bottleneck: none of the scenarios
		if policed.Rate > 0 {
			rate = float64(policed.Rate)
		}
		for i := range s.bins {
			s.bins[i] = rate / 8 * shadowBin.Seconds()
		}
		return s
	}
	l := netem.NewLink(c, seed, netem.Up)
	const size = 1500
	last := time.Duration(0)
	for now := time.Duration(0); ; now = max(now, last-50*time.Millisecond) {
		at, _ := l.Admit(now, size)
		if at >= sc.For {
			if at-last >= outageLeast {
				s.gaps = append(s.gaps, gap{last, at})
			}
			break
		}
		if at-last >= outageLeast {
			s.gaps = append(s.gaps, gap{last, at})
		}
		last = at
		s.bins[at/shadowBin] += size
	}
	return s
}

func (s *shadow) bytes(from, to time.Duration) (n float64) {
	for i := from / shadowBin; i < to/shadowBin; i++ {
		n += s.bins[i]
	}
	return n
}

func (s *shadow) rate(from, to time.Duration) float64 {
	return s.bytes(max(0, from), to) * 8 / (to - from).Seconds()
}

// outage reports whether the link was dead in between.
func (s *shadow) outage(from, to time.Duration) bool {
	i, _ := slices.BinarySearchFunc(s.gaps, from, func(g gap, t time.Duration) int {
		if g.to <= t {
			return -1
		}
		return 1
	})
	return i < len(s.gaps) && s.gaps[i].from < to
}

// String is a line of the table.
func (r *Result) String() string {
	var shares []byte
	for _, s := range r.Shares {
		shares = fmt.Appendf(shares, " %.2f", s)
	}
	return fmt.Sprintf("%-24s seed %d: utilisation %.1f %%, media %.1f %%, queue p50 %d p95 %d ms (%d outside outages), held p95 %d ms, own loss %.2f %%, shares%s",
		r.Name, r.Seed, 100*r.Utilisation, 100*r.Media, r.QueueP50.Milliseconds(), r.QueueP95.Milliseconds(), r.QueueClear.Milliseconds(), r.HeldP95.Milliseconds(), 100*r.SelfLoss, shares)
}
