package cli

import (
	"fmt"
	"io"
	"runtime"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/fairlead-live/fairlead/bench/cc"
	"github.com/fairlead-live/fairlead/bench/netem/profile"
)

// board is the scoreboard: utilisation against the p95 of the queue, ours beside what it is compared with, over
// links that are made anew from each seed and over the cellular profiles.
type board struct {
	seeds  int      // links of each kind; 0: 4
	first  uint64   // the first seed
	traces string   // folder of recordings; empty: models alone
	links  []string // families and profiles; empty: all
	only   bool     // our controller alone
}

// boardProfiles are the profiles with a cellular or wireless bottleneck.
var boardProfiles = []string{"lte-driving", "lte-tmobile", "lte-verizon", "bus", "wifi-drought", "umts-driving", "5g-driving", "train"}

var boardFlows = []struct {
	name string
	flow cc.Flow
}{
	{"ours", cc.Flow{Kind: cc.Ours}},
	{"scream model", cc.Flow{Kind: cc.SCReAM}},
	{"oracle, 0 ms", cc.Flow{Kind: cc.Oracle}},
	{"oracle, 20 ms", cc.Flow{Kind: cc.Oracle, Queue: 20 * time.Millisecond}},
	{"oracle, 60 ms", cc.Flow{Kind: cc.Oracle, Queue: 60 * time.Millisecond}},
}

// print runs the board and writes its table. Errors are of profiles that do not load.
func (b board) print(w io.Writer) error {
	seeds := b.seeds
	if seeds == 0 {
		seeds = 4
	}
	type row struct {
		name string
		link func(seed uint64) cc.Scenario
	}
	var rows []row
	names := b.links
	if len(names) == 0 {
		for _, f := range cc.Families() {
			names = append(names, f.Name)
		}
		names = append(names, boardProfiles...)
	}
	for _, name := range names {
		if f, ok := family(name); ok {
			rows = append(rows, row{name, f.Link})
			continue
		}
		p, err := profile.Load(name, b.traces)
		if err != nil {
			return fmt.Errorf("cc: %w", err)
		}
		sc := cc.Scenario{Name: name, About: p.About, Up: p.Up, Down: p.Down, For: time.Minute}
		rows = append(rows, row{name, func(uint64) cc.Scenario { return sc }})
	}
	flows := boardFlows
	if b.only {
		flows = flows[:1]
	}
	cells := make([]string, len(rows)*len(flows))
	var wg sync.WaitGroup
	room := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range cells {
		wg.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			cells[i] = cell(rows[i/len(flows)].link, flows[i%len(flows)].flow, b.first, seeds)
		})
	}
	wg.Wait()
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "LINK")
	for _, f := range flows {
		fmt.Fprintf(t, "\t%s", f.name)
	}
	for i, c := range cells {
		if i%len(flows) == 0 {
			fmt.Fprintf(t, "\n%s", rows[i/len(flows)].name)
		}
		fmt.Fprintf(t, "\t%s", c)
	}
	fmt.Fprintln(t, "\n\nutilisation %, p95 of the queue ms (outside outages of the link), p95 ms from the encoder to the end of the queue")
	return t.Flush()
}

func family(name string) (cc.Family, bool) {
	for _, f := range cc.Families() {
		if f.Name == name {
			return f, true
		}
	}
	return cc.Family{}, false
}

// cell is the mean of a few runs.
func cell(link func(uint64) cc.Scenario, f cc.Flow, first uint64, seeds int) string {
	var util float64
	var all, clear, lag time.Duration
	for s := range seeds {
		seed := first + uint64(s)
		sc := link(seed)
		sc.Flows = []cc.Flow{f}
		r := cc.Run(sc, seed)
		util += r.Utilisation
		all, clear, lag = all+r.QueueP95, clear+r.QueueClear, lag+r.LagP95
	}
	n := time.Duration(seeds)
	return fmt.Sprintf("%.0f, %d (%d), %d", 100*util/float64(seeds), (all / n).Milliseconds(), (clear / n).Milliseconds(), (lag / n).Milliseconds())
}
