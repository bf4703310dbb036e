package netem

import (
	"math"
	"time"
)

// jitter draws the variable part of a delay. It is asked once for each packet number, in order.
type jitter struct {
	draw, draw2 stream
	z, z2       float64 // the last draws, standard normal, where they are correlated
	begun       bool
}

// next returns the whole delay of packet n, at least 0.
func (j *jitter) next(n uint64, d *Delay) time.Duration {
	if d.Jitter == 0 {
		return d.Base
	}
	u := j.draw.unit(n)
	u2 := 0.5
	if d.Dist == ParetoNormal {
		u2 = j.draw2.unit(n)
	}
	if d.Corr > 0 {
		u = j.correlate(&j.z, u, d.Corr)
		if d.Dist == ParetoNormal {
			u2 = j.correlate(&j.z2, u2, d.Corr)
		}
		j.begun = true
	}
	x := min(4, max(-4, deviate(d.Dist, u, u2)))
	return max(0, d.Base+time.Duration(math.Round(x*float64(d.Jitter))))
}

// correlate replaces u by the value of a Gaussian AR(1) process driven by it; it stays uniform.
func (j *jitter) correlate(z *float64, u, corr float64) float64 {
	e := quantile(u)
	if j.begun {
		e = corr**z + math.Sqrt(1-corr*corr)*e
	}
	*z = e
	return 0.5 * math.Erfc(-e/math.Sqrt2)
}

// quantile is the inverse of the standard normal distribution.
func quantile(u float64) float64 { return -math.Sqrt2 * math.Erfcinv(2*u) }

// deviate turns uniform draws into one of mean 0; standard deviation 1, except for Uniform, which fills -1..1.
func deviate(d Distribution, u, u2 float64) float64 {
	switch d {
	case Normal:
		return quantile(u)
	case Pareto:
		return pareto(u)
	case ParetoNormal:
		return (0.25*quantile(u2) + 0.75*pareto(u)) / math.Sqrt(0.25*0.25+0.75*0.75)
	}
	return 2*u - 1
}

// pareto of shape 3, as in iproute2's pareto.c: mean 3/2, variance 3/4, taken out here.
func pareto(u float64) float64 {
	return (1/math.Cbrt(1-u) - 1.5) / math.Sqrt(0.75)
}
