package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fairlead-live/fairlead/bench/bound"
	"github.com/fairlead-live/fairlead/bench/peers"
)

// tableMetrics are the columns of the short tables.
var tableMetrics = []string{
	"stall_s_per_100s_b1000", "stall_s_per_100s_b200", "longest_stall_ms_b1000", "never_decodable_percent",
	"latency_p50_ms", "latency_p99_ms", "d999_ms", "start_up_ms_b200", "media_mbps", "wire_per_media", "both_ways_per_media",
}

// WriteTable writes the summary for a terminal.
func (r *Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := tableHead()
	fmt.Fprintln(t, strings.Join(head, "\t"))
	for _, l := range r.tableRows() {
		fmt.Fprintln(t, strings.Join(l, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "skipped %s: %s\n", s.Scheme, s.Why)
	}
	_, err := io.WriteString(w, r.noLimits()+r.verdict())
	return err
}

// tableHead is the head of the table, but for the marks.
func tableHead() []string {
	head := []string{"profile", "scheme", "seeds"}
	for _, n := range tableMetrics {
		head = append(head, metricByName(n).title)
	}
	return append(head, "limit", "above")
}

// distance is the limit of the row's profile and how much more the row has sent.
func (r *Report) distance(w *row) (limit, above string) {
	m := metricByName("wire_per_media")
	for _, p := range r.Profiles {
		if p.Name != w.profile || p.Limit == 0 {
			continue
		}
		l := bound.Limit{Wire: p.Limit}
		if e := m.estimate(w.judged()); e.N > 0 && e.Mean > 0 {
			return l.String(), fmt.Sprintf("%+.2f", l.Above(e.Mean))
		}
		return l.String(), "–"
	}
	return "–", "–"
}

// noLimits says why the profiles without a limit have none.
func (r *Report) noLimits() string {
	var b strings.Builder
	for _, p := range r.Profiles {
		if p.NoLimit != "" {
			fmt.Fprintf(&b, "No limit known for %s: %s.\n", p.Name, p.NoLimit)
		}
	}
	return b.String()
}

// WriteMarkdown writes the same table for a document, and below it how it was made.
func (r *Report) WriteMarkdown(w io.Writer) error {
	head := tableHead()
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)+1))
	for _, l := range r.tableRows() {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(l, " | "))
	}
	if rows := r.peers(); len(rows) > 0 {
		b.WriteString("\nThe same, a line for each link. " + peers.Columns + "\n")
		_ = peers.WriteTable(&b, rows) // a Builder takes everything
	}
	b.WriteString(r.verdict())
	fmt.Fprintf(&b, "\nMade %s by\n\n    %s\n\n", r.Made.Format(time.DateOnly+" 15:04 UTC"), strings.Join(r.Command, " "))
	_, err := io.WriteString(w, b.String()+r.provenance())
	return err
}

// tableRows are the cells of the table as text: profile, scheme, seeds, the metrics, marks.
func (r *Report) tableRows() [][]string {
	var out [][]string
	for _, row := range r.rows() {
		l := []string{row.profile, row.scheme, fmt.Sprint(len(row.judged()))}
		for _, n := range tableMetrics {
			m := metricByName(n)
			l = append(l, m.format(m.estimate(row.judged())))
		}
		limit, above := r.distance(&row)
		out = append(out, append(l, limit, above, row.marks()))
	}
	return out
}

// provenance is one paragraph on what the run was made with.
func (r *Report) provenance() string {
	s := r.Settings
	var b strings.Builder
	fmt.Fprintf(&b, "%g s of media a cell at %.2f Mbit/s, latency budget %g ms, seeds %v, %d at a time. Clip: %s.\n",
		s.Seconds, s.MediaBps/1e6, s.LatencyMs, s.Seeds, s.Parallel, s.Clip)
	fmt.Fprintf(&b, "%s, %s, %d cores, %s, fairlead %s", r.Host.Kernel, r.Host.CPU, r.Host.Cores, r.Host.Go, r.Host.Fairlead)
	for _, p := range sortedKeys(r.Host.Programs) {
		fmt.Fprintf(&b, ", %s %s", p, r.Host.Programs[p])
	}
	b.WriteString(".\n")
	if r.Partial {
		b.WriteString("Partial: the run was interrupted.\n")
	}
	b.WriteString(r.noLimits())
	return b.String()
}

// Line is a finished cell for a terminal.
func (c *Cell) Line() string {
	p := player(c, 1000)
	stall := fmt.Sprintf("stalled %.1f s per 100 s (%d stalls)", p.StallSecPer100s, p.Stalls)
	if !p.Started {
		stall = "never started"
	}
	s := fmt.Sprintf("%-16s %-12s seed %d  %s  latency p50 %.0f p99 %.0f ms  never shown %.2f %%",
		c.Profile, c.Scheme, c.Seed, stall, c.Score.LatencyP50, c.Score.LatencyP99, c.Score.NeverPercent)
	if len(c.Noisy) > 0 {
		s += "  noisy"
	}
	if c.Error != "" {
		s += "  failed: " + c.Error
	}
	return s
}
