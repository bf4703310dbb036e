package show

import (
	"strings"
	"testing"
	"time"
)

// The least of a line is bold unless all are.
func TestWritePeers(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	rows := []Row{
		{Profile: "a", Scheme: "ours", Stall1: 0, Ratio: 1.1, P99: ms(300)}, {Profile: "a", Scheme: "srt", Stall1: 0.04, Ratio: 1.1, P99: ms(300)},
		{Profile: "b", Scheme: "ours", Stall1: 2, Ratio: 1.2, P99: ms(300)}, {Profile: "b", Scheme: "srt", Stall1: 1, Ratio: 1.1, P99: ms(700)},
		{Profile: "c", Scheme: "ours", Stall1: 2, Ratio: 1.2, P99: ms(300)}, {Profile: "c", Scheme: "srt", Stall1: 99, P99: ms(500), Never: 1},
	}
	var s strings.Builder
	if err := WritePeers(&s, rows); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| link | Mbit/s | ours | srt |\n|---|---|---|---|\n", "| a | 0.00 | 0.0 / 0.0 · 300 · 1.10 · 0.0 | 0.0 / 0.0 · 300 · 1.10 · 0.0 |\n",
		"| b | 0.00 | 2.0 / 0.0 · 300 · 1.20 · 0.0 | **1.0** /", "| 99.0 / 0.0 · 500 · – · 100.0 |", "less on 1 link, the same on 1, more on 1 (b 2.0 against 1.0)",
	} {
		if !strings.Contains(s.String(), want) {
			t.Errorf("no %q in:\n%s", want, s.String())
		}
	}
}
