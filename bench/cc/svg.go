package cc

import (
	"fmt"
	"time"
)

// The drawing: rate above, queue below, one minute or two across.
const (
	svgWidth, svgRate, svgQueue, svgGap = 720, 150, 60, 24
	svgLeft, svgTop                     = 64, 22
	svgQueueTop                         = 250.0 // ms
	svgStep                             = 4     // samples to a point
)

// AppendSVG draws the curve of a run: what the link could carry (grey), what arrived (blue; other flows
// orange), what the encoder was told (green), and the longest queue of each moment (red).
func (r *Result) AppendSVG(dst []byte) []byte {
	top := 1e6
	for _, s := range r.Curve {
		top = max(top, min(s.Capacity, 40e6))
		for _, a := range s.Arrived {
			top = max(top, min(a, 40e6))
		}
	}
	height := svgTop + svgRate + svgGap + svgQueue + 22
	dst = fmt.Appendf(dst, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="10">`+"\n",
		svgLeft+svgWidth+8, height)
	dst = fmt.Appendf(dst, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	dst = fmt.Appendf(dst, `<text x="4" y="13" font-size="12">%s, seed %d: %.1f %% used, queue p95 %d ms, own loss %.2f %%</text>`+"\n",
		r.Name, r.Seed, 100*r.Utilisation, r.QueueP95.Milliseconds(), 100*r.SelfLoss)
	dst = axis(dst, svgTop, svgRate, top/1e6, "Mbit/s")
	dst = axis(dst, svgTop+svgRate+svgGap, svgQueue, svgQueueTop, "ms")
	end := r.Curve[len(r.Curve)-1].At
	for at := time.Duration(0); at <= end; at += 10 * time.Second {
		x := svgLeft + float64(at)/float64(end)*svgWidth
		dst = fmt.Appendf(dst, `<text x="%.0f" y="%d" text-anchor="middle">%d s</text>`+"\n", x, height-6, int(at.Seconds()))
	}
	rate := func(color string, of func(Sample) float64) {
		dst = r.line(dst, color, svgTop+svgRate, svgRate/top, end, func(part []Sample) float64 {
			sum := 0.0
			for _, s := range part {
				sum += of(s)
			}
			return min(top, sum/float64(len(part)))
		})
	}
	rate("#bbb", func(s Sample) float64 { return s.Capacity })
	for i := len(r.Curve[0].Arrived) - 1; i > 0; i-- {
		rate("#e90", func(s Sample) float64 { return s.Arrived[i] })
	}
	rate("#292", func(s Sample) float64 { return s.Told })
	rate("#06c", func(s Sample) float64 { return s.Arrived[0] })
	dst = r.line(dst, "#c22", svgTop+svgRate+svgGap+svgQueue, svgQueue/svgQueueTop, end, func(part []Sample) float64 {
		var q time.Duration
		for _, s := range part {
			q = max(q, s.Queue)
		}
		return min(svgQueueTop, q.Seconds()*1000)
	})
	return append(dst, "</svg>\n"...)
}

func axis(dst []byte, top, height int, most float64, unit string) []byte {
	dst = fmt.Appendf(dst, `<path d="M%d %dv%dh%d" fill="none" stroke="#888"/>`, svgLeft, top, height, svgWidth)
	dst = fmt.Appendf(dst, `<text x="%d" y="%d" text-anchor="end">%.3g %s</text>`, svgLeft-2, top+8, most, unit)
	return fmt.Appendf(dst, `<text x="%d" y="%d" text-anchor="end">0</text>`+"\n", svgLeft-2, top+height)
}

func (r *Result) line(dst []byte, color string, bottom int, scale float64, end time.Duration, of func([]Sample) float64) []byte {
	dst = fmt.Appendf(dst, `<polyline fill="none" stroke="%s" points="`, color)
	for i := 0; i < len(r.Curve); i += svgStep {
		part := r.Curve[i:min(i+svgStep, len(r.Curve))]
		x := svgLeft + float64(part[0].At)/float64(end)*svgWidth
		dst = fmt.Appendf(dst, "%.0f,%.0f ", x, float64(bottom)-scale*of(part))
	}
	return append(dst, "\"/>\n"...)
}
