package cc

import "time"

// bbr is BBR version 1 in outline: bandwidth from a maximum over ten round trips, a minimum round trip over
// ten seconds, gains 2.89 and 1/2.89 to start, then 1.25, 0.75 and six times 1; it does not react to loss.
type bbr struct {
	best    [10]float64
	round   int
	roundAt time.Duration
	minRTT  time.Duration
	minAt   time.Duration
	mode    bbrMode
	cycle   int
	cycleAt time.Duration
	full    float64
	still   int
	until   time.Duration
	now     time.Duration
}

type bbrMode uint8

const (
	bbrStartup bbrMode = iota
	bbrDrain
	bbrProbe
	bbrRTT
)

func newBBR() *bbr { return &bbr{} }

func (b *bbr) bandwidth() (m float64) {
	for _, x := range b.best {
		m = max(m, x)
	}
	return m
}

func (b *bbr) bdp() float64 { return b.bandwidth() / 8 * b.minRTT.Seconds() }

func (b *bbr) window() float64 {
	switch {
	case b.bandwidth() == 0:
		return 10 * segment
	case b.mode == bbrRTT:
		return 4 * segment
	case b.mode == bbrStartup:
		return max(10*segment, 2.89*b.bdp())
	}
	return max(4*segment, 2*b.bdp())
}

func (b *bbr) pacing() float64 {
	gain := 1.0
	switch b.mode {
	case bbrStartup:
		gain = 2.89
	case bbrDrain:
		gain = 1 / 2.89
	case bbrProbe:
		gain = [8]float64{1.25, 0.75, 1, 1, 1, 1, 1, 1}[b.cycle]
	}
	return gain * b.bandwidth()
}

func (b *bbr) timeout()                          {}
func (b *bbr) lost(time.Duration, time.Duration) {}

func (b *bbr) ack(now, rtt time.Duration, _ int, rate float64, inflight int) {
	b.now = now
	expired := b.minAt > 0 && now-b.minAt > 10*time.Second
	if b.minRTT == 0 || rtt <= b.minRTT || expired {
		b.minRTT, b.minAt = rtt, now
	}
	if expired && b.mode == bbrProbe {
		b.mode, b.until = bbrRTT, now+200*time.Millisecond+rtt
	}
	if now-b.roundAt >= rtt {
		b.roundAt = now
		b.round++
		b.best[b.round%10] = 0
		b.rounds()
	}
	b.best[b.round%10] = max(b.best[b.round%10], rate)
	switch b.mode {
	case bbrDrain:
		if float64(inflight) <= b.bdp() {
			b.mode, b.cycle, b.cycleAt = bbrProbe, 2, now
		}
	case bbrRTT:
		if now >= b.until {
			b.mode, b.cycle, b.cycleAt, b.minAt = bbrProbe, 2, now, now
		}
	case bbrProbe:
		if now-b.cycleAt >= b.minRTT && !(b.cycle == 1 && float64(inflight) > b.bdp() && now-b.cycleAt < 2*b.minRTT) {
			b.cycle, b.cycleAt = (b.cycle+1)%8, now
		}
	}
}

// rounds ends startup when the bandwidth has not grown by a quarter in three round trips.
func (b *bbr) rounds() {
	if b.mode != bbrStartup {
		return
	}
	if bw := b.bandwidth(); bw > 1.25*b.full {
		b.full, b.still = bw, 0
	} else if b.still++; b.still >= 3 {
		b.mode = bbrDrain
	}
}
