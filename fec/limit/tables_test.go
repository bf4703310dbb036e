package limit

import (
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// shared is where the tables of an independent calculator lie beside the checkout.
var shared = filepath.Join("..", "..", "..", "shared", "limits")

type row map[string]string

func (r row) num(t *testing.T, name string) float64 {
	t.Helper()
	x, err := strconv.ParseFloat(r[name], 64)
	if err != nil {
		t.Fatalf("column %s: %v", name, err)
	}
	return x
}

func readTable(t *testing.T, name string) []row {
	t.Helper()
	f, err := os.Open(filepath.Join(shared, name))
	if err != nil {
		t.Logf("no table to compare with: %v", err)
		return nil
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for _, line := range all[1:] {
		r := row{}
		for i, name := range all[0] {
			r[name] = line[i]
		}
		rows = append(rows, r)
	}
	return rows
}

// frame is the interval of 30 frames per second.
const frame = time.Second / 30

// TestAgainstTheTables compares every column with the published tables, which another program computed. The test takes
// some rows of the cheap channels; FAIRLEAD_LIMITS=N takes each Nth row of all of them.
//
// One difference is known: where D is an exact multiple, such as 7 frames and one RTT of 300 ms in 500 ms, the tables
// lost a round to rounding. There we find a longer block and a lower overhead.
func TestAgainstTheTables(t *testing.T) {
	every, cheap := 29, true
	if testing.Short() {
		every = 97
	}
	if n, err := strconv.Atoi(os.Getenv("FAIRLEAD_LIMITS")); err == nil && n > 0 {
		every, cheap = n, false
	}
	for name, clock := range map[string]Clock{"ideal.csv": {}, "practical.csv": Practical} {
		compared := 0
		worst := map[string]float64{}
		for i, r := range readTable(t, name) {
			burst, p := r.num(t, "burst"), r.num(t, "p")
			if i%every != 0 || cheap && (burst > 8 || p > 0.1 || r.num(t, "d_ms") > 500) {
				continue
			}
			got, err := Compute(Query{
				Channel:  Channel{Loss: p, Burst: burst},
				RTT:      time.Duration(r.num(t, "rtt_ms")) * time.Millisecond,
				Latency:  time.Duration(r.num(t, "d_ms")) * time.Millisecond,
				Target:   r.num(t, "eps"),
				Packets:  14,
				Interval: frame,
				Clock:    clock,
			})
			if err != nil {
				t.Fatal(err)
			}
			compared++
			check := func(column string, got, tolerance float64) {
				want := r.num(t, column)
				off := math.Abs(got - want)
				if want > 0 && off > 0 {
					off /= want
				}
				worst[column] = max(worst[column], off)
				if off > tolerance {
					t.Errorf("%s line %d (p %v, burst %v, eps %s, %s/%s ms): %s = %.7g, want %.7g",
						name, i+2, p, burst, r["eps"], r["rtt_ms"], r["d_ms"], column, got, want)
				}
			}
			check("bound", got.Bound, 1e-5)
			check("arq_rounds", float64(got.ARQ.Rounds), 0)
			check("arq_overhead", got.ARQ.Overhead, 1e-4)
			if got.ARQ.FrameLoss > 1e-15 && got.ARQ.Rounds <= mostRounds { // the tables stop counting there
				check("arq_frameloss", got.ARQ.FrameLoss, 1e-3)
			}
			if want := r["arq_ok"] == "true"; got.ARQ.OK != want {
				t.Errorf("%s line %d: arq_ok = %v", name, i+2, got.ARQ.OK)
			}
			check("block_frames", float64(got.Block.Frames), 0)
			check("block_overhead", got.Block.Overhead, 1e-4)
			check("slide_frames", float64(got.Slide.Frames), 0)
			check("slide_overhead", got.Slide.Overhead, 1e-4)
			if frames := r.num(t, "hyb_frames"); got.Hybrid.Frames > int(frames) && got.Hybrid.Overhead < r.num(t, "hyb_overhead") {
				t.Logf("%s line %d: %d frames a block instead of %v: overhead %.4f instead of %s",
					name, i+2, got.Hybrid.Frames, frames, got.Hybrid.Overhead, r["hyb_overhead"])
				continue
			}
			check("hyb_overhead", got.Hybrid.Overhead, 1e-3)
			check("hyb_frames", float64(got.Hybrid.Frames), 0)
		}
		t.Logf("%s: %d rows compared, worst relative difference by column: %v", name, compared, worst)
	}
}

// TestIncrementalRedundancyTable: one frame of 14, independent losses, a given number of rounds.
func TestIncrementalRedundancyTable(t *testing.T) {
	worst := 0.0
	for i, r := range readTable(t, "hairpin.csv") {
		c := Channel{Loss: r.num(t, "p")}
		packets, _, ok := c.newHybrid(14, int(r.num(t, "rounds")), 0).least(r.num(t, "eps"))
		want := r.num(t, "ideal_ir")
		off := math.Abs(packets/14-want) / want
		worst = max(worst, off)
		if !ok || off > 0.01 {
			t.Errorf("line %d: p %v eps %s rounds %s: %.4f, want %.4f", i+2, c.Loss, r["eps"], r["rounds"], packets/14, want)
		}
	}
	t.Logf("worst relative difference %.2g", worst)
}
