// Package processor gives a goroutine that waits in system calls a processor of
// its own (a P of Go's scheduler).
//
// Such a goroutine, a loop beside the runtime's poller, keeps its processor while
// it waits, until the runtime's monitor takes it away 20 µs to 10 ms later. One of
// them does no harm where there are two processors. Two of them that wait a few
// milliseconds at a time hold both, and nothing else runs: a relay on two cores
// with a publisher over SRT and one over RTMP stood still for a third of the time,
// 3 to 20 ms at once, and not at all with a processor for each loop.
//
//	Go's processors = those of the machine + one for each Own, and for each Beside but the first ones
//
// What it leaves to others: priority, and threads of the system.
package processor

import (
	"runtime"
	"sync"
)

var (
	mu    sync.Mutex // guards what follows
	lent  int
	least int // processors before the first was lent
	held  int // loops that hold one of the shared ones
)

// Beside is Own where the goroutine and those like it would hold the last of the shared processors; one that leaves another free does no harm, and
// a processor more is a little more to look through for who looks for work.
func Beside() (undo func()) {
	mu.Lock()
	if held+1 >= shared() {
		mu.Unlock()
		return Own()
	}
	held++
	mu.Unlock()
	return func() {
		mu.Lock()
		defer mu.Unlock()
		held--
	}
}

// Own adds a processor for a goroutine that is about to wait in system calls again and again; undo, called once, takes it away. Both stop the
// process for some 10 µs: they are for what lives for seconds.
func Own() (undo func()) {
	mu.Lock()
	defer mu.Unlock()
	if lent == 0 {
		least = runtime.GOMAXPROCS(0)
	}
	lent++
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		lent--
		runtime.GOMAXPROCS(max(least, runtime.GOMAXPROCS(0)-1)) // somebody else may have set it meanwhile
	}
}

// Shared is how many processors there are beside those of Own: runtime.GOMAXPROCS for who decides how much to do at once.
func Shared() int {
	mu.Lock()
	defer mu.Unlock()
	return shared()
}

func shared() int { return max(1, runtime.GOMAXPROCS(0)-lent) }
