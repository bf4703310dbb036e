package report

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bench/peers"
)

// own begins the name of this program's schemes.
const own = "fairlead"

// peers are the rows as bench/peers takes them.
func (r *Report) peers() (out []peers.Row) {
	for _, w := range r.rows() {
		out = append(out, w.peer(r.Settings.MediaBps))
	}
	return out
}

// verdict is how each of fairlead's schemes fares beside those of others, link by link: the words of bench/peers, an empty line before each. Of a
// run without fairlead it is the first scheme's.
func (r *Report) verdict() string {
	rows := r.peers()
	if len(rows) == 0 {
		return ""
	}
	var ours []string
	var others []peers.Row
	for _, p := range rows {
		if !strings.HasPrefix(p.Scheme, own) {
			others = append(others, p)
		} else if !slices.Contains(ours, p.Scheme) {
			ours = append(ours, p.Scheme)
		}
	}
	if ours == nil {
		ours, others = []string{rows[0].Scheme}, rows
	}
	var b strings.Builder
	for _, scheme := range ours {
		beside := slices.Clone(others)
		for _, p := range rows {
			if p.Scheme == scheme {
				beside = append(beside, p)
			}
		}
		_ = peers.Write(&b, scheme, beside) // a Builder takes everything
	}
	return b.String()
}

// peer is the row as bench/peers takes it, of a clip of media bits/s: the means that the table prints.
func (w *row) peer(media float64) peers.Row {
	mean := func(name string) float64 {
		m := metricByName(name)
		if e := m.estimate(w.judged()); e.N > 0 {
			return e.Mean
		}
		return 0
	}
	return peers.Row{
		Link: w.profile, Scheme: w.scheme, Media: media / 1e6, Stall: mean("stall_s_per_100s_b1000"), Stall02: mean("stall_s_per_100s_b200"),
		P99:  time.Duration(math.Round(mean("latency_p99_ms"))) * time.Millisecond,
		Wire: mean("wire_per_media"), Both: mean("both_ways_per_media"), Never: mean("never_decodable_percent") / 100,
	}
}
