package cc

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var traces = flag.String("traces", filepath.Join("..", "..", "..", "shared", "traces"), "folder of recorded links")

// Recordings judge what was shaped on models. Where the folder is not there, nothing is judged.
func TestRecorded(t *testing.T) {
	if testing.Short() {
		return
	}
	if _, err := os.Stat(*traces); err != nil {
		t.Logf("no recordings: %v", err)
		return
	}
	for _, x := range []struct {
		name  string
		util  float64
		queue float64 // s
	}{
		{"lte-tmobile", 0.73, 0.150},
		{"lte-verizon", 0, 1},
		{"lte-driving", 0.38, 0.250}, // 0.150 is the floor: docs/congestion.md
		{"bus", 0.70, 0.200},
		{"train", 0, 1},
		{"5g-driving", 0, 1},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			sc := Cellular(t, x.name, *traces)
			sc.Name = "recorded " + sc.Name
			sc.For = 2 * minute
			if !*full {
				sc.For = minute
				if x.util == 0 {
					return
				}
			}
			m := meanOf(run(t, sc))
			atLeast(t, "utilisation", m.util, x.util)
			atMost(t, "p95 queue outside outages, s", m.clear.Seconds(), x.queue)
		})
	}
}
