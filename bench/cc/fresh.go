package cc

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// Family makes links of one kind: each seed is another link, with its own rate, round trip, buffer and course. No figure
// of it is taken from a recording; the controller is judged by them and was not shaped on any one of them.
type Family struct {
	Name, About string
	make        func(r *rand.Rand) Scenario
}

// Families that the controller is judged on. Ours: the shapes are what papers and operators describe, the figures wide.
func Families() []Family {
	return []Family{
		{"walk", "capacity walks at random, 0.5 to 20 Mbit/s, RTT 40 to 200 ms", walkLink},
		{"markov", "good, fair, poor and dead spells of seconds, RTT 40 to 120 ms", markovLink},
		{"hspa", "0.5 to 2.5 Mbit/s in bursts of a scheduler, RTT 100 to 300 ms, seconds of buffer", hspaLink},
		{"fading", "2 to 10 Mbit/s, fading over 100 ms and seconds, a scheduler's pauses, RTT 40 to 100 ms", fadingLink},
		{"mmwave", "20 to 50 Mbit/s, blocked to a twentieth for 0.1 to 1 s, RTT 20 to 40 ms", mmwaveLink},
		{"wifi", "5 to 30 Mbit/s in aggregates, the air taken for 30 to 150 ms now and then, RTT 20 to 50 ms", wifiLink},
		{"satellite", "5 to 15 Mbit/s, another rate and delay each 15 s after a gap, 0.5 % loss, RTT 40 to 80 ms", satelliteLink},
	}
}

// Link is the family's link of a seed.
func (f Family) Link(seed uint64) Scenario {
	sc := f.make(rand.New(rand.NewPCG(seed, 0xfa311e5)))
	sc.Name, sc.About, sc.For = f.Name, f.About, minute
	sc.Flows = []Flow{{Kind: Ours}}
	return sc
}

// freshMs of capacity is made for a link; it covers the longest run.
const freshMs = 62_000

// course is a link whose capacity is rate(ms), bits/s, in packets that leave where open(ms).
func course(rtt, buffer time.Duration, rate func(ms int) float64) Scenario {
	var at []uint32
	credit := 0.0
	for ms := 1; ms <= freshMs; ms++ {
		credit = min(credit+rate(ms)/8e3, 40*segment) // bytes; a scheduler that stood still does not catch up for ever
		for ; credit >= segment; credit -= segment {
			at = append(at, uint32(ms))
		}
	}
	at = append(at, freshMs+1)
	t, err := netem.NewPacketTrace(at)
	if err != nil {
		panic(err)
	}
	mean := float64(t.Mean())
	sc := Words("", fmt.Sprintf("delay %v", rtt/2), minute)
	sc.Up.Trace = t
	sc.Up.Limit = netem.Limit{Packets: max(10, int(mean/8*buffer.Seconds()/segment))}
	return sc
}

func between(r *rand.Rand, a, b float64) float64 { return a + (b-a)*r.Float64() }

// logBetween draws evenly on a scale of ratios.
func logBetween(r *rand.Rand, a, b float64) float64 { return a * math.Pow(b/a, r.Float64()) }

func millis(x float64) time.Duration { return time.Duration(x) * time.Millisecond }

func walkLink(r *rand.Rand) Scenario {
	rate, step := logBetween(r, 1e6, 10e6), between(r, 0.1, 0.5) // of the logarithm, each second
	level := math.Log(rate)
	return course(millis(between(r, 40, 200)), millis(between(r, 200, 1500)), func(ms int) float64 {
		if ms%50 == 0 {
			level += step * math.Sqrt(0.05) * r.NormFloat64()
			level = max(math.Log(0.5e6), min(math.Log(20e6), level))
		}
		return math.Exp(level)
	})
}

func markovLink(r *rand.Rand) Scenario {
	rates := [4]float64{logBetween(r, 6e6, 20e6), logBetween(r, 2e6, 5e6), logBetween(r, 0.4e6, 1e6), 0}
	stays := [4]float64{between(r, 2000, 8000), between(r, 1500, 5000), between(r, 800, 3000), between(r, 300, 1500)}
	state, until := 1, 0
	return course(millis(between(r, 40, 120)), millis(between(r, 200, 1500)), func(ms int) float64 {
		if ms >= until {
			next := r.IntN(3)
			if r.Float64() < 0.1 {
				next = 3
			}
			state, until = next, ms+1+int(stays[next]*r.ExpFloat64())
		}
		return rates[state]
	})
}

func hspaLink(r *rand.Rand) Scenario {
	mean := logBetween(r, 0.5e6, 2.5e6)
	level, held := 0.0, 0
	return course(millis(between(r, 100, 300)), millis(between(r, 1000, 4000)), func(ms int) float64 {
		if ms%200 == 0 {
			level = 0.9*level + 0.15*r.NormFloat64()
		}
		if held == 0 && r.Float64() < 1.0/60 {
			held = int(between(r, 10, 60)) // the scheduler serves others
		}
		if held > 0 {
			held--
			return 0
		}
		return 1.5 * mean * math.Exp(level)
	})
}

func fadingLink(r *rand.Rand) Scenario {
	mean, fast, slow := logBetween(r, 2e6, 10e6), between(r, 0.2, 0.6), between(r, 0.2, 0.7)
	quick, level, held := 0.0, 0.0, 0
	pause := between(r, 300, 1500)
	return course(millis(between(r, 40, 100)), millis(between(r, 200, 1000)), func(ms int) float64 {
		if ms%100 == 0 {
			quick = fast * r.NormFloat64()
		}
		if ms%500 == 0 {
			level = 0.8*level + 0.6*slow*r.NormFloat64()
		}
		if held == 0 && r.Float64() < 1/pause {
			held = int(between(r, 20, 100))
		}
		if held > 0 {
			held--
			return 0
		}
		return mean * math.Exp(level+quick)
	})
}

func mmwaveLink(r *rand.Rand) Scenario {
	mean := logBetween(r, 20e6, 50e6)
	every, level, blocked := between(r, 2000, 8000), 0.0, 0
	return course(millis(between(r, 20, 40)), millis(between(r, 100, 400)), func(ms int) float64 {
		if ms%20 == 0 {
			level = 0.9*level + 0.1*r.NormFloat64()
		}
		if blocked == 0 && r.Float64() < 1/every {
			blocked = int(logBetween(r, 100, 1000))
		}
		if blocked > 0 {
			blocked--
			return mean / 20
		}
		return mean * math.Exp(level)
	})
}

func wifiLink(r *rand.Rand) Scenario {
	mean, gather := logBetween(r, 5e6, 30e6), int(between(r, 3, 12))
	every, level, taken, saved := between(r, 500, 3000), 0.0, 0, 0.0
	return course(millis(between(r, 20, 50)), millis(between(r, 100, 500)), func(ms int) float64 {
		if ms%1000 == 0 {
			level = 0.7*level + 0.25*r.NormFloat64()
		}
		if taken == 0 && r.Float64() < 1/every {
			taken = int(between(r, 30, 150))
		}
		if taken > 0 {
			taken--
			return 0
		}
		saved += mean * math.Exp(level)
		if ms%gather != 0 {
			return 0
		}
		burst := saved
		saved = 0
		return burst
	})
}

func satelliteLink(r *rand.Rand) Scenario {
	rate, gap := logBetween(r, 5e6, 15e6), 0
	at := r.IntN(15_000)
	sc := course(millis(between(r, 40, 80)), millis(between(r, 100, 400)), func(ms int) float64 {
		if ms%15_000 == at {
			rate, gap = logBetween(r, 5e6, 15e6), int(between(r, 40, 150))
		}
		if gap > 0 {
			gap--
			return 0
		}
		return rate
	})
	base := sc.Up.Delay.Base
	for t := at; t < freshMs; t += 15_000 {
		d := sc.Up.Delay
		d.Base = base + millis(between(r, -8, 15))
		sc.Up.Schedule = append(sc.Up.Schedule, netem.Step{At: time.Duration(t) * time.Millisecond, Kind: netem.StepDelay, Delay: d})
	}
	return sc.WithAfter(0.005, 1)
}
