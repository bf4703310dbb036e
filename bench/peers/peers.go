// Package peers holds one scheme of a comparison beside the others, link by link, in the same words for models (bench/show) and for whole
// programs (bench/report): a table with a line for each link, on how many links it stalls less, and, in one sentence a link, in what another one wins.
//
// Two figures are the same when they are printed the same: a tenth of a stalled second per 100 s, a hundredth of a byte on the wire for each
// byte shown, a tenth of a percent of the pictures. Latency is when it differs by at most 5 ms, as for bench/report's gate at the median.
//
// Left to others: the figures, and tables of all of them.
package peers

import (
	"fmt"
	"io"
	"iter"
	"math"
	"strings"
	"time"
)

// unseen is a difference of latency that counts as none.
const unseen = 5 * time.Millisecond

// Row is what one scheme came to on one link.
type Row struct {
	Link, Scheme   string
	Media          float64       // Mbit/s that its encoder made
	Stall, Stall02 float64       // s per 100 s, players of 1 s and of 0.2 s; the first one judges
	P99            time.Duration // of latency; 0 or less: nothing came
	Wire, Both     float64       // bytes towards the relay, and both ways, for each byte shown; 0: nothing was
	Never          float64       // share of the pictures that could never be shown
}

// Peer is how a scheme fares beside another one, over all links.
type Peer struct {
	Scheme           string
	Less, Same, More int      // links on which ours stalls so
	Lost             []string // those on which it stalls more
	HalfP99          int      // links on which its 99th percentile of latency is at most half of the other's
	NoMoreWire       int      // links on which it puts no more bytes on the wire towards the relay for each byte shown
	NoMoreBoth       int      // and with those that come back
}

// Beside counts on which links the scheme ours stalls less, judged by the player of 1 s. Others in the rows' order; one row for each scheme and link.
func Beside(ours string, rows []Row) (out []Peer) {
	at := map[string]int{}
	for f, r := range pairs(ours, rows) {
		n, ok := at[r.Scheme]
		if !ok {
			n = len(out)
			at[r.Scheme] = n
			out = append(out, Peer{Scheme: r.Scheme})
		}
		p := &out[n]
		switch a, b := scaled(f.Stall, 10), scaled(r.Stall, 10); {
		case a < b:
			p.Less++
		case a == b:
			p.Same++
		default:
			p.More++
			p.Lost = append(p.Lost, fmt.Sprintf("%s %.1f against %.1f", r.Link, f.Stall, r.Stall))
		}
		if f.P99 > 0 && (r.P99 <= 0 || 2*f.P99 <= r.P99) {
			p.HalfP99++
		}
		if noMore(f.Wire, r.Wire) {
			p.NoMoreWire++
		}
		if noMore(f.Both, r.Both) {
			p.NoMoreBoth++
		}
	}
	return out
}

// Wins says in one sentence for each link in what which other scheme wins, in the rows' order; a link on which none does has no sentence.
func Wins(ours string, rows []Row) (out []string) {
	at := map[string]int{}
	for f, r := range pairs(ours, rows) {
		won := r.over(f)
		if won == "" {
			continue
		}
		n, ok := at[r.Link]
		if !ok {
			n = len(out)
			at[r.Link] = n
			out = append(out, fmt.Sprintf("On %s, beside %s, ", r.Link, ours))
		} else {
			out[n] += "; "
		}
		out[n] += r.Scheme + " wins in " + won
	}
	for i := range out {
		out[i] += "."
	}
	return out
}

// Write writes both, a line each, with an empty one before.
func Write(w io.Writer, ours string, rows []Row) error {
	var s strings.Builder
	for _, p := range Beside(ours, rows) {
		fmt.Fprintf(&s, "\n%s beside %s: stalls less on %s, the same on %d, more on %d", ours, p.Scheme, count(p.Less), p.Same, p.More)
		if p.More > 0 {
			fmt.Fprintf(&s, " (%s)", strings.Join(p.Lost, ", "))
		}
		fmt.Fprintf(&s, "; half of the p99 or less on %d; no more bytes on %d, counted both ways on %d.\n", p.HalfP99, p.NoMoreWire, p.NoMoreBoth)
	}
	for _, l := range Wins(ours, rows) {
		s.WriteString("\n" + l + "\n")
	}
	_, err := io.WriteString(w, s.String())
	return err
}

func count(n int) string {
	if n == 1 {
		return "1 link"
	}
	return fmt.Sprintf("%d links", n)
}

// pairs are the row of the scheme ours and each other one's on the same link, in the rows' order. The last row of ours on a link counts.
func pairs(ours string, rows []Row) iter.Seq2[*Row, *Row] {
	mine := map[string]*Row{}
	for i := range rows {
		if rows[i].Scheme == ours {
			mine[rows[i].Link] = &rows[i]
		}
	}
	return func(yield func(mine, other *Row) bool) {
		for i := range rows {
			f, r := mine[rows[i].Link], &rows[i]
			if f != nil && r.Scheme != ours && !yield(f, r) {
				return
			}
		}
	}
}

// over is in what r wins over f, with both figures; "": in nothing.
func (r *Row) over(f *Row) string {
	var won []string
	if scaled(r.Stall, 10) < scaled(f.Stall, 10) {
		won = append(won, fmt.Sprintf("stalls (%.1f against %.1f s per 100 s)", r.Stall, f.Stall))
	}
	if scaled(r.Never, 1000) < scaled(f.Never, 1000) {
		won = append(won, fmt.Sprintf("pictures never shown (%.1f against %.1f %%)", 100*r.Never, 100*f.Never))
	}
	if r.P99 > 0 && (f.P99 <= 0 || f.P99-r.P99 > unseen) {
		won = append(won, fmt.Sprintf("p99 (%d against %d ms)", r.P99.Milliseconds(), f.P99.Milliseconds()))
	}
	if r.Wire > 0 && !noMore(f.Wire, r.Wire) {
		won = append(won, fmt.Sprintf("bytes (%.2f against %.2f)", r.Wire, f.Wire))
	}
	if r.Both > 0 && !noMore(f.Both, r.Both) {
		won = append(won, fmt.Sprintf("bytes both ways (%.2f against %.2f)", r.Both, f.Both))
	}
	if len(won) == 0 {
		return ""
	}
	s := strings.Join(won, ", ")
	if scaled(r.Never, 1000) > scaled(f.Never, 1000) {
		s += fmt.Sprintf(", showing %.1f %% of the pictures", 100*(1-r.Never))
	}
	return s
}

// scaled is a figure as it is printed.
func scaled(v, by float64) int { return int(math.Round(by * v)) }

// noMore: a is there and not above b, to the percent that is printed; b 0 is a scheme that showed nothing for its bytes.
func noMore(a, b float64) bool { return a > 0 && (b == 0 || scaled(a, 100) <= scaled(b, 100)) }
