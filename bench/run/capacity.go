package run

import (
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// capacity is how many bits a second a link could carry in each of n steps from the clip's first frame: what comes out of
// its bottleneck when it always has something to send. Nil: the link has no bottleneck.
func capacity(config netem.Config, seed uint64, n int) []float64 {
	if !limited(&config) {
		return nil
	}
	// Only what limits the rate is kept; the queue is short and always full.
	config.Delay, config.Loss, config.Reorder = netem.Delay{}, netem.Loss{}, netem.Reorder{}
	config.Duplicate, config.Corrupt, config.CoDel, config.Policer = netem.Chance{}, netem.Chance{}, netem.CoDel{}, netem.Policer{}
	config.Limit = netem.Limit{Packets: 40}
	var rateOnly []netem.Step
	for _, s := range config.Schedule {
		if s.Kind != netem.StepLoss && s.Kind != netem.StepDelay {
			rateOnly = append(rateOnly, s)
		}
	}
	config.Schedule = rateOnly
	link := netem.NewLink(config, seed, netem.Up)
	out := make([]float64, n)
	const size = 1500
	end := settle + time.Duration(n)*step
	for now := time.Duration(0); now < end; now += time.Millisecond {
		for range 100 { // 1.2 Gbit/s at most
			at, fate := link.Admit(now, size)
			if fate.Drop != netem.Delivered {
				break
			}
			if i := int((at - settle) / step); at >= settle && i < n {
				out[i] += 8 * size * float64(time.Second/step)
			}
		}
	}
	return out
}

func limited(c *netem.Config) bool {
	if c.Rate > 0 || c.Trace != nil || c.Poisson {
		return true
	}
	for _, s := range c.Schedule {
		if s.Kind == netem.StepRate && s.Rate > 0 {
			return true
		}
	}
	return false
}
