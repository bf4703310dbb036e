package emu

import (
	"bufio"
	"fmt"
	"io"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// ReadVerdicts reads what a link wrote to Config.Verdicts, both directions as they came. An error names the line.
func ReadVerdicts(r io.Reader) ([]netem.Verdict, error) {
	var all []netem.Verdict
	sc := bufio.NewScanner(r)
	for line := 1; sc.Scan(); line++ {
		v, err := netem.ParseVerdict(sc.Text())
		if err != nil {
			return nil, fmt.Errorf("emu: verdicts line %d: %w", line, err)
		}
		all = append(all, v)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("emu: verdicts: %w", err)
	}
	return all, nil
}

// verdictChunk is how many bytes of lines go to the writing goroutine at once.
const verdictChunk = 64 << 10

// A verdictWriter writes verdicts without making the carrier wait for a disk: its own goroutine writes.
// Its queue holds 64 chunks, 4 MiB or some 80,000 packets; when that is full the carrier waits, which lateness shows.
type verdictWriter struct {
	chunk []byte
	out   chan []byte
	done  chan error
}

// newVerdictWriter starts the goroutine that writes to w; Close ends it.
func newVerdictWriter(w io.Writer) *verdictWriter {
	v := &verdictWriter{out: make(chan []byte, 64), done: make(chan error, 1)}
	go func() {
		var err error
		for b := range v.out {
			if err == nil {
				_, err = w.Write(b)
			}
		}
		v.done <- err
	}()
	return v
}

func (v *verdictWriter) write(d netem.Verdict) {
	v.chunk = append(d.AppendText(v.chunk), '\n')
	if len(v.chunk) >= verdictChunk-256 {
		v.out <- v.chunk
		v.chunk = make([]byte, 0, verdictChunk)
	}
}

// Close writes the rest and returns the first error of writing. It is called once.
func (v *verdictWriter) Close() error {
	if len(v.chunk) > 0 {
		v.out <- v.chunk
	}
	close(v.out)
	if err := <-v.done; err != nil {
		return fmt.Errorf("emu: write verdicts: %w", err)
	}
	return nil
}
