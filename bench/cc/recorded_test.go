package cc

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var traces = flag.String("traces", filepath.Join("..", "..", "..", "shared", "traces"), "folder of recorded links")

// The same figures as those published for SCReAMv2 (41 % and 170 ms) and pion's GCC (46 % and 2651 ms) on this recording: from its
// start, with a clean way back, in one run. The seed is the encoder's noise.
func TestAsPublished(t *testing.T) {
	const file = "mahimahi-ATT-LTE-driving-2016.up"
	if testing.Short() {
		return
	}
	if _, err := os.Stat(filepath.Join(*traces, file)); err != nil {
		t.Logf("no recordings: %v", err)
		return
	}
	sc := Cellular(t, "delay 30ms limit 250 up trace "+file+" offset 0s", *traces)
	sc.Name, sc.For = "as published", 118*time.Second
	m := meanOf(run(t, sc))
	atLeast(t, "utilisation", m.util, 0.46)
	atMost(t, "p95 queue, s", m.q95.Seconds(), 0.170)
}

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
		{"lte-driving", 0.36, 0.150},
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
