// Package simtest runs a test over many seeds of a bench/sim world.
//
//	func TestHandoverKeepsPlayout(t *testing.T) {
//		simtest.ForSeeds(t, 50, func(t *testing.T, w *sim.World) {
//			…
//			w.Run(60 * time.Second)
//			if got := rx.Stats().Late; got > 3 { t.Errorf("late frames = %d, want ≤ 3", got) }
//		})
//	}
//
// A seed that fails prints the command that repeats it alone, and leaves the trace of its last packets
// in t.ArtifactDir.
package simtest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/fairlead-live/fairlead/bench/sim"
)

// ForSeeds runs f as one subtest for each of the seeds 0 to n-1; with -short for a tenth of them, at
// least 3. A world that has Faults at the end fails.
func ForSeeds(t *testing.T, n int, f func(t *testing.T, w *sim.World)) {
	t.Helper()
	pkg := caller()
	if testing.Short() {
		n = min(n, max(3, n/10))
	}
	for seed := range uint64(n) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Helper()
			w := sim.New(seed)
			t.Cleanup(func() { explain(t, w, pkg) })
			f(t, w)
			for _, fault := range w.Faults() {
				t.Error(fault)
			}
		})
	}
}

// caller returns the import path of the package whose test called ForSeeds.
func caller() string {
	pc, _, _, ok := runtime.Caller(2)
	if !ok {
		return "./..."
	}
	name := runtime.FuncForPC(pc).Name() // example.com/m/pkg_test.TestX.func1
	dir, base := filepath.Split(name)
	base, _, _ = strings.Cut(base, ".")
	return dir + strings.TrimSuffix(base, "_test")
}

// Command returns what repeats a test alone: name is t.Name, pkg an import path.
func Command(name, pkg string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + p + "$"
	}
	return fmt.Sprintf("go test -count=1 -run '%s' %s", strings.Join(parts, "/"), pkg)
}

func explain(t *testing.T, w *sim.World, pkg string) {
	if !t.Failed() {
		return
	}
	t.Logf("repeat with: %s", Command(t.Name(), pkg))
	file := filepath.Join(t.ArtifactDir(), "trace.txt")
	if err := os.WriteFile(file, w.AppendTrace(nil), 0o644); err != nil {
		t.Logf("no trace: %v", err)
		return
	}
	t.Logf("its last packets are in %s (kept with -artifacts)", file)
}
