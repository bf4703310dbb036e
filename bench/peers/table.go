package peers

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Columns says what stands in a cell of WriteTable.
const Columns = "Each cell: stall seconds per 100 s, player of 1 s / of 0.2 s · p99 of latency in ms · bytes towards the relay for each byte shown · pictures never shown in percent. " +
	"The least stall of a line is bold where not all are the same."

// WriteTable writes rows as a table in Markdown, an empty line before it and a line for each link; Columns are its cells. The bytes of who
// shows less than half are left out. Links and schemes in the order of the rows.
func WriteTable(w io.Writer, rows []Row) error {
	var links, schemes []string
	cells := map[[2]string]*Row{}
	for i := range rows {
		r := &rows[i]
		if !slices.Contains(schemes, r.Scheme) {
			schemes = append(schemes, r.Scheme)
		}
		if !slices.Contains(links, r.Link) {
			links = append(links, r.Link)
		}
		cells[[2]string{r.Link, r.Scheme}] = r
	}
	var s strings.Builder
	fmt.Fprintf(&s, "\n| link | Mbit/s | %s |\n|---|---|%s\n", strings.Join(schemes, " | "), strings.Repeat("---|", len(schemes)))
	for _, link := range links {
		least, most, media := math.MaxInt, 0, 0.0
		for _, scheme := range schemes {
			if r := cells[[2]string{link, scheme}]; r != nil {
				least, most, media = min(least, scaled(r.Stall, 10)), max(most, scaled(r.Stall, 10)), max(media, r.Media)
			}
		}
		fmt.Fprintf(&s, "| %s | %.2f |", link, media)
		for _, scheme := range schemes {
			r := cells[[2]string{link, scheme}]
			if r == nil {
				s.WriteString(" |")
				continue
			}
			stall := fmt.Sprintf("%.1f", r.Stall)
			if scaled(r.Stall, 10) == least && least < most {
				stall = "**" + stall + "**"
			}
			wire := "–"
			if r.Wire > 0 && r.Never < 0.5 {
				wire = fmt.Sprintf("%.2f", r.Wire)
			}
			fmt.Fprintf(&s, " %s / %.1f · %d · %s · %.1f |", stall, r.Stall02, max(0, r.P99).Milliseconds(), wire, 100*r.Never)
		}
		s.WriteString("\n")
	}
	_, err := io.WriteString(w, s.String())
	return err
}
