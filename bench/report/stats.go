package report

import "math"

// Estimate is a mean over seeds with the half width of its 95 % confidence interval.
type Estimate struct {
	Mean, Half float64 // Half is NaN with fewer than two values
	SD         float64
	N          int
	Never      int // values of −1: a latency that was not reached; they are not in the mean
}

// estimate of values; −1 stands for never where it may.
func estimate(values []float64, never bool) Estimate {
	var e Estimate
	for _, v := range values {
		if never && v < 0 {
			e.Never++
			continue
		}
		e.N++
		e.Mean += v
	}
	e.Half = math.NaN()
	if e.N == 0 {
		e.Mean = math.NaN()
		return e
	}
	e.Mean /= float64(e.N)
	if e.N < 2 {
		return e
	}
	sum := 0.0
	for _, v := range values {
		if !never || v >= 0 {
			sum += (v - e.Mean) * (v - e.Mean)
		}
	}
	e.SD = math.Sqrt(sum / float64(e.N-1))
	e.Half = student(float64(e.N-1)) * e.SD / math.Sqrt(float64(e.N))
	return e
}

// worse is by how much b exceeds a, and the half width of the difference's 95 % interval (Welch's unequal variances).
// With a single value on either side the interval is unknown and 0.
func worse(a, b Estimate) (diff, half float64) {
	diff = b.Mean - a.Mean
	if a.N < 2 || b.N < 2 {
		return diff, 0
	}
	va, vb := a.SD*a.SD/float64(a.N), b.SD*b.SD/float64(b.N)
	if va+vb == 0 {
		return diff, 0
	}
	df := (va + vb) * (va + vb) / (va*va/float64(a.N-1) + vb*vb/float64(b.N-1))
	return diff, student(df) * math.Sqrt(va+vb)
}

// student is the 97.5 % quantile of Student's t with df degrees of freedom, found on the distribution's own function.
func student(df float64) float64 {
	lo, hi := 0.0, 1000.0
	for range 100 {
		mid := (lo + hi) / 2
		if studentTail(mid, df) > 0.025 {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// studentTail is P(T > t): half the regularised incomplete beta function of df/(df+t²) (Abramowitz and Stegun 26.7.1, 26.5.27).
func studentTail(t, df float64) float64 {
	return beta(df/2, 0.5, df/(df+t*t)) / 2
}

// beta is the regularised incomplete beta function, by its continued fraction (Abramowitz and Stegun 26.5.8).
func beta(a, b, x float64) float64 {
	if x <= 0 {
		return 0
	}
	if x >= 1 {
		return 1
	}
	if x > (a+1)/(a+b+2) {
		return 1 - beta(b, a, 1-x)
	}
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	front := math.Exp(lab-la-lb+a*math.Log(x)+b*math.Log(1-x)) / a
	// The fraction from its far end: 1/(1+ d1/(1+ d2/(1+ …
	f := 1.0
	for m := 200; m >= 1; m-- {
		k := float64(m / 2)
		var d float64
		if m%2 == 0 {
			d = k * (b - k) * x / ((a + 2*k - 1) * (a + 2*k))
		} else {
			d = -(a + k) * (a + b + k) * x / ((a + 2*k) * (a + 2*k + 1))
		}
		f = 1 + d/f
	}
	return front / f
}
