package report

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/palette"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Colours, readable on white and for most people with a colour-vision deficiency (Okabe and Ito's set).
var (
	blue      = color.NRGBA{0, 114, 178, 255}
	orange    = color.NRGBA{230, 159, 0, 255}
	vermilion = color.NRGBA{213, 94, 0, 255}
	grey      = color.NRGBA{150, 150, 150, 255}
	stallRed  = color.NRGBA{213, 94, 0, 90}
)

func newPlot() *plot.Plot {
	p := plot.New()
	sans := font.Font{Typeface: "Liberation", Variant: "Sans"}
	p.Title.TextStyle.Font = font.From(sans, 11)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font = font.From(sans, 9)
		a.Tick.Label.Font = font.From(sans, 8)
	}
	p.Legend.TextStyle.Font = font.From(sans, 8)
	p.Legend.Top = true
	return p
}

// padded leaves room for labels that reach over their axis.
func padded(c *vgsvg.Canvas) draw.Canvas {
	return draw.Crop(draw.New(c), vg.Points(6), -vg.Points(12), vg.Points(3), -vg.Points(3))
}

// svg makes a drawing that stands in a page: no XML header, and fonts that every system has.
func svg(c *vgsvg.Canvas) (template.HTML, error) {
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return "", err
	}
	s := b.String()
	if i := strings.Index(s, "<svg"); i > 0 {
		s = s[i:]
	}
	s = strings.ReplaceAll(s, "font-family:Liberation Sans", "font-family:Liberation Sans,Arial,Helvetica,sans-serif")
	return template.HTML(s), nil //nolint:gosec // made by the plotting library of numbers and of names it escapes
}

// steps draws values as they hold over each step; −1 leaves a hole.
func steps(p *plot.Plot, name string, values []float64, seconds, scale float64, c color.Color) error {
	var xys plotter.XYs
	add := func() error {
		if len(xys) == 0 {
			return nil
		}
		l, err := plotter.NewLine(xys)
		if err != nil {
			return err
		}
		l.Color, l.Width, l.StepStyle = c, vg.Points(0.8), plotter.PostStep
		p.Add(l)
		if name != "" {
			p.Legend.Add(name, l)
			name = ""
		}
		xys = nil
		return nil
	}
	for i, v := range values {
		if v < 0 {
			if err := add(); err != nil {
				return err
			}
			continue
		}
		from, to := float64(i)*seconds, float64(i+1)*seconds
		if n := len(xys); n > 0 && xys[n-1].Y == v*scale {
			xys[n-1].X = to // as before: one line further
			continue
		}
		xys = append(xys, plotter.XY{X: from, Y: v * scale}, plotter.XY{X: to, Y: v * scale})
	}
	return add()
}

// timeline draws a cell's rows one above the other, on one time axis.
func (c *Cell) timeline() (template.HTML, error) {
	t := c.Timeline
	step := t.StepMs / 1000
	end := float64(len(t.SentBps)) * step
	bits, delay, stall, lost := newPlot(), newPlot(), newPlot(), newPlot()
	for _, p := range []*plot.Plot{bits, delay, stall, lost} {
		p.X.Min, p.X.Max = 0, end
		p.Add(plotter.NewGrid())
	}
	bits.Y.Label.Text = "Mbit/s"
	if err := steps(bits, "capacity", capped(t.CapacityBps, 4*maxOf(t.SentBps)), step, 1e-6, grey); err != nil {
		return "", err
	}
	if err := steps(bits, "sent", t.SentBps, step, 1e-6, blue); err != nil {
		return "", err
	}
	if err := steps(bits, "media out", t.ArrivedBps, step, 1e-6, orange); err != nil {
		return "", err
	}
	delay.Y.Label.Text = "latency ms"
	if err := steps(delay, "", t.LatencyMs, step, 1, blue); err != nil {
		return "", err
	}
	lost.Y.Label.Text, lost.X.Label.Text = "lost packets", "seconds"
	if err := steps(lost, "", t.Lost, step, 1, vermilion); err != nil {
		return "", err
	}
	stall.Y.Label.Text = "stalls by buffer"
	if err := c.stallBars(stall, end); err != nil {
		return "", err
	}
	for _, p := range []*plot.Plot{bits, delay, lost} {
		p.Y.Min = 0
		if p.Y.Max <= 0 || math.IsInf(p.Y.Max, 0) {
			p.Y.Max = 1
		}
	}
	canvas := vgsvg.NewWith(vgsvg.UseWH(9*vg.Inch, 5.2*vg.Inch))
	rows := [][]*plot.Plot{{bits}, {delay}, {stall}, {lost}}
	for i, cv := range plot.Align(rows, draw.Tiles{Rows: 4, Cols: 1, PadY: vg.Points(4)}, padded(canvas)) {
		rows[i][0].Draw(cv[0])
	}
	return svg(canvas)
}

// stallBars draws each player's stalls as bars on a line of their own.
func (c *Cell) stallBars(p *plot.Plot, end float64) error {
	n := len(c.Score.Players)
	p.Y.Min, p.Y.Max = 0, float64(max(n, 1))
	var ticks []plot.Tick
	for i, s := range c.Score.Players {
		y := float64(n - 1 - i)
		ticks = append(ticks, plot.Tick{Value: y + 0.5, Label: fmt.Sprintf("%g s", s.BufferMs/1000)})
		for _, k := range s.StallList {
			from, to := max(0, k[0]), min(k[0]+k[1], end)
			if to <= from {
				continue
			}
			bar, err := plotter.NewPolygon(plotter.XYs{{X: from, Y: y + 0.15}, {X: to, Y: y + 0.15}, {X: to, Y: y + 0.85}, {X: from, Y: y + 0.85}})
			if err != nil {
				return err
			}
			bar.Color, bar.LineStyle.Width = stallRed, 0
			p.Add(bar)
		}
	}
	p.Y.Tick.Marker = plot.ConstantTicks(ticks)
	return nil
}

func maxOf(v []float64) float64 {
	m := 0.0
	for _, x := range v {
		m = max(m, x)
	}
	return m
}

// capped keeps a link that is much faster than the stream from flattening the picture.
func capped(v []float64, top float64) []float64 {
	out := make([]float64, len(v))
	for i := range v {
		out[i] = v[i]
		if top > 0 {
			out[i] = min(v[i], top)
		}
	}
	return out
}

// heat is a grid of scheme × profile.
type heat struct {
	cols, rows int
	z          []float64
}

func (h *heat) Dims() (c, r int)   { return h.cols, h.rows }
func (h *heat) Z(c, r int) float64 { return h.z[r*h.cols+c] }
func (h *heat) X(c int) float64    { return float64(c) }
func (h *heat) Y(r int) float64    { return float64(r) }

// heatMap draws a metric over all schemes and profiles, the value in each field; colours stop at top.
func (r *Report) heatMap(name string, top float64) (template.HTML, error) {
	m := metricByName(name)
	rows := r.rows()
	at := map[[2]string]row{}
	for _, w := range rows {
		at[[2]string{w.profile, w.scheme}] = w
	}
	h := &heat{cols: len(r.Profiles), rows: len(r.Schemes)}
	var xys plotter.XYs
	var words []string
	for i := len(r.Schemes) - 1; i >= 0; i-- { // the first scheme on top
		for j, p := range r.Profiles {
			v, word := math.NaN(), ""
			if w, ok := at[[2]string{p.Name, r.Schemes[i].Name}]; ok {
				e := m.estimate(w.judged())
				if v, word = min(e.Mean, top), m.text(e.Mean); e.N == 0 {
					v, word = top, "never"
				}
			}
			h.z = append(h.z, v)
			xys = append(xys, plotter.XY{X: float64(j), Y: float64(len(r.Schemes) - 1 - i)})
			words = append(words, word)
		}
	}
	p := newPlot()
	p.Title.Text = m.title
	hm := plotter.NewHeatMap(h, shades(32))
	hm.Min, hm.Max = 0, top
	hm.NaN = color.White
	p.Add(hm)
	labels, err := plotter.NewLabels(plotter.XYLabels{XYs: xys, Labels: words})
	if err != nil {
		return "", err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i].XAlign, labels.TextStyle[i].YAlign = text.XCenter, text.YCenter
		labels.TextStyle[i].Font = font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, 9)
	}
	p.Add(labels)
	var xs, ys []plot.Tick
	for j, l := range r.Profiles {
		xs = append(xs, plot.Tick{Value: float64(j), Label: l.Name})
	}
	for i, s := range r.Schemes {
		ys = append(ys, plot.Tick{Value: float64(len(r.Schemes) - 1 - i), Label: s.Name})
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.ConstantTicks(xs), plot.ConstantTicks(ys)
	canvas := vgsvg.NewWith(vgsvg.UseWH(vg.Length(2+len(r.Profiles))*vg.Inch, vg.Length(len(r.Schemes)+3)*0.35*vg.Inch))
	p.Draw(padded(canvas))
	return svg(canvas)
}

// shades go from white to orange.
type shades int

func (n shades) Colors() []color.Color {
	out := make([]color.Color, n)
	for i := range out {
		f := float64(i) / float64(n-1)
		out[i] = color.NRGBA{uint8(255 - 25*f), uint8(255 - 130*f), uint8(255 - 215*f), 255}
	}
	return out
}

var _ palette.Palette = shades(0)
