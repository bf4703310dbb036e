package simtest

import (
	"testing"

	"github.com/fairlead-live/fairlead/bench/sim"
)

func TestForSeedsGivesEachItsWorld(t *testing.T) {
	var seeds []uint64
	ForSeeds(t, 3, func(_ *testing.T, w *sim.World) { seeds = append(seeds, w.Seed()) })
	if len(seeds) != 3 || seeds[0] != 0 || seeds[2] != 2 {
		t.Errorf("got seeds %v, want 0 1 2", seeds)
	}
}

func TestFailurePrintsTheCommandThatRepeatsIt(t *testing.T) {
	const pkg = "github.com/fairlead-live/fairlead/bench/sim/simtest"
	if got := func() string { return caller2() }(); got != pkg {
		t.Errorf("package: got %s, want %s", got, pkg)
	}
	got := Command("TestHandover/seed=17", pkg)
	if want := "go test -count=1 -run '^TestHandover$/^seed=17$' " + pkg; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// caller2 stands where ForSeeds stands.
func caller2() string { return caller() }
