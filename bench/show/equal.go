package show

import (
	"cmp"
	"fmt"
	"io"
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

// WriteEqual prints, for each link, each scheme's stalls where it shows as much as the first scheme does on the mean of its rows.
func WriteEqual(w io.Writer, rows []Row) error {
	type key struct{ profile, scheme, encoder string }
	var order []key
	by := map[key][]Row{}
	mean := map[string]float64{}
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
	for p, k := range first {
		for _, r := range by[k] {
			mean[p] += r.Shown / float64(len(by[k]))
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nEQUAL\tSCHEME\tENCODER\tSHOWN\tSTALL s/100 s\t0.2 s\tP50 ms\tP99")
	for _, k := range order {
		r, ok := At(by[k], mean[k.profile])
		short := ""
		if !ok {
			short = " (less)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.2f%s\t%.1f\t%.1f\t%d\t%d\n", k.profile, k.scheme, k.encoder, r.Shown, short, r.Stall1, r.Stall02, r.P50.Milliseconds(), r.P99.Milliseconds())
	}
	return t.Flush()
}
