package api

import (
	"time"

	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// Stutter is what a viewer with a buffer of 1 s got; seconds of standing picture, by cause.
type Stutter struct {
	Stalls        uint64             `json:"stalls_total"`
	StallPer100S  float64            `json:"stall_s_per_100s"` // of the last 100 s
	ByCause       map[string]float64 `json:"by_cause"`         // of these, seconds
	Total         map[string]float64 `json:"stall_s_total"`    // since the first picture
	StallsByCause map[string]uint64  `json:"stalls_by_cause"`
	LongestMS     int64              `json:"longest_ms"`
	BehindMS      int64              `json:"behind_ms"` // how far stalls have put the viewer behind
	Now           string             `json:"stalled_by,omitempty"`
	NowMS         int64              `json:"stalled_for_ms,omitempty"`
	Total200      float64            `json:"stall_s_total_buffer_200ms"`
	Total3000     float64            `json:"stall_s_total_buffer_3s"`
	WatchedS      float64            `json:"watched_s"`
}

func stutterOf(r *stutter.Report) *Stutter {
	if r.Watched == 0 {
		return nil
	}
	v := &Stutter{
		Stalls: r.Stalls, StallPer100S: round1(r.StallSecondsPer100()), ByCause: map[string]float64{}, Total: map[string]float64{},
		StallsByCause: map[string]uint64{}, LongestMS: r.Longest.Milliseconds(), BehindMS: r.Behind.Milliseconds(),
		Total200: round1(r.Total200.Seconds()), Total3000: round1(r.Total3000.Seconds()), WatchedS: round1(r.Watched.Seconds()),
	}
	for c := range stutter.Cause(stutter.Causes) {
		v.ByCause[c.String()] = seconds(r.Last100[c])
		v.Total[c.String()] = seconds(r.Total[c])
		v.StallsByCause[c.String()] = r.Counts[c]
	}
	if r.Stalled {
		v.Now, v.NowMS = r.Cause.String(), r.For.Milliseconds()
	}
	return v
}

func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1e3 }
