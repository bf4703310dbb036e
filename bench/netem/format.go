package netem

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Words writes the config as ParseWords reads it. A trace without a TraceFile is written as `trace ?`.
func (c *Config) Words() string {
	var b []string
	add := func(words ...string) { b = append(b, words...) }
	if c.Delay != (Delay{}) {
		add("delay", c.Delay.words())
	}
	if c.Loss.Model != NoLoss {
		add("loss", c.Loss.words())
	}
	if r := c.Reorder; r.P > 0 {
		add("reorder", percents(r.P, r.Corr))
		if r.Gap > 0 {
			add("gap", strconv.Itoa(r.Gap))
		}
	}
	if d := c.Duplicate; d.P > 0 {
		add("duplicate", percents(d.P, d.Corr))
	}
	if d := c.Corrupt; d.P > 0 {
		add("corrupt", percents(d.P, d.Corr))
	}
	if c.Rate > 0 {
		add("rate", c.Rate.String())
	}
	if c.Poisson {
		add("poisson")
	}
	if c.TraceFile != "" {
		add("trace", c.TraceFile)
	} else if c.Trace != nil {
		add("trace", "?")
	}
	if (c.Trace != nil || c.TraceFile != "") && c.TraceOffset >= 0 {
		add("offset", timeWord(c.TraceOffset))
	}
	switch {
	case c.Limit.Time > 0:
		add("limit", timeWord(c.Limit.Time))
	case c.Limit.Bytes > 0:
		add("limit", fmt.Sprintf("%db", c.Limit.Bytes))
	case c.Limit.Packets > 0:
		add("limit", strconv.Itoa(c.Limit.Packets))
	}
	if c.CoDel.On {
		add("codel")
		if c.CoDel.Target > 0 {
			add("target", timeWord(c.CoDel.Target))
		}
		if c.CoDel.Interval > 0 {
			add("interval", timeWord(c.CoDel.Interval))
		}
	}
	if c.ECN {
		add("ecn")
	}
	if c.Policer.Rate > 0 {
		add("policer", c.Policer.Rate.String(), "burst", fmt.Sprintf("%db", c.Policer.Burst))
	}
	if c.Overhead > 0 {
		add("overhead", strconv.Itoa(c.Overhead))
	}
	if d := c.Drought; d.Every > 0 {
		add("drought", timeWord(d.Every), timeWord(d.Min), timeWord(d.Max))
	}
	for _, s := range c.Schedule {
		add("at", timeWord(s.At), s.words())
	}
	if c.Repeat > 0 {
		add("repeat", timeWord(c.Repeat))
	}
	return strings.Join(b, " ")
}

func (d Delay) words() string {
	s := timeWord(d.Base)
	if d.Jitter > 0 {
		s += " " + timeWord(d.Jitter)
		if d.Corr > 0 {
			s += " " + percents(d.Corr)
		}
		if d.Dist != Uniform {
			s += " distribution " + d.Dist.String()
		}
	}
	if d.InOrder {
		s += " inorder"
	}
	return s
}

func (l Loss) words() string {
	switch l.Model {
	case LossState:
		return "state " + allPercents(l.P13, l.P31, l.P32, l.P23, l.P14)
	case LossGE:
		return "gemodel " + allPercents(l.P, l.R, l.Bad, l.Good)
	case LossTime:
		return "getime " + timeWord(l.GoodFor) + " " + timeWord(l.BadFor) + " " + allPercents(l.Bad, l.Good)
	case LossRandom:
		return "random " + percents(l.P, l.Corr)
	}
	return "0%"
}

func (s Step) words() string {
	switch s.Kind {
	case StepRate:
		return "rate " + s.Rate.String()
	case StepLoss:
		return "loss " + s.Loss.words()
	case StepDelay:
		return "delay " + s.Delay.words()
	case StepOutage:
		return "outage " + timeWord(s.For)
	case StepStall:
		return "stall " + timeWord(s.For)
	}
	if s.For > 0 {
		return "handover outage " + timeWord(s.For)
	}
	return "handover"
}

// percents leaves out what is 0 at the end, but for the first.
func percents(ps ...float64) string {
	for len(ps) > 1 && ps[len(ps)-1] == 0 {
		ps = ps[:len(ps)-1]
	}
	return allPercents(ps...)
}

func allPercents(ps ...float64) string {
	var b []string
	for _, p := range ps {
		b = append(b, strconv.FormatFloat(p*100, 'g', 12, 64)+"%")
	}
	return strings.Join(b, " ")
}

// timeWord writes a time exactly, in the largest unit that needs no more than three decimals.
func timeWord(d time.Duration) string {
	unit, name := time.Microsecond, "us"
	switch {
	case d%time.Millisecond == 0 && d >= time.Second || d == 0:
		unit, name = time.Second, "s"
	case d >= time.Millisecond && d%time.Microsecond == 0:
		unit, name = time.Millisecond, "ms"
	}
	return strconv.FormatFloat(float64(d)/float64(unit), 'f', -1, 64) + name
}
