package report

import (
	"fmt"
	"io"
	"math"
)

// rule is a metric that may not get worse, and by how much it may all the same: less than anybody sees.
type rule struct {
	metric   string
	absolute float64 // in the metric's unit
	relative float64 // of the baseline
}

// rules of the gate. Latency and stutter alone: bytes on the wire are a price, shown and not judged.
var rules = []rule{
	{"stall_s_per_100s_b1000", 0.5, 0.05},
	{"stall_s_per_100s_b200", 0.5, 0.05},
	{"stalls_per_100s_b1000", 1, 0.10},
	{"never_decodable_percent", 0.2, 0.05},
	{"latency_p50_ms", 5, 0.05},
	{"latency_p99_ms", 20, 0.05},
}

// Verdict of a gate.
type Verdict struct {
	Worse   []string // why it does not pass
	Judged  int      // comparisons made
	Skipped []string // what could not be compared
}

// Pass reports whether something was compared and nothing was worse.
func (v *Verdict) Pass() bool { return v.Judged > 0 && len(v.Worse) == 0 }

// Gate compares results with a baseline, scheme by scheme over the profiles that the baseline has. A metric is worse when
// its mean over seeds exceeds the baseline's by more than the 95 % interval of the difference and by more than the rule
// allows anyway. Noisy cells are left out on both sides.
func Gate(baseline, results *Report) *Verdict {
	v := &Verdict{}
	if b, r := baseline.Settings, results.Settings; b.Seconds != r.Seconds || b.LatencyMs != r.LatencyMs || math.Abs(b.MediaBps-r.MediaBps) > b.MediaBps/20 {
		v.Worse = append(v.Worse, fmt.Sprintf("not the same run: baseline %g s, %g ms, %.2f Mbit/s; results %g s, %g ms, %.2f Mbit/s",
			b.Seconds, b.LatencyMs, b.MediaBps/1e6, r.Seconds, r.LatencyMs, r.MediaBps/1e6))
		return v
	}
	now := map[[2]string]row{}
	for _, w := range results.rows() {
		now[[2]string{w.profile, w.scheme}] = w
	}
	for _, was := range baseline.rows() {
		name := was.scheme + " over " + was.profile
		is, ok := now[[2]string{was.profile, was.scheme}]
		if !ok {
			v.Worse = append(v.Worse, name+": missing from the results")
			continue
		}
		a, b := quiet(was.cells), quiet(is.cells)
		if len(a) == 0 || len(b) == 0 {
			v.Skipped = append(v.Skipped, name+": only noisy cells")
			continue
		}
		for _, r := range rules {
			v.Judged++
			if why := r.judge(a, b); why != "" {
				v.Worse = append(v.Worse, name+": "+why)
			}
		}
	}
	return v
}

func quiet(cells []*Cell) []*Cell {
	var out []*Cell
	for _, c := range cells {
		if len(c.Noisy) == 0 {
			out = append(out, c)
		}
	}
	return out
}

// judge says how b is worse than a; "": it is not.
func (r *rule) judge(a, b []*Cell) string {
	m := metricByName(r.metric)
	was, is := m.estimate(a), m.estimate(b)
	switch {
	case is.N == 0 && was.N > 0:
		return fmt.Sprintf("%s: never, was %s", m.title, m.format(was))
	case is.N == 0 || was.N == 0:
		return ""
	}
	diff, half := worse(was, is)
	if diff > half && diff > r.absolute && diff > r.relative*math.Abs(was.Mean) {
		return fmt.Sprintf("%s: %s, was %s", m.title, m.format(is), m.format(was))
	}
	return ""
}

// Write says it in words.
func (v *Verdict) Write(w io.Writer) {
	for _, s := range v.Skipped {
		fmt.Fprintln(w, "not judged:", s)
	}
	for _, s := range v.Worse {
		fmt.Fprintln(w, "worse:", s)
	}
	switch {
	case v.Pass():
		fmt.Fprintf(w, "pass: %d comparisons, nothing worse\n", v.Judged)
	case v.Judged == 0:
		fmt.Fprintln(w, "fail: nothing could be compared")
	default:
		fmt.Fprintf(w, "fail: %d worse of %d comparisons\n", len(v.Worse), v.Judged)
	}
}
