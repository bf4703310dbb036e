package session

import (
	"encoding/csv"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	gridAll     = flag.Bool("grid", false, "run the whole grid: 135 cells, a quarter of an hour")
	gridSeeds   = flag.Int("seeds", 10, "seeds of a cell")
	gridSeconds = flag.Int("seconds", 100, "seconds of media of a seed")
	gridCells   = flag.String("cells", "", "only the cells whose name contains one of these, separated by commas: 60/200, burst 3, p 5%")
	gridARQ     = flag.Bool("arq", false, "resends only")
	gridFirst   = flag.Uint64("first", 0, "the first seed")
	gridTerms   = flag.String("terms", "ab", "how reports are lost: a independently with p, which the goals are about; b in bursts as media is")
)

// cell is one of the grid of issue 4: loss ratio, mean burst (0: independent), RTT, latency.
type cell struct {
	p            float64
	burst        float64
	rtt, latency time.Duration
}

func (c cell) String() string {
	return fmt.Sprintf("p %g%% burst %g %d/%d", 100*c.p, c.burst, c.rtt.Milliseconds(), c.latency.Milliseconds())
}

// rounds is R_P of the limit tables: feedback rounds of RTT + 10 ms after 10 ms of sending.
func (c cell) rounds() int {
	return int((c.latency - 10*time.Millisecond) / (c.rtt + 10*time.Millisecond))
}

// warmUp is not counted: a sender knows nothing of its path at first. G8 is about what happens then.
const warmUp = 3 * time.Second

// result is what a cell came to.
type result struct {
	overhead float64 // bytes sent beyond the first sendings, headers, repairs, resends, probes and notices counted
	feedback float64 // bytes of reports, in the same unit
	lost     int     // frames
	lostKeys int
	frames   int
	realised float64 // packets lost on the way up
	delay    time.Duration
	median   time.Duration
}

func (r *result) ratio() float64 { return float64(r.lost) / float64(max(1, r.frames)) }

// run measures a cell: 4 Mbit/s at 30 frames/s, a key frame of 4 times the mean every 2 s, a 12 Mbit/s link, loss in
// both directions.
//
// terms says how reports are lost: 'a' independently with p, as in the study that the goals are from (fec.md §2.6); 'b'
// in bursts as media is, where eight reports in a row are 160 ms. Goals are judged in a; b is harder and printed beside it.
func (c cell) run(t testing.TB, first uint64, seeds, seconds int, terms rune) (r result) {
	var base, sent, back, gone, total int
	var delays []time.Duration
	for seed := first; seed < first+uint64(seeds); seed++ {
		cfg, up, down := grid(c.rtt, c.latency, c.p, c.burst, seed)
		if terms == 'a' {
			down.loss = newGilbert(c.p, 0, seed+1000)
		}
		cfg.NoFEC = *gridARQ
		w := newWorld(t, seed, cfg, up, down, video4M())
		w.run(warmUp, true)
		w.onLoss = func(d time.Duration) { delays = append(delays, d) }
		base0 := int(w.tx.stats.SourceBytes) + ipUDP*int(w.tx.nextMedia)
		sent0, back0, frames0 := w.wire, w.back, w.frames
		w.run(time.Duration(seconds)*time.Second, true)
		w.run(c.latency+c.rtt+time.Second, false)
		s := w.sum()
		base += int(s.SourceBytes) + ipUDP*int(s.Sent) - base0
		sent += w.wire - sent0
		back += w.back - back0
		gone += up.loss.gone
		total += up.loss.sent
		r.frames += int(w.frames - frames0)
		have := map[time.Duration]bool{}
		for _, g := range w.got {
			have[g.capture] = true
		}
		for n := frames0; n < w.frames; n++ {
			if !have[w.frameTime(n).Truncate(time.Microsecond)] {
				r.lost++
				if n%60 == 0 {
					r.lostKeys++
				}
			}
		}
	}
	r.overhead = float64(sent)/float64(base) - 1
	r.feedback = float64(back) / float64(base)
	r.realised = float64(gone) / float64(max(1, total))
	if len(delays) > 0 {
		slices.Sort(delays)
		r.median, r.delay = delays[len(delays)/2], delays[len(delays)*95/100]
	}
	return r
}

// limits are the least overheads at 1e-3, by cell: ../shared/limits/practical.csv (clock P).
func limits(t testing.TB) map[string]float64 {
	out := map[string]float64{}
	f, err := os.Open(filepath.Join("..", "..", "..", "shared", "limits", "practical.csv"))
	if err != nil {
		t.Logf("no limits beside the cells: %v", err)
		return out
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for i, name := range rows[0] {
		at[name] = i
	}
	for _, row := range rows[1:] {
		v := func(name string) float64 {
			x, err := strconv.ParseFloat(row[at[name]], 64)
			if err != nil {
				return math.Inf(1)
			}
			return x
		}
		if v("eps") != 1e-3 {
			continue
		}
		burst := v("burst")
		c := cell{v("p"), burst, time.Duration(v("rtt_ms")) * time.Millisecond, time.Duration(v("d_ms")) * time.Millisecond}
		least := min(v("hyb_overhead"), v("block_overhead"), v("slide_overhead"))
		if row[at["arq_ok"]] == "true" {
			least = min(least, v("arq_overhead"))
		}
		out[c.String()] = least
	}
	return out
}

func gridOf() (cells []cell) {
	ms := time.Millisecond
	for _, path := range [][2]time.Duration{
		{20 * ms, 120 * ms}, {60 * ms, 120 * ms}, {60 * ms, 200 * ms}, {60 * ms, 300 * ms},
		{150 * ms, 300 * ms}, {150 * ms, 500 * ms}, {300 * ms, 500 * ms}, {300 * ms, 1000 * ms},
		{300 * ms, 300 * ms}, // not of the issue: no round fits, G3
	} {
		for _, burst := range []float64{0, 3, 8} {
			for _, p := range []float64{0.01, 0.02, 0.05, 0.10, 0.20} {
				cells = append(cells, cell{p, burst, path[0], path[1]})
			}
		}
	}
	return cells
}

// verdict holds a result against the goals of the grid that apply to its cell.
func (c cell) verdict(r *result, limit float64) string {
	var miss []string
	switch n := c.rounds(); {
	case n >= 2: // G1
		if r.ratio() > 1e-3 {
			miss = append(miss, "loss")
		}
		if limit > 0 && r.overhead > 1.10*limit+0.005 {
			miss = append(miss, "overhead")
		}
		if n >= 4 && c.p <= 0.10 { // G4
			if r.ratio() > 1e-5 && r.lost > 1 || r.lostKeys > 0 {
				miss = append(miss, "G4 loss")
			}
			if r.overhead > 1.10*r.realised/(1-r.realised)+0.005 {
				miss = append(miss, "G4 overhead")
			}
		}
	case n == 1 && c.burst <= 3: // G2
		if r.ratio() > 1e-3 {
			miss = append(miss, "loss")
		}
		if limit > 0 && r.overhead > 1.25*limit+0.01 {
			miss = append(miss, "overhead")
		}
	case n == 0 && c.burst <= 3: // G3
		if limit > 0 && r.overhead > 1.35*limit+0.02 {
			miss = append(miss, "overhead")
		}
	default:
		return "no goal"
	}
	if miss == nil {
		return "met"
	}
	return "MISS " + strings.Join(miss, ", ")
}

// The grid of issue 4. A few cells by default; -grid runs all and prints the table.
func TestGrid(t *testing.T) {
	morePlans() // those of other paths do for its cells, but not to 2e-3 of 1200 frames
	cells := gridOf()
	seeds, seconds := *gridSeeds, *gridSeconds
	if !*gridAll {
		cells = []cell{
			{0.05, 0, 60 * time.Millisecond, 300 * time.Millisecond},
			{0.10, 3, 60 * time.Millisecond, 200 * time.Millisecond},
		}
		seeds, seconds = 2, 20
		if testing.Short() {
			seeds, seconds = 1, 10
		}
	}
	limit := limits(t)
	t.Logf("%-28s %2s %8s %8s %8s %9s %5s %7s %9s %9s %s", "cell", "R", "overhead", "limit P", "feedback", "frames", "keys", "p", "δ p50", "δ p95", "goal")
	met, all := 0, 0
	for _, c := range cells {
		if *gridCells != "" && !slices.ContainsFunc(strings.Split(*gridCells, ","), func(s string) bool { return strings.Contains(c.String(), s) }) {
			continue
		}
		for _, terms := range *gridTerms {
			r := c.run(t, *gridFirst, seeds, seconds, terms)
			// The limit is for the loss ratio of the cell; seeds of bursts have more or less of it.
			l := limit[c.String()] * r.realised / (1 - r.realised) * (1 - c.p) / c.p
			v := c.verdict(&r, l)
			t.Logf("%c %-26s %2d %7.2f%% %7.2f%% %7.2f%% %9.1e %5d %6.2f%% %9v %9v %s", terms, c, c.rounds(), 100*r.overhead, 100*l, 100*r.feedback, r.ratio(), r.lostKeys,
				100*r.realised, r.median.Round(100*time.Microsecond), r.delay.Round(100*time.Microsecond), v)
			if v != "no goal" && terms == 'a' {
				all++
				if v == "met" {
					met++
				}
			}
			if !*gridAll && r.overhead > 1.3*c.p/(1-c.p)+0.03 {
				t.Errorf("%v: overhead %.1f %%", c, 100*r.overhead)
			}
			if !*gridAll && r.ratio() > map[bool]float64{false: 2e-3, true: 2e-2}[testing.Short()] { // -short: 300 frames, few plans
				t.Errorf("%v: %.1e of the frames lost", c, r.ratio())
			}
		}
	}
	t.Logf("%d of %d goals met", met, all)
}

// On a path without loss little is added: G9.
func TestDoNoHarm(t *testing.T) {
	morePlans()
	for _, c := range []struct {
		rtt, latency time.Duration
		most         float64
	}{
		{20, 120, 0.007}, {60, 120, 0.007}, {60, 200, 0.007}, {60, 300, 0.007}, {300, 1000, 0.007}, {300, 250, 0.035},
	} {
		if c.latency < c.rtt && testing.Short() {
			continue // needs plans of its own, and -short is out of them
		}
		r := cell{0, 0, c.rtt * time.Millisecond, c.latency * time.Millisecond}.run(t, 0, 1, 20, 'a')
		t.Logf("%d/%d: overhead %.2f %%, feedback %.2f %%", c.rtt, c.latency, 100*r.overhead, 100*r.feedback)
		if r.lost > 0 || r.overhead > c.most {
			t.Errorf("RTT %d ms, latency %d ms: overhead %.2f %%, want at most %.2f; %d frames lost", c.rtt, c.latency, 100*r.overhead, 100*c.most, r.lost)
		}
	}
}
