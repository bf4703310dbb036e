package peers

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

var sample = []Row{
	{Link: "a", Scheme: "ours", Stall: 0, Wire: 1.1, Both: 1.14, P99: ms(300)},
	{Link: "a", Scheme: "srt", Stall: 0.04, Wire: 1.1, Both: 1.12, P99: ms(300)},
	{Link: "b", Scheme: "ours", Stall: 2, Wire: 1.2, Both: 1.3, P99: ms(300)},
	{Link: "b", Scheme: "srt", Stall: 1, Wire: 1.1, Both: 1.3, P99: ms(700)},
	{Link: "b", Scheme: "rtmp", Stall: 3, Wire: 1.1, Both: 1.2, P99: ms(20), Never: 0.25},
	{Link: "c", Scheme: "ours", Stall: 2, Wire: 1.2, Both: 1.3, P99: ms(300)},
	{Link: "c", Scheme: "srt", Stall: 99, Never: 1},
	{Link: "d", Scheme: "srt"}, // a link that ours was not on
}

// What is printed as the same is a tie, and who shows nothing has neither latency nor bytes to win with.
func TestBeside(t *testing.T) {
	p := Beside("ours", sample)
	if len(p) != 2 || p[0].Scheme != "srt" || p[0].Less != 1 || p[0].Same != 1 || p[0].More != 1 || p[0].HalfP99 != 2 || p[0].NoMoreWire != 2 || p[0].NoMoreBoth != 2 ||
		!slices.Equal(p[0].Lost, []string{"b 2.0 against 1.0"}) {
		t.Errorf("got %+v", p)
	}
	if p := Beside("nobody", sample); p != nil {
		t.Errorf("beside nobody: %+v", p)
	}
}

// One sentence a link, with both figures, and what a figure is worth where pictures are missing.
func TestWins(t *testing.T) {
	got := Wins("ours", sample)
	want := []string{
		"On a, beside ours, srt wins in bytes both ways (1.12 against 1.14).",
		"On b, beside ours, srt wins in stalls (1.0 against 2.0 s per 100 s), bytes (1.10 against 1.20); " +
			"rtmp wins in p99 (20 against 300 ms), bytes (1.10 against 1.20), bytes both ways (1.20 against 1.30), showing 75.0 % of the pictures.",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %s\nwant %s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWrite(t *testing.T) {
	var s strings.Builder
	if err := Write(&s, "ours", sample); err != nil {
		t.Fatal(err)
	}
	want := "\nours beside srt: stalls less on 1 link, the same on 1, more on 1 (b 2.0 against 1.0); half of the p99 or less on 2; no more bytes on 2, counted both ways on 2.\n"
	if !strings.HasPrefix(s.String(), want) || strings.Count(s.String(), "\n\nOn ") != 2 {
		t.Errorf("got:\n%s", s.String())
	}
}

// The least of a line is bold unless all are, and a link that one scheme was not on has an empty cell.
func TestWriteTable(t *testing.T) {
	var s strings.Builder
	if err := WriteTable(&s, sample); err != nil {
		t.Fatal(err)
	}
	want := `
| link | Mbit/s | ours | srt | rtmp |
|---|---|---|---|---|
| a | 0.00 | 0.0 / 0.0 · 300 · 1.10 · 0.0 | 0.0 / 0.0 · 300 · 1.10 · 0.0 | |
| b | 0.00 | 2.0 / 0.0 · 300 · 1.20 · 0.0 | **1.0** / 0.0 · 700 · 1.10 · 0.0 | 3.0 / 0.0 · 20 · 1.10 · 25.0 |
| c | 0.00 | **2.0** / 0.0 · 300 · 1.20 · 0.0 | 99.0 / 0.0 · 0 · – · 100.0 | |
| d | 0.00 | | 0.0 / 0.0 · 0 · – · 0.0 | |
`
	if s.String() != want {
		t.Errorf("got:%s\nwant:%s", s.String(), want)
	}
}
