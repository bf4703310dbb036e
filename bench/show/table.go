package show

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fairlead-live/fairlead/bench/bound"
)

// Row is what the seeds of one scenario came to: means.
type Row struct {
	Profile, Scheme, Encoder string
	Seeds                    int
	Stall02, Stall1          float64 // s per 100 s, players of 0.2 and 1 s
	Longest                  time.Duration
	Never                    float64 // share of the pictures
	P50, P99                 time.Duration
	Made, Shown, Wire        float64 // Mbit/s
	Ratio                    float64 // wire ÷ media that could be shown
	Both                     float64 // and with what came back
	Limit                    bound.Limit
	Sound, Whole             float64    // shares
	Drops                    [4]float64 // a run: droppable, reference, key, audio
	Told                     float64
	Faults                   []string
}

// Summary makes a row of runs, at least one.
func Summary(profile string, sc *Scenario, runs []Result) Row {
	r := Row{Profile: profile, Scheme: sc.Scheme.Name, Encoder: sc.Encoder.Kind.String(), Seeds: len(runs)}
	n := float64(len(runs))
	for i := range runs {
		s := &runs[i]
		for j, to := range []*float64{&r.Stall02, &r.Stall1} {
			if j < len(s.Score.Players) {
				p := &s.Score.Players[j]
				*to += p.StallSecondsPer100() / n
				r.Longest = max(r.Longest, p.Longest)
			}
		}
		r.Never += s.Score.NeverShare / n
		r.P50 += max(0, s.Score.LatencyP50) / time.Duration(len(runs))
		r.P99 += max(0, s.Score.LatencyP99) / time.Duration(len(runs))
		r.Made += s.Made / 1e6 / n
		r.Shown += s.Shown / 1e6 / n
		r.Wire += s.Wire / 1e6 / n
		r.Both += (s.Wire + s.Back) / 1e6 / n
		r.Sound += s.Sound / n
		r.Whole += s.Whole / n
		r.Told += float64(s.Told) / n
		for k, v := range [4]int{s.Drops.Droppable, s.Drops.Reference, s.Drops.Key, s.Drops.Audio} {
			r.Drops[k] += float64(v) / n
		}
		for _, f := range s.Faults {
			r.Faults = append(r.Faults, fmt.Sprintf("seed %d: %s", s.Seed, f))
		}
	}
	if r.Shown > 0 {
		r.Ratio, r.Both = r.Wire/r.Shown, r.Both/r.Shown
	}
	return r
}

// String is one run in a line: of the player of the longest buffer when the picture stood, from the start of the stream on, and for how long.
func (r *Result) String() string {
	if len(r.Score.Players) == 0 {
		return "nothing scored"
	}
	p := &r.Score.Players[len(r.Score.Players)-1]
	var s strings.Builder
	fmt.Fprintf(&s, "%.2f Mbit/s shown, %.2f s stalled, start after %.2f s", r.Shown/1e6, p.StallTime.Seconds(), p.StartUp.Seconds())
	for _, k := range p.Kept {
		fmt.Fprintf(&s, ", %.2f s at %.2f", k.Length.Seconds(), k.From.Seconds())
	}
	return s.String()
}

// WriteTable prints rows as a table for a terminal, and faults below it.
func WriteTable(w io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PROFILE\tSCHEME\tENCODER\tSEEDS\tSTALL s/100 s\t0.2 s\tLONGEST\tNEVER\tMADE Mbit/s\tSHOWN\tWIRE\tWIRE/SHOWN\tBOTH WAYS\tLIMIT\tABOVE\tP50 ms\tP99\tWHOLE\tSOUND\tDROPPED d/r/k/a")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%.1f\t%.1f\t%.1fs\t%.1f%%\t%.2f\t%.2f\t%.2f\t%.3f\t%.3f\t%s\t%s\t%d\t%d\t%.3f%%\t%.1f%%\t%.0f/%.0f/%.0f/%.0f\n",
			r.Profile, r.Scheme, r.Encoder, r.Seeds, r.Stall1, r.Stall02, r.Longest.Seconds(), 100*r.Never, r.Made, r.Shown, r.Wire, r.Ratio, r.Both, r.Limit, r.above(),
			r.P50.Milliseconds(), r.P99.Milliseconds(), 100*r.Whole, 100*r.Sound, r.Drops[0], r.Drops[1], r.Drops[2], r.Drops[3])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	said := map[string]bool{}
	for _, r := range rows {
		if why := r.Profile + ": " + r.Limit.Why; r.Limit.Why != "" && !said[why] {
			said[why] = true
			fmt.Fprintf(w, "no limit known for %s\n", why)
		}
	}
	for _, r := range rows {
		for _, f := range r.Faults {
			fmt.Fprintf(w, "fault: %s %s: %s\n", r.Profile, r.Scheme, f)
		}
	}
	return nil
}

// above is the distance to the limit.
func (r *Row) above() string {
	if !r.Limit.Known() || r.Ratio == 0 {
		return "–"
	}
	return fmt.Sprintf("%+.2f", r.Limit.Above(r.Ratio))
}
