package session

import (
	"time"

	"github.com/fairlead-live/fairlead/transport/arq"
)

// policy decides how many packets answer a loss, and how many repairs go ahead.
type policy struct {
	noFEC      bool
	sent, lost float64
	lossAt     time.Duration
}

func (p *policy) init(noFEC bool) { p.noFEC = noFEC }

// saw learns from the outcome of a packet.
func (p *policy) saw(now time.Duration, e *arq.Event) {
	switch e.Outcome {
	case arq.Lost:
		p.lost++
		p.lossAt = max(now, 1)
	}
	p.sent++
}

// overhead is the share of repairs and resends in what media takes.
func (p *policy) overhead() float64 {
	if p.sent < 100 {
		return 0
	}
	return p.lost / p.sent
}

// lossy reports whether a packet was lost in the last 10 s.
func (p *policy) lossy(now time.Duration) bool { return p.lossAt > 0 && now-p.lossAt < 10*time.Second }

// ahead is how many repairs go out with a block of k packets that has rounds transmissions in all.
func (p *policy) ahead(k, rounds int, c class) int { return 0 }

// answer is how many packets should be on their way for lost missing symbols when left transmissions remain, one now included.
func (p *policy) answer(lost, left int, b *block) int { return lost }
