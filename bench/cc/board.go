package cc

import (
	"fmt"
	"io"
	"runtime"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem/profile"
)

// Board is the scoreboard: utilisation against the p95 of the queue, ours beside what it is compared with, over
// links that are made anew from each seed and over the cellular profiles.
type Board struct {
	Seeds  int      // links of each kind; 0: 4
	First  uint64   // the first seed
	Traces string   // folder of recordings; empty: models alone
	Links  []string // families and profiles; empty: all
	Only   bool     // our controller alone
}

// boardProfiles are the profiles with a cellular or wireless bottleneck.
var boardProfiles = []string{"lte-driving", "lte-tmobile", "lte-verizon", "bus", "wifi-drought", "umts-driving", "5g-driving", "train"}

var boardFlows = []struct {
	name string
	flow Flow
}{
	{"ours", Flow{Kind: Ours}},
	{"scream model", Flow{Kind: SCReAM}},
	{"oracle, 0 ms", Flow{Kind: Oracle}},
	{"oracle, 20 ms", Flow{Kind: Oracle, Queue: 20 * time.Millisecond}},
	{"oracle, 60 ms", Flow{Kind: Oracle, Queue: 60 * time.Millisecond}},
}

// Print runs the board and writes its table. Errors are of profiles that do not load.
func (b Board) Print(w io.Writer) error {
	seeds := b.Seeds
	if seeds == 0 {
		seeds = 4
	}
	type row struct {
		name string
		link func(seed uint64) Scenario
	}
	var rows []row
	names := b.Links
	if len(names) == 0 {
		for _, f := range Families() {
			names = append(names, f.Name)
		}
		names = append(names, boardProfiles...)
	}
	for _, name := range names {
		if f, ok := family(name); ok {
			rows = append(rows, row{name, f.Link})
			continue
		}
		p, err := profile.Load(name, b.Traces)
		if err != nil {
			return fmt.Errorf("cc: board: %w", err)
		}
		sc := Scenario{Name: name, About: p.About, Up: p.Up, Down: p.Down, For: minute}
		rows = append(rows, row{name, func(uint64) Scenario { return sc }})
	}
	flows := boardFlows
	if b.Only {
		flows = flows[:1]
	}
	cells := make([]string, len(rows)*len(flows))
	var wg sync.WaitGroup
	room := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range cells {
		wg.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			cells[i] = cell(rows[i/len(flows)].link, flows[i%len(flows)].flow, b.First, seeds)
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

func family(name string) (Family, bool) {
	for _, f := range Families() {
		if f.Name == name {
			return f, true
		}
	}
	return Family{}, false
}

// cell is the mean of a few runs.
func cell(link func(uint64) Scenario, f Flow, first uint64, seeds int) string {
	var util float64
	var all, clear, lag time.Duration
	for s := range seeds {
		seed := first + uint64(s)
		sc := link(seed)
		sc.Flows = []Flow{f}
		r := Run(sc, seed)
		util += r.Utilisation
		all, clear, lag = all+r.QueueP95, clear+r.QueueClear, lag+r.LagP95
	}
	n := time.Duration(seeds)
	return fmt.Sprintf("%.0f, %d (%d), %d", 100*util/float64(seeds), (all / n).Milliseconds(), (clear / n).Milliseconds(), (lag / n).Milliseconds())
}
