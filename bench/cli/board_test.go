package cli

import (
	"strings"
	"testing"
)

// The oracle and the model of SCReAMv2 run, and the board prints a line for each link.
func TestBoard(t *testing.T) {
	if testing.Short() {
		return
	}
	t.Parallel()
	var b strings.Builder
	if err := (board{seeds: 1, first: 101, links: []string{"walk", "lte-driving"}}).print(&b); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\n"); n != 5 {
		t.Errorf("%d lines, want 5:\n%s", n, b.String())
	}
	if err := (board{links: []string{"no such link"}}).print(&b); err == nil {
		t.Error("a link that is not there: no error")
	}
}
