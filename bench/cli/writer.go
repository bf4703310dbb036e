package cli

import (
	"io"
	"os"
	"sync"
)

// shared makes writers that several commands can write to at once: a file as it is, so that a command gets it itself, and
// anything else behind one lock.
func shared(ws ...*io.Writer) {
	mu := new(sync.Mutex)
	for _, w := range ws {
		if _, ok := (*w).(*os.File); !ok {
			*w = &lockedWriter{mu: mu, w: *w}
		}
	}
}

type lockedWriter struct {
	mu *sync.Mutex // guards w
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
