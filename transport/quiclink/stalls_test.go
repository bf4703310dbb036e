package quiclink

import (
	"sync"
	"time"
)

// stallWatch notes when this process did not get the processor: a goroutine that sleeps a millisecond at a time, and how much
// longer that took. It is evidence beside a live figure, and never changes one.
type stallWatch struct {
	mu     sync.Mutex // guards stalls
	stalls []stall
	stop   chan struct{}
	wg     sync.WaitGroup
}

type stall struct{ from, to time.Time }

// stallLeast is what counts: ours, above what a timer is late on a machine with nothing else to do.
const stallLeast = 5 * time.Millisecond

func watchStalls() *stallWatch {
	w := &stallWatch{stop: make(chan struct{})}
	w.wg.Go(func() {
		for last := time.Now(); ; {
			select {
			case <-w.stop:
				return
			case <-time.After(time.Millisecond):
			}
			now := time.Now()
			if now.Sub(last) > time.Millisecond+stallLeast {
				w.mu.Lock()
				w.stalls = append(w.stalls, stall{last.Add(time.Millisecond), now})
				w.mu.Unlock()
			}
			last = now
		}
	})
	return w
}

func (w *stallWatch) close() {
	close(w.stop)
	w.wg.Wait()
}

// during is how long the process stood still between two times.
func (w *stallWatch) during(from, to time.Time) (sum time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.stalls {
		a, b := s.from, s.to
		if a.Before(from) {
			a = from
		}
		if b.After(to) {
			b = to
		}
		sum += max(0, b.Sub(a))
	}
	return sum
}
