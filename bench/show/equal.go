package show

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"
)

// At is what a scheme's rows, of several encoder rates on one link, come to where it shows so many Mbit/s of pictures: between the two
// rows next to it. Where it never shows so much the second result is false, and the stalls are those of the row that
// shows most; where it always shows more, those of the row that shows least.
func At(rows []Row, shown float64) (Row, bool) {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.Shown, b.Shown) })
	last := rows[len(rows)-1]
	if shown >= last.Shown {
		return last, shown <= last.Shown*1.02
	}
	for i := range rows {
		b := rows[i]
		if b.Shown < shown {
			continue
		}
		if i == 0 {
			return b, true
		}
		a := rows[i-1]
		part := (shown - a.Shown) / (b.Shown - a.Shown)
		b.Shown = shown
		b.Stall1 = a.Stall1 + part*(b.Stall1-a.Stall1)
		b.Stall02 = a.Stall02 + part*(b.Stall02-a.Stall02)
		b.P99 = a.P99 + time.Duration(part*float64(b.P99-a.P99))
		b.P50 = a.P50 + time.Duration(part*float64(b.P50-a.P50))
		return b, true
	}
	return last, false
}

// Equal is two schemes where they show the same bitrate of pictures.
type Equal struct {
	First, Other Row
}

// Equals compares, for each link, each scheme with the first one: at what the first one shows on the mean of its rows, or, where the other never
// shows so much, at the most that it shows.
func Equals(rows []Row) (out []Equal) {
	type key struct{ profile, scheme, encoder string }
	var order []key
	by := map[key][]Row{}
	first := map[string]key{}
	for _, r := range rows {
		k := key{r.Profile, r.Scheme, r.Encoder}
		if by[k] == nil {
			order = append(order, k)
		}
		by[k] = append(by[k], r)
		if _, ok := first[r.Profile]; !ok {
			first[r.Profile] = k
		}
	}
	for _, k := range order {
		ours, mean := by[first[k.profile]], 0.0
		for _, r := range ours {
			mean += r.Shown / float64(len(ours))
		}
		var e Equal
		e.Other, _ = At(by[k], mean)
		e.First, _ = At(ours, min(mean, e.Other.Shown))
		out = append(out, e)
	}
	return out
}

// Verdict says which one stalls less, to the tenth of a second that is printed.
func (e *Equal) Verdict() string {
	switch d := math.Round(10*e.First.Stall1) - math.Round(10*e.Other.Stall1); {
	case d < 0:
		return "less"
	case d > 0:
		return "more"
	}
	return "the same"
}

// WriteEqual prints Equals: SHOWN and what follows of each scheme, and the first one's stalls at that bitrate.
func WriteEqual(w io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nEQUAL\tSCHEME\tENCODER\tSHOWN\tSTALL s/100 s\t0.2 s\tP50 ms\tP99\tTHE FIRST: SHOWN\tSTALL s/100 s\tSTALLS")
	for _, e := range Equals(rows) {
		r, f := &e.Other, &e.First
		fmt.Fprintf(t, "%s\t%s\t%s\t%.2f\t%.1f\t%.1f\t%d\t%d\t", r.Profile, r.Scheme, r.Encoder, r.Shown, r.Stall1, r.Stall02, r.P50.Milliseconds(), r.P99.Milliseconds())
		if f.Scheme == r.Scheme && f.Encoder == r.Encoder {
			fmt.Fprintln(t, "\t\t")
			continue
		}
		fmt.Fprintf(t, "%.2f\t%.1f\t%s\n", f.Shown, f.Stall1, e.Verdict())
	}
	return t.Flush()
}
