package watch

import (
	"fmt"
	"strings"

	"github.com/fairlead-live/fairlead/bridge/stutter"
)

func (m *Monitor) describe() string {
	if m.width == 0 {
		return m.codec.String()
	}
	return fmt.Sprintf("%v %dx%d", m.codec, m.width, m.height)
}

// Line is a report in one line for a person.
func (r *Report) Line() string {
	s := &r.Score
	var b strings.Builder
	what := r.Video
	if what == "" {
		what = "sound only"
	}
	if s.Frames == 0 {
		return fmt.Sprintf("%6.1f s  no frame yet", s.Seconds)
	}
	fmt.Fprintf(&b, "%6.1f s  %s  %.2f Mbit/s", s.Seconds, what, s.MediaBps/1e6)
	p := headline(s)
	switch {
	case p == nil:
	case !p.Started:
		fmt.Fprintf(&b, "  filling %g ms", p.BufferMs)
	default:
		fmt.Fprintf(&b, "  stalls %d, %.1f s (%.1f s per 100 s), longest %.0f ms", p.Stalls, p.StallSeconds, p.StallSecPer100s, p.LongestStallMs)
	}
	kind := "latency"
	if s.Relative {
		kind = "lateness"
	}
	fmt.Fprintf(&b, "  %s p50 %.0f p99 %.0f ms  missing %d  undecodable %d", kind, s.LatencyP50, s.LatencyP99, s.Missing, s.Undecodable)
	if s.Held > 0 {
		fmt.Fprintf(&b, "  held %d", s.Held)
	}
	if r.Silent > 0 {
		fmt.Fprintf(&b, "  audio missing %d", r.Silent)
	}
	return b.String()
}

// headline is the player of 1 s, or the first there is.
func headline(s *stutter.Summary) *stutter.PlayerSummary {
	for i := range s.Players {
		if s.Players[i].BufferMs == 1000 {
			return &s.Players[i]
		}
	}
	if len(s.Players) > 0 {
		return &s.Players[0]
	}
	return nil
}
