package relay

import (
	"slices"
	"testing"
	"time"
)

func TestMemoryIsGivenBackOnceAfterEachChange(t *testing.T) {
	var g giveBack
	begin := time.Unix(0, 0)
	var at []int
	for s := range 60 {
		streams := 0
		switch {
		case s >= 40:
			streams = 3
		case s >= 10:
			streams = min(s-9, 8) // one more each second
		}
		if g.look(begin.Add(time.Duration(s)*time.Second), streams) {
			at = append(at, s)
		}
	}
	if want := []int{22, 45}; !slices.Equal(at, want) {
		t.Errorf("given back after %v s, want %v", at, want)
	}
}
