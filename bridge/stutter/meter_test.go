package stutter

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The steps that are kept in order are the newest ones, whatever comes.
func TestIntervalIsOfTheNewestSteps(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	var line timeline
	var all []time.Duration
	for range 2000 {
		step := time.Duration(rng.IntN(8)) * time.Millisecond
		line.add(step)
		all = append(all, step)
		newest := slices.Sorted(slices.Values(all[max(0, len(all)-len(line.steps)):]))
		if got := line.sorted[:len(newest)]; !slices.Equal(got, newest) {
			t.Fatalf("after %d steps: got %v, want %v", len(all), got, newest)
		}
	}
}
