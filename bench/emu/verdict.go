package emu

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// A Verdict is what the link said about one packet. As a line of text it is
//
//	up 17 1316 0 lost 20000113 0
//
// direction, packet number, IP size, ECN-capable (0 or 1), fate, arrival and delivery in ns since the link's start.
// The fate is one word: netem.Drop's, or "delivered" followed by "+" and each of what else happened (ce, corrupt@BIT, dup,
// early). The first fields are the same in each run with the same traffic and seed; the times are the host's.
type Verdict struct {
	Dir          netem.Direction
	N            uint64
	Size         int
	ECT          bool
	Fate         netem.Fate // Wait, CopyAt and Path are not written
	Now, Deliver time.Duration
}

// append adds the line.
func (v *Verdict) append(b []byte) []byte {
	b = append(b, v.Dir.String()...)
	b = strconv.AppendUint(append(b, ' '), v.N, 10)
	b = strconv.AppendInt(append(b, ' '), int64(v.Size), 10)
	b = append(b, ' ', '0')
	if v.ECT {
		b[len(b)-1] = '1'
	}
	b = append(append(b, ' '), v.Word()...)
	b = strconv.AppendInt(append(b, ' '), int64(v.Now), 10)
	b = strconv.AppendInt(append(b, ' '), int64(v.Deliver), 10)
	return append(b, '\n')
}

// Word is the fate as one word.
func (v *Verdict) Word() string {
	s := v.Fate.String()
	if strings.IndexByte(s, ' ') >= 0 {
		s = strings.ReplaceAll(s, " ", "+")
	}
	return s
}

// A RecordedVerdict is a line read back: the fate is its word.
type RecordedVerdict struct {
	Verdict
	Fate string
}

// ReadVerdicts reads what a link wrote to Config.Verdicts. An error names the line.
func ReadVerdicts(r io.Reader) ([]RecordedVerdict, error) {
	var all []RecordedVerdict
	sc := bufio.NewScanner(r)
	for line := 1; sc.Scan(); line++ {
		v, err := parseVerdict(sc.Text())
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

func parseVerdict(line string) (v RecordedVerdict, err error) {
	f := strings.Fields(line)
	if len(f) != 7 {
		return v, fmt.Errorf("%d fields, want 7", len(f))
	}
	switch f[0] {
	case "up":
	case "down":
		v.Dir = netem.Down
	default:
		return v, fmt.Errorf("direction %q is neither up nor down", f[0])
	}
	number := func(word string) int64 {
		n, e := strconv.ParseInt(word, 10, 64)
		if e == nil && n < 0 {
			e = strconv.ErrRange
		}
		if e != nil && err == nil {
			err = fmt.Errorf("%q: %w", word, e)
		}
		return n
	}
	v.N, v.Size, v.ECT = uint64(number(f[1])), int(number(f[2])), number(f[3]) != 0
	v.Fate, v.Now, v.Deliver = f[4], time.Duration(number(f[5])), time.Duration(number(f[6]))
	return v, err
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

func (v *verdictWriter) write(d Verdict) {
	v.chunk = d.append(v.chunk)
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
