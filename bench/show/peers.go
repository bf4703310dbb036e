package show

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// Peer is how the first scheme of a table fares beside another one, over all links.
type Peer struct {
	Scheme           string
	Less, Same, More int      // links on which the first one stalls so, to the tenth of a second per 100 s that is printed
	Lost             []string // those on which it stalls more
	HalfP99          int      // links on which its 99th percentile of latency is at most half of the other's
	NoMoreWire       int      // links on which it puts no more bytes on the wire for each byte shown, to the percent that is printed
}

// tenths is a figure as it is printed.
func tenths(v float64) int { return int(math.Round(10 * v)) }

// Peers counts on which links the scheme of the first row stalls less, judged by the player of 1 s. Links and schemes in the rows' order, one row for each.
func Peers(rows []Row) (out []Peer) {
	if len(rows) == 0 {
		return nil
	}
	ours := map[string]*Row{}
	at := map[string]int{}
	for i := range rows {
		if rows[i].Scheme == rows[0].Scheme {
			ours[rows[i].Profile] = &rows[i]
		}
	}
	for i := range rows {
		r := &rows[i]
		f := ours[r.Profile]
		if f == nil || f.Scheme == r.Scheme {
			continue
		}
		n, ok := at[r.Scheme]
		if !ok {
			n = len(out)
			at[r.Scheme] = n
			out = append(out, Peer{Scheme: r.Scheme})
		}
		p := &out[n]
		switch a, b := tenths(f.Stall1), tenths(r.Stall1); {
		case a < b:
			p.Less++
		case a == b:
			p.Same++
		default:
			p.More++
			p.Lost = append(p.Lost, fmt.Sprintf("%s %.1f against %.1f", r.Profile, f.Stall1, r.Stall1))
		}
		if 2*f.P99 <= r.P99 {
			p.HalfP99++
		}
		if f.Ratio > 0 && (r.Ratio == 0 || math.Round(100*f.Ratio) <= math.Round(100*r.Ratio)) {
			p.NoMoreWire++
		}
	}
	return out
}

// WritePeers prints a table in Markdown, a line for each link: of each scheme stall seconds per 100 s with a player of 1 s / of 0.2 s · p99 of latency in ms ·
// bytes on the wire for each byte of pictures shown · pictures never shown, in percent. The least stall of a line is bold where not all are the same.
func WritePeers(w io.Writer, rows []Row) error {
	var s strings.Builder
	var links, schemes []string
	cells := map[[2]string]*Row{}
	for i := range rows {
		r := &rows[i]
		if cells[[2]string{rows[0].Profile, r.Scheme}] == nil && r.Profile == rows[0].Profile {
			schemes = append(schemes, r.Scheme)
		}
		if len(links) == 0 || links[len(links)-1] != r.Profile {
			links = append(links, r.Profile)
		}
		cells[[2]string{r.Profile, r.Scheme}] = r
	}
	fmt.Fprintf(&s, "\n| link | Mbit/s | %s |\n|---|---|%s\n", strings.Join(schemes, " | "), strings.Repeat("---|", len(schemes)))
	for _, link := range links {
		least, most := math.MaxInt, 0
		for _, scheme := range schemes {
			if r := cells[[2]string{link, scheme}]; r != nil {
				least, most = min(least, tenths(r.Stall1)), max(most, tenths(r.Stall1))
			}
		}
		for i, scheme := range schemes {
			r := cells[[2]string{link, scheme}]
			if r == nil {
				s.WriteString(" |")
				continue
			}
			if i == 0 {
				fmt.Fprintf(&s, "| %s | %.2f |", link, r.Made)
			}
			stall := fmt.Sprintf("%.1f", r.Stall1)
			if tenths(r.Stall1) == least && least < most {
				stall = "**" + stall + "**"
			}
			wire := "–"
			if r.Ratio > 0 && r.Never < 0.5 {
				wire = fmt.Sprintf("%.2f", r.Ratio)
			}
			fmt.Fprintf(&s, " %s / %.1f · %d · %s · %.1f |", stall, r.Stall02, r.P99.Milliseconds(), wire, 100*r.Never)
		}
		s.WriteString("\n")
	}
	for _, p := range Peers(rows) {
		fmt.Fprintf(&s, "\n%s beside %s: stalls less on %d links, the same on %d, more on %d", rows[0].Scheme, p.Scheme, p.Less, p.Same, p.More)
		if p.More > 0 {
			fmt.Fprintf(&s, " (%s)", strings.Join(p.Lost, ", "))
		}
		fmt.Fprintf(&s, "; half of the p99 or less on %d, no more bytes on %d.\n", p.HalfP99, p.NoMoreWire)
	}
	_, err := io.WriteString(w, s.String())
	return err
}
