package emu

import (
	"runtime"
	"sync"
)

// A goroutine that waits in a system call keeps its processor (the P of Go's scheduler) until the runtime's monitor takes it away, 20 µs to 10 ms
// later. A carrier does little else: two of them on two cores made everything else in the process stand still for 8 % of the time, 5 ms and
// more at once. So each brings a processor of its own.
var processors struct {
	mu    sync.Mutex // guards what follows
	lent  int
	least int // as before the first
}

// ownProcessor adds a processor for a goroutine that waits in system calls; undo takes it away again.
func ownProcessor() (undo func()) {
	p := &processors
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lent == 0 {
		p.least = runtime.GOMAXPROCS(0)
	}
	p.lent++
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.lent--
		runtime.GOMAXPROCS(max(p.least, runtime.GOMAXPROCS(0)-1))
	}
}
