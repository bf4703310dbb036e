package netem

import (
	"slices"
	"strings"
)

var stepWords = []string{"rate", "loss", "delay", "outage", "stall", "handover"}

// step reads what follows `at`.
func (p *parser) step() {
	s := Step{At: p.time()}
	if before := p.scope; p.paths && p.i < len(p.toks) && slices.Contains([]string{"up", "down", "both"}, p.toks[p.i].text) {
		p.direction(p.toks[p.i])
		p.i++
		defer func() { p.scope = before }()
	}
	t, word := p.take("what happens then: " + strings.Join(stepWords, ", "))
	switch word {
	case "rate":
		s.Kind, s.Rate = StepRate, p.rate()
	case "loss":
		s.Kind, s.Loss = StepLoss, p.loss()
	case "delay":
		s.Kind, s.Delay = StepDelay, p.delay()
	case "outage":
		s.Kind, s.For = StepOutage, p.time()
	case "stall":
		s.Kind, s.For = StepStall, p.time()
	case "handover":
		s.Kind = StepHandover
		if p.have("outage") {
			s.For = p.time()
		}
	default:
		p.fail(t, "unknown word"+nearestTo(word, stepWords))
	}
	p.each(func(c *Config) { c.Schedule = append(c.Schedule, s) })
}

func (p *parser) delay() Delay {
	d := Delay{Base: p.time()}
	d.Jitter = p.maybeTime(0)
	if d.Jitter > 0 {
		d.Corr = p.maybePercent(0)
	}
	for {
		switch {
		case p.have("distribution"):
			t, name := p.take("a distribution")
			i := slices.Index(distributionNames, name)
			if i < 0 {
				p.fail(t, "unknown distribution"+nearestTo(name, distributionNames))
				return d
			}
			d.Dist = Distribution(i)
		case p.have("inorder"):
			d.InOrder = true
		default:
			return d
		}
	}
}

func (p *parser) loss() Loss {
	switch {
	case p.have("state"):
		l := Loss{Model: LossState, P13: p.percent()}
		l.P31 = p.maybePercent(1 - l.P13)
		l.P32, l.P23, l.P14 = p.maybePercent(0), p.maybePercent(1), p.maybePercent(0)
		return l
	case p.have("gemodel"):
		l := Loss{Model: LossGE, P: p.percent()}
		l.R = p.maybePercent(1 - l.P)
		l.Bad, l.Good = p.maybePercent(1), p.maybePercent(0)
		return l
	case p.have("getime"):
		return Loss{Model: LossTime, GoodFor: p.time(), BadFor: p.time(), Bad: p.maybePercent(1), Good: p.maybePercent(0)}
	}
	p.have("random")
	return Loss{Model: LossRandom, P: p.percent(), Corr: p.maybePercent(0)}
}
