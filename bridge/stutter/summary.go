package stutter

import "time"

// Summary is a score as files and pages carry it: flat, units in the names. A latency of -1 is never reached.
type Summary struct {
	Seconds      float64 `json:"seconds"` // from the first capture (or arrival) to the end
	Expected     int64   `json:"frames_expected"`
	Frames       int64   `json:"frames_arrived"`
	Missing      int64   `json:"frames_missing"`
	Undecodable  int64   `json:"frames_undecodable"`
	Held         int64   `json:"frames_held"`
	NeverPercent float64 `json:"never_decodable_percent"`

	LatencyP50 float64 `json:"latency_p50_ms"`
	LatencyP95 float64 `json:"latency_p95_ms"`
	LatencyP99 float64 `json:"latency_p99_ms"`
	D999       float64 `json:"d999_ms"`
	Relative   bool    `json:"latency_is_relative"`

	MediaBps  float64         `json:"media_bps"`
	WireRatio float64         `json:"wire_per_media"`
	Players   []PlayerSummary `json:"players"`
}

// PlayerSummary is one buffer size.
type PlayerSummary struct {
	BufferMs        float64      `json:"buffer_ms"`
	Started         bool         `json:"started"`
	StartUpMs       float64      `json:"start_up_ms"`
	Stalls          int          `json:"stalls"`
	StallSeconds    float64      `json:"stall_seconds"`
	StallsPer100s   float64      `json:"stalls_per_100s"`
	StallSecPer100s float64      `json:"stall_seconds_per_100s"`
	LongestStallMs  float64      `json:"longest_stall_ms"`
	BehindMs        float64      `json:"behind_ms"`
	StallList       [][2]float64 `json:"stall_list_s,omitempty"` // begin and length in seconds since the start; the first 256
}

func millis(d time.Duration) float64 {
	if d == Never {
		return -1
	}
	return float64(d) / float64(time.Millisecond)
}

// Summary flattens the score.
func (s *Score) Summary() Summary {
	out := Summary{
		Seconds:  (s.End - s.Begin).Seconds(),
		Expected: s.Expected, Frames: s.Frames, Missing: s.Missing, Undecodable: s.Undecodable, Held: s.Held,
		NeverPercent: 100 * s.NeverShare,
		LatencyP50:   millis(s.LatencyP50), LatencyP95: millis(s.LatencyP95), LatencyP99: millis(s.LatencyP99),
		D999: millis(s.D999), Relative: s.Relative,
		MediaBps: s.MediaBitrate, WireRatio: s.WireRatio,
	}
	for _, p := range s.Players {
		f := PlayerSummary{
			BufferMs: millis(p.Buffer), Started: p.Started, StartUpMs: millis(p.StartUp),
			Stalls: p.Stalls, StallSeconds: p.StallTime.Seconds(),
			StallsPer100s: p.StallsPer100(), StallSecPer100s: p.StallSecondsPer100(),
			LongestStallMs: millis(p.Longest), BehindMs: millis(p.Behind),
		}
		for _, k := range p.Kept {
			f.StallList = append(f.StallList, [2]float64{(k.From - s.Begin).Seconds(), k.Length.Seconds()})
		}
		out.Players = append(out.Players, f)
	}
	return out
}
