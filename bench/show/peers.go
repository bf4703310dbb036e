package show

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/fairlead-live/fairlead/bench/peers"
)

// peerRows are the rows as bench/peers takes them.
func peerRows(rows []Row) []peers.Row {
	out := make([]peers.Row, len(rows))
	for i, r := range rows {
		out[i] = peers.Row{Link: r.Profile, Scheme: r.Scheme, Stall: r.Stall1, P99: r.P99, Wire: r.Ratio, Both: r.Both, Never: r.Never}
	}
	return out
}

// tenths is a figure as it is printed.
func tenths(v float64) int { return int(math.Round(10 * v)) }

// WritePeers prints a table in Markdown, a line for each link: of each scheme stall seconds per 100 s with a player of 1 s / of 0.2 s · p99 of latency in ms ·
// bytes on the wire for each byte of pictures shown · pictures never shown, in percent. The least stall of a line is bold where not all are the same. Below it
// stands how the first scheme fares beside the others (bench/peers).
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
	if _, err := io.WriteString(w, s.String()); err != nil || len(rows) == 0 {
		return err
	}
	return peers.Write(w, rows[0].Scheme, peerRows(rows))
}
