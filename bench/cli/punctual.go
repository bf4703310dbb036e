package cli

import (
	"runtime"
	"runtime/debug"
)

// punctual makes Go's runtime keep out of a carrier's way, for a program that carries links and does little else.
// A thread that meets the garbage collector's stop gets its turn back from another thread of ours, which has no real-time
// priority and may wait 100 ms on a busy machine: so there is no collection below 1 GiB, which a link never reaches, and a
// processor of Go's is always free. The function it returns takes that back.
func punctual() (undo func()) {
	procs, gc, limit := runtime.GOMAXPROCS(runtime.NumCPU()+4), debug.SetGCPercent(-1), debug.SetMemoryLimit(1<<30)
	return func() {
		runtime.GOMAXPROCS(procs)
		debug.SetGCPercent(gc)
		debug.SetMemoryLimit(limit)
	}
}
