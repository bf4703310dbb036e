package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// Score is both sides at one time, as the page gets it.
type Score struct {
	Link      string  `json:"link"`
	LatencyMs float64 `json:"latency_ms"`
	BufferMs  float64 `json:"buffer_ms"`
	Seconds   float64 `json:"seconds"`
	Sides     []Side  `json:"sides"`
	Relay     string  `json:"relay"` // the relay's own page
}

// Side is one way.
type Side struct {
	Label  string `json:"label"`
	Stream string `json:"stream"`
	Live   bool   `json:"live"` // it plays

	Stalls      int       `json:"stalls"`
	StallS      float64   `json:"stall_s"`
	StallPer100 float64   `json:"stall_s_per_100s"`
	LongestMs   float64   `json:"longest_ms"`
	History     []float64 `json:"history"` // stalled seconds of each of the last seconds

	FramesMissing int64  `json:"frames_missing"`
	LinkPackets   uint64 `json:"link_packets"` // sent towards the relay
	LinkLost      uint64 `json:"link_lost"`
	WireBytes     uint64 `json:"wire_bytes"` // with IP and UDP headers
	Repaired      uint64 `json:"repaired"`   // by FEC and by resends; SRT: packets sent again
}

// Score returns what both viewers have seen until now.
func (d *Demo) Score(now time.Time) Score {
	s := Score{Link: d.Link(), LatencyMs: float64(d.cfg.Latency.Milliseconds()), BufferMs: float64(Buffer.Milliseconds()), Seconds: now.Sub(d.begun).Seconds(), Relay: d.RelayURL()}
	status := d.push.Status()
	for i, side := range d.sides {
		summary, p := side.score(now)
		one := Side{
			Label: labels[i], Stream: streams[i], Live: p.Started,
			Stalls: p.Stalls, StallS: p.StallSeconds, StallPer100: p.StallSecPer100s, LongestMs: p.LongestStallMs, History: side.seconds(),
			FramesMissing: summary.Missing + summary.Undecodable,
		}
		if !p.Started { // the whole time is one stall, for who waits; here nothing has been shown yet
			one.Stalls, one.StallS, one.StallPer100, one.LongestMs = 0, 0, 0, 0
		}
		if l := d.links[i]; l != nil {
			up, _ := l.Counters()
			one.LinkPackets, one.LinkLost, one.WireBytes = up.Admitted, up.Dropped[netem.Lost], up.AdmittedBytes
		}
		if st := status[i]; i == SRT {
			one.Repaired = st.Resent
		} else {
			one.Repaired = st.RecoveredFEC + st.RecoveredResend
		}
		s.Sides = append(s.Sides, one)
	}
	return s
}

// Line is the score in one line for a terminal.
func (s *Score) Line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%5.0fs", s.Seconds)
	for _, one := range s.Sides {
		fmt.Fprintf(&b, "   %s: %d stalls, %.1f s (%.1f per 100 s); lost %d of %d packets, repaired %d", one.Label, one.Stalls, one.StallS, one.StallPer100, one.LinkLost, one.LinkPackets, one.Repaired)
	}
	return b.String()
}
