package report

import (
	"fmt"
	"math"

	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// metric is one number of a cell.
type metric struct {
	name  string // in CSV
	title string // in tables
	never bool   // −1 means never
	of    func(c *Cell) float64
	text  func(v float64) string
}

func player(c *Cell, buffer float64) stutter.PlayerSummary {
	for _, p := range c.Score.Players {
		if p.BufferMs == buffer {
			return p
		}
	}
	return stutter.PlayerSummary{}
}

func places(n int) func(float64) string {
	return func(v float64) string { return fmt.Sprintf("%.*f", n, v) }
}

// metrics in the order of tables. The stall seconds of the 1 s player are the headline.
var metrics = []metric{
	{"stall_s_per_100s_b1000", "stall s/100 s (1 s)", false, func(c *Cell) float64 { return player(c, 1000).StallSecPer100s }, places(1)},
	{"stall_s_per_100s_b200", "stall s/100 s (0.2 s)", false, func(c *Cell) float64 { return player(c, 200).StallSecPer100s }, places(1)},
	{"stall_s_per_100s_b3000", "stall s/100 s (3 s)", false, func(c *Cell) float64 { return player(c, 3000).StallSecPer100s }, places(1)},
	{"stalls_per_100s_b1000", "stalls/100 s (1 s)", false, func(c *Cell) float64 { return player(c, 1000).StallsPer100s }, places(1)},
	{"longest_stall_ms_b1000", "longest ms (1 s)", false, func(c *Cell) float64 { return player(c, 1000).LongestStallMs }, places(0)},
	{"never_decodable_percent", "never shown %", false, func(c *Cell) float64 { return c.Score.NeverPercent }, places(2)},
	{"latency_p50_ms", "latency p50 ms", true, func(c *Cell) float64 { return c.Score.LatencyP50 }, places(0)},
	{"latency_p95_ms", "p95", true, func(c *Cell) float64 { return c.Score.LatencyP95 }, places(0)},
	{"latency_p99_ms", "p99", true, func(c *Cell) float64 { return c.Score.LatencyP99 }, places(0)},
	{"d999_ms", "d999 ms", true, func(c *Cell) float64 { return c.Score.D999 }, places(0)},
	{"start_up_ms_b200", "start-up ms (0.2 s)", false, func(c *Cell) float64 { return player(c, 200).StartUpMs }, places(0)},
	{"media_mbps", "Mbit/s", false, func(c *Cell) float64 { return c.Score.MediaBps / 1e6 }, places(2)},
	{"wire_per_media", "wire/media", false, func(c *Cell) float64 { return c.Score.WireRatio }, places(2)},
	{"both_ways_per_media", "both ways", false, func(c *Cell) float64 { return c.Both }, places(2)},
}

func metricByName(name string) metric {
	for _, m := range metrics {
		if m.name == name {
			return m
		}
	}
	panic("report: no metric " + name) // a name in this package
}

// judged are the cells that count: the quiet ones, or all where none is.
func (w *row) judged() []*Cell {
	if q := quiet(w.cells); len(q) > 0 {
		return q
	}
	return w.cells
}

// estimate of a metric over cells.
func (m *metric) estimate(cells []*Cell) Estimate {
	values := make([]float64, len(cells))
	for i, c := range cells {
		values[i] = m.of(c)
	}
	return estimate(values, m.never)
}

// format shows an estimate for a person: 12.3 ±4.5, or how often it was never.
func (m *metric) format(e Estimate) string {
	if e.N == 0 {
		return "never"
	}
	s := m.text(e.Mean)
	if !math.IsNaN(e.Half) && m.text(e.Half) != m.text(0) {
		s += " ±" + m.text(e.Half)
	}
	if e.Never > 0 {
		s += fmt.Sprintf(" (never %d/%d)", e.Never, e.N+e.Never)
	}
	return s
}

// row is one scheme over one profile, all seeds.
type row struct {
	profile, scheme string
	cells           []*Cell
}

// rows groups the cells in their order.
func (r *Report) rows() []row {
	var out []row
	at := map[[2]string]int{}
	for _, p := range r.Profiles {
		for _, s := range r.Schemes {
			at[[2]string{p.Name, s.Name}] = len(out)
			out = append(out, row{profile: p.Name, scheme: s.Name})
		}
	}
	for i := range r.Cells {
		c := &r.Cells[i]
		k := [2]string{c.Profile, c.Scheme}
		j, ok := at[k]
		if !ok {
			j = len(out)
			at[k] = j
			out = append(out, row{profile: c.Profile, scheme: c.Scheme})
		}
		out[j].cells = append(out[j].cells, c)
	}
	kept := out[:0]
	for _, w := range out {
		if len(w.cells) > 0 {
			kept = append(kept, w)
		}
	}
	return kept
}

// marks says what a reader must know of a row: noisy cells and failures.
func (w *row) marks() string {
	noisy, failed := 0, 0
	for _, c := range w.cells {
		if len(c.Noisy) > 0 {
			noisy++
		}
		if c.Error != "" {
			failed++
		}
	}
	s := ""
	switch {
	case noisy == len(w.cells):
		s = "noisy"
	case noisy > 0:
		s = fmt.Sprintf("%d noisy left out", noisy)
	}
	if failed > 0 {
		if s != "" {
			s += ", "
		}
		s += fmt.Sprintf("failed %d/%d", failed, len(w.cells))
	}
	return s
}
