package fec

import (
	"math"
	"time"
)

// Estimate is what feedback says about the channel.
type Estimate struct {
	Loss  float64 // p̂, share of packets lost
	Upper float64 // p⁺, one standard deviation above; 0 while the path is clean
	Burst float64 // L̂, mean run of lost packets, at least 1/(1-Loss)
	Count float64 // packets that the estimate rests on
}

// Setting is the estimate as a plan wants it. idle: packets that would be sent in the time of one round.
func (e Estimate) Setting(idle float64) Setting {
	return Setting{Loss: e.Upper, Burst: e.Burst, Idle: idle}
}

// LossEstimator follows the loss ratio and the mean burst length of a path: up at once, down slowly.
//
// Three memories count packets, losses and runs of losses: one of 1000 packets, one of 1 s and one of 300 ms. The
// estimate is the longest's, for it is the surest. When another says significantly more, the longest takes over the
// shortest's counts: a loss that begins is known within 300 ms. When the middle one says significantly less, it takes over
// that one's: a loss that ends is forgotten within 3 s.
//
// The zero value is ready and starts with a guess of 2 %, worth 50 packets. It is owned by one goroutine.
type LossEstimator struct {
	long, middle, short memory
	last                time.Time
	wasLost             bool
	lastLoss            int64 // packets since the last loss
	started             bool
}

const (
	longPackets  = 1000 // research/fec 4.4
	middleTime   = time.Second
	shortTime    = 300 * time.Millisecond // research/fec 4.4
	firstLoss    = 0.02
	firstPackets = 50
	// surprise is how many standard deviations count as significant. Three memories are compared at each packet, so
	// rarely is rare enough only well above two.
	surprise = 3
	// cleanAfter packets without a loss the path is clean.
	cleanAfter = 3000
)

// memory is counts that fade: weighted sums, and the sum of squared weights for the number they are worth.
type memory struct{ sent, lost, runs, squares float64 }

func (m *memory) fade(by float64) {
	m.sent *= by
	m.lost *= by
	m.runs *= by
	m.squares *= by * by
}

func (m *memory) add(lost, newRun bool) {
	m.sent++
	m.squares++
	if lost {
		m.lost++
	}
	if newRun {
		m.runs++
	}
}

func (m *memory) ratio() float64 {
	if m.sent == 0 {
		return 0
	}
	return m.lost / m.sent
}

// count is the number of equally weighted packets that would be as sure.
func (m *memory) count() float64 {
	if m.squares == 0 {
		return 0
	}
	return m.sent * m.sent / m.squares
}

// Observe takes in the fate of one packet, in the order in which they were sent. now is when feedback told of it.
func (l *LossEstimator) Observe(now time.Time, lost bool) {
	if !l.started {
		l.started, l.last = true, now
		l.long = memory{sent: firstPackets, lost: firstPackets * firstLoss, runs: firstPackets * firstLoss, squares: firstPackets}
	}
	if passed := now.Sub(l.last); passed > 0 {
		l.last = now
		l.middle.fade(math.Exp(-float64(passed) / float64(middleTime)))
		l.short.fade(math.Exp(-float64(passed) / float64(shortTime)))
	}
	l.long.fade(1 - 1.0/longPackets)
	newRun := lost && !l.wasLost
	l.wasLost = lost
	l.long.add(lost, newRun)
	l.middle.add(lost, newRun)
	l.short.add(lost, newRun)
	if lost {
		l.lastLoss = 0
	} else {
		l.lastLoss++
	}
	burst := l.burst()
	p := l.long.ratio()
	over := func(m *memory) bool {
		return m.lost >= 3 && m.ratio() > p+surprise*deviation(p, burst, m.count())
	}
	switch {
	case l.short.ratio() > p && (over(&l.short) || over(&l.middle)):
		l.long = l.short
	case l.middle.ratio() < p-surprise*deviation(p, burst, l.middle.count()) && l.middle.count() < l.long.count():
		l.long = l.middle
	}
}

// deviation of the loss ratio of n packets, whose fates come in runs. At least 1 loss in n, so that nothing is certain.
func deviation(p, burst, n float64) float64 {
	if n < 1 {
		return 1
	}
	return math.Sqrt(max(p*(1-p), 1/n) * (2*burst - 1) / n)
}

func (l *LossEstimator) burst() float64 {
	// One run of length 1 in advance: a single loss is no evidence of bursts.
	return max((l.long.lost+1)/(l.long.runs+1), 1/(1-min(l.long.ratio(), 0.9)))
}

// Estimate is the state of knowledge now.
func (l *LossEstimator) Estimate() Estimate {
	if !l.started {
		return Estimate{Loss: firstLoss, Upper: 2 * firstLoss, Burst: 1 / (1 - firstLoss)}
	}
	p := l.long.ratio()
	e := Estimate{Loss: p, Burst: l.burst(), Count: l.long.count()}
	if l.lastLoss < cleanAfter {
		// z = 1; at least 0.5 %: research/fec 4.4.
		e.Upper = max(leastLoss, p+math.Sqrt(p*(1-p)*(2*e.Burst-1)/max(e.Count, 1)))
	}
	return e
}
