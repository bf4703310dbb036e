package run

import (
	"context"
	"io"
	"slices"
	"time"
)

// datagram is seven transport packets, what every MPEG-TS sender puts into one.
const datagram = 7 * 188

// lateness is how late each piece of a clip left: the host's fault, as long as its writer does not block.
type lateness []time.Duration

// worst are the 99th percentile and the largest.
func (l lateness) worst() (p99, most time.Duration) {
	if len(l) == 0 {
		return 0, 0
	}
	all := slices.Sorted(slices.Values(l))
	return all[len(all)*99/100], all[len(all)-1]
}

// play writes the clip's pieces when they are due after start, in writes of at most a datagram, until ctx ends.
func (c *Clip) play(ctx context.Context, start time.Time, w io.Writer) (late lateness, err error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for _, p := range c.pieces {
		timer.Reset(time.Until(start.Add(p.at)))
		select {
		case <-ctx.Done():
			return late, context.Cause(ctx)
		case <-timer.C:
		}
		late = append(late, time.Since(start.Add(p.at)))
		for b := p.data; len(b) > 0; {
			n := min(len(b), datagram)
			if _, err := w.Write(b[:n]); err != nil {
				return late, err
			}
			b = b[n:]
		}
	}
	return late, nil
}

// backlog lets a writer that never waits feed one that does: what the program does not read yet stays in the clip's
// memory, as it would in an encoder that drops nothing.
//
// Goroutines: newBacklog begins one, which ends after close, when w fails or is closed.
type backlog struct {
	in   chan []byte
	done chan struct{}
}

// newBacklog has room for every write of the clip: a write never waits.
func newBacklog(w io.WriteCloser, c *Clip) *backlog {
	n := 0
	for _, p := range c.pieces {
		n += (len(p.data) + datagram - 1) / datagram
	}
	b := &backlog{in: make(chan []byte, n), done: make(chan struct{})}
	go func() {
		defer close(b.done)
		defer w.Close()
		for p := range b.in {
			if _, err := w.Write(p); err != nil {
				return
			}
		}
	}()
	return b
}

func (b *backlog) Write(p []byte) (int, error) {
	b.in <- p
	return len(p), nil
}

// close says that nothing more comes; what is queued is still written.
func (b *backlog) close() { close(b.in) }
