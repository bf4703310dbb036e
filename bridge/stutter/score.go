package stutter

import (
	"sort"
	"time"
)

// Never stands for a latency that is not reached.
const Never time.Duration = -1

// Counts of frames since the meter was made.
type Counts struct {
	Frames          int64 // that arrived and belong to the stream
	Bytes           int64 // of media in them
	Missing         int64 // known to be lost between frames that arrived
	Undecodable     int64 // arrived, and a frame they refer to did not
	Held            int64 // repeat the picture before them
	Damaged         int64 // arrived, and are not frames of the source
	OutOfOrder      int64 // arrived after a later one
	BeforeKey       int64 // arrived before the first key frame; only without a source
	Discontinuities int64 // losses the reader saw
	Jumps           int64 // new timelines
}

// Score is what a viewer got. Times are on the caller's clock.
type Score struct {
	Counts
	Begin, End time.Duration
	Expected   int64   // frames the source made until End, or seen and missing
	NeverShare float64 // share of Expected that never was decodable, 0..1

	LatencyP50, LatencyP95, LatencyP99 time.Duration // of frames that arrived; Never without any
	D999                               time.Duration // at which 99.9 % of Expected were decodable, or Never
	Relative                           bool          // latencies are relative to the fastest frame: no capture times

	MediaBitrate float64 // bits/s of media that arrived, over Begin..End
	WireRatio    float64 // wire bytes ÷ media bytes that arrived; 0 unknown

	Players []Player // one per buffer
}

// Player is the score of one buffer size.
type Player struct {
	Buffer    time.Duration
	Started   bool
	StartUp   time.Duration // from the source's first frame (or the first arrival) to the first picture
	Watched   time.Duration // from the first picture to the end
	Stalls    int
	StallTime time.Duration
	Longest   time.Duration
	Behind    time.Duration // how far stalls have moved the playout clock
	Kept      []Stall       // the first 256
}

// StallsPer100 is stalls per 100 s watched.
func (p *Player) StallsPer100() float64 { return per100(float64(p.Stalls), p.Watched) }

// StallSecondsPer100 is seconds stalled per 100 s watched.
func (p *Player) StallSecondsPer100() float64 { return per100(p.StallTime.Seconds(), p.Watched) }

func per100(v float64, watched time.Duration) float64 {
	if watched <= 0 {
		return 0
	}
	return v * 100 / watched.Seconds()
}

// book adds stalls that are long enough.
func (p *Player) book(stalls []Stall) {
	t := tally{p.Stalls, p.StallTime, p.Longest}
	for _, s := range stalls {
		if s.Length > Threshold {
			t.add(s)
			if len(p.Kept) < maxKept {
				p.Kept = append(p.Kept, s)
			}
		}
	}
	p.Stalls, p.StallTime, p.Longest = t.n, t.total, t.longest
}

// Score closes the books at end, which is not before the last arrival, and leaves the meter running.
//
// With a source, every frame captured by then is expected: what is on its way counts as missing.
func (m *Meter) Score(end time.Duration) Score {
	end = max(end, m.last)
	s := Score{Counts: m.counted, Begin: m.begin, End: end, Relative: len(m.cfg.Source) == 0}
	if !m.begun {
		s.Begin = end
	}
	s.Expected = s.Frames + s.Missing
	if src := m.cfg.Source; len(src) > 0 {
		s.Expected = int64(sort.Search(len(src), func(i int) bool { return src[i].Capture > end }))
		s.Expected = max(s.Expected, m.next)
		s.Missing = s.Expected - s.Frames
	}
	origin := time.Duration(0)
	if s.Relative {
		origin = m.latency.min()
	}
	s.LatencyP50 = m.latency.quantile(0.50, s.Frames, origin)
	s.LatencyP95 = m.latency.quantile(0.95, s.Frames, origin)
	s.LatencyP99 = m.latency.quantile(0.99, s.Frames, origin)
	s.D999 = m.ready.quantile(0.999, s.Expected, origin)
	if s.Expected > 0 {
		s.NeverShare = 1 - float64(s.Frames-s.Undecodable)/float64(s.Expected)
	}
	if d := end - s.Begin; d > 0 {
		s.MediaBitrate = float64(s.Bytes) * 8 / d.Seconds()
	}
	if s.Bytes > 0 {
		s.WireRatio = float64(m.wire) / float64(s.Bytes)
	}
	for i := range m.players {
		s.Players = append(s.Players, m.players[i].score(s.Begin, end))
	}
	return s
}
