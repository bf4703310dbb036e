package cc

import (
	"encoding/csv"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

var curves = flag.Bool("curves", false, "draw docs/congestion and write its table")

// drawn are the runs that are drawn, seed 0 each.
func drawn(t *testing.T) []Scenario {
	named := func(name string, s Scenario) Scenario {
		s.Name = name
		return s
	}
	list := []Scenario{
		Constant(0, 1), Constant(0.1, 1), Constant(0.2, 1), Constant(0.1, 5),
		named("loss-from-20s", Words("", "delay 30ms up rate 6mbit limit 250ms at 20s loss 10% at 40s loss 0%", minute)),
		named("buffer-25ms", Link(25*ms, 60*ms)),
		named("rtt-300ms", Link(250*ms, 300*ms)),
		Words("policer", "delay 30ms up policer 3mbit burst 32kb", minute),
		Words("steps", "delay 30ms up rate 8mbit limit 500ms at 15s rate 2mbit at 30s rate 5mbit at 45s rate 1mbit", minute),
		Words("outage", "delay 30ms up rate 6mbit limit 250ms at 20s outage 2s at 40s stall 2s", minute),
		named("beside-cubic-250ms", Rival(Cubic, 250*ms)),
		named("beside-bbr-100ms", Rival(BBR, 100*ms)),
		Own(4),
	}
	for _, name := range []string{"lte-tmobile", "lte-driving", "wifi-drought"} {
		list = append(list, Cellular(t, name, ""))
	}
	return list
}

// The table beside the curves says what the code does: a change that moves it by more than a little is drawn anew
// with make curves, and looked at.
func TestCurvesAreCurrent(t *testing.T) {
	if testing.Short() {
		return
	}
	dir := filepath.Join("..", "..", "docs", "congestion")
	table := filepath.Join(dir, "curves.csv")
	if *curves {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		out := [][]string{{"run", "utilisation_percent", "queue_p95_ms", "own_loss_percent", "share"}}
		for _, sc := range drawn(t) {
			r := Run(sc, 0)
			if err := os.WriteFile(filepath.Join(dir, sc.Name+".svg"), r.AppendSVG(nil), 0o644); err != nil {
				t.Fatal(err)
			}
			out = append(out, []string{sc.Name, fmt.Sprintf("%.1f", 100*r.Utilisation), fmt.Sprint(r.QueueP95.Milliseconds()),
				fmt.Sprintf("%.2f", 100*r.SelfLoss), fmt.Sprintf("%.2f", r.Shares[0])})
		}
		f, err := os.Create(table)
		if err != nil {
			t.Fatal(err)
		}
		if err := csv.NewWriter(f).WriteAll(out); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		return
	}
	f, err := os.Open(table)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	for _, row := range rows[1:] {
		want[row[0]] = row
	}
	for _, sc := range drawn(t) {
		row := want[sc.Name]
		if row == nil {
			t.Errorf("%s: not drawn: make curves", sc.Name)
			continue
		}
		if sc.For > minute {
			continue // drawn, not run again: time
		}
		r := Run(sc, 0)
		util, _ := strconv.ParseFloat(row[1], 64)
		queue, _ := strconv.ParseFloat(row[2], 64)
		if d := 100*r.Utilisation - util; d > 8 || d < -8 {
			t.Errorf("%s: utilisation %.1f %%, drawn %.1f: make curves, and look", sc.Name, 100*r.Utilisation, util)
		}
		if d := r.QueueP95 - time.Duration(queue)*ms; d.Abs() > max(30*ms, r.QueueP95/3) {
			t.Errorf("%s: queue p95 %v, drawn %v ms: make curves, and look", sc.Name, r.QueueP95, queue)
		}
	}
}
