package netem

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Trace is the recorded capacity of a link: either the times at which a packet of 1500 bytes could
// leave (Mahimahi's format), or the mean rate of each second. It repeats from the start when it ends.
// It is read-only and may be shared.
type Trace struct {
	ms    []uint32  // packet trace: times in ms, ascending; the last one is the period
	rates []Bitrate // rate trace: one for each second
	mean  Bitrate
}

// opportunity is how many bytes leave at one line of a packet trace: Mahimahi's MTU.
const opportunity = 1500

// ErrTrace is in the chain of every refusal of a trace.
var ErrTrace = errors.New("netem: bad trace")

// maxTraceLines bounds the memory of a trace: 4 bytes a line.
const maxTraceLines = 1 << 24

// NewPacketTrace makes a Mahimahi trace. ms: ascending times, the last one above 0. Takes ms.
func NewPacketTrace(ms []uint32) (*Trace, error) {
	if len(ms) == 0 || ms[len(ms)-1] == 0 {
		return nil, fmt.Errorf("%w: no time above 0", ErrTrace)
	}
	for i := 1; i < len(ms); i++ {
		if ms[i] < ms[i-1] {
			return nil, fmt.Errorf("%w: line %d: %d is before %d", ErrTrace, i+1, ms[i], ms[i-1])
		}
	}
	mean := float64(len(ms)) * opportunity * 8 * 1000 / float64(ms[len(ms)-1])
	return &Trace{ms: ms, mean: Bitrate(mean)}, nil
}

// NewRateTrace makes a trace of mean rates, one for each second, 1 kbit/s or more on average. Takes rates.
func NewRateTrace(rates []Bitrate) (*Trace, error) {
	var sum Bitrate
	for i, r := range rates {
		if r < 0 || r > maxRate {
			return nil, fmt.Errorf("%w: line %d: rate %d bit/s is not in 0..%v", ErrTrace, i+1, int64(r), maxRate)
		}
		sum += r
	}
	if sum < minRate*Bitrate(len(rates)) || sum == 0 {
		return nil, fmt.Errorf("%w: the mean rate is below %v", ErrTrace, minRate)
	}
	return &Trace{rates: rates, mean: sum / Bitrate(len(rates))}, nil
}

// ParseTrace reads a trace file: with a name ending in .rate one Mbit/s figure a line, else
// Mahimahi's times in ms. Empty lines and lines that begin with # are skipped. A bad line is refused
// with its number. Borrows b.
func ParseTrace(name string, b []byte) (*Trace, error) {
	isRate := strings.HasSuffix(name, ".rate")
	var ms []uint32
	var rates []Bitrate
	for n := 1; len(b) > 0; n++ {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte("\n"))
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		refuse := func(want string) (*Trace, error) {
			return nil, fmt.Errorf("%w: %s:%d: %.40q: want %s", ErrTrace, name, n, line, want)
		}
		if n > maxTraceLines {
			return refuse(fmt.Sprintf("at most %d lines", maxTraceLines))
		}
		if isRate {
			f, err := strconv.ParseFloat(string(line), 64)
			if err != nil || !(f >= 0 && f <= 1e6) {
				return refuse("the Mbit/s of one second, 0 or more")
			}
			rates = append(rates, Bitrate(f*float64(Mbit)))
			continue
		}
		t, err := strconv.ParseUint(string(line), 10, 32)
		if err != nil {
			return refuse("a time in whole ms, 0 or more")
		}
		if len(ms) > 0 && uint32(t) < ms[len(ms)-1] {
			return refuse(fmt.Sprintf("a time not before %d", ms[len(ms)-1]))
		}
		ms = append(ms, uint32(t))
	}
	var t *Trace
	var err error
	if isRate {
		t, err = NewRateTrace(rates)
	} else {
		t, err = NewPacketTrace(ms)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// Append writes the trace in the format that ParseTrace reads (a rate trace wants a .rate name).
func (t *Trace) Append(dst []byte) []byte {
	for _, ms := range t.ms {
		dst = append(strconv.AppendUint(dst, uint64(ms), 10), '\n')
	}
	for _, r := range t.rates {
		dst = append(strconv.AppendFloat(dst, float64(r)/float64(Mbit), 'f', 6, 64), '\n')
	}
	return dst
}

// IsRate says that the trace has one mean rate for each second.
func (t *Trace) IsRate() bool { return len(t.rates) > 0 }

// Mean rate over the whole trace.
func (t *Trace) Mean() Bitrate { return t.mean }

// Period after which the trace repeats.
func (t *Trace) Period() time.Duration {
	if t.IsRate() {
		return time.Duration(len(t.rates)) * time.Second
	}
	if len(t.ms) == 0 {
		return 0
	}
	return time.Duration(t.ms[len(t.ms)-1]) * time.Millisecond
}

// Bytes returns the capacity of [from, to) of the trace's own time, without offset.
func (t *Trace) Bytes(from, to time.Duration) int64 {
	if to <= from {
		return 0
	}
	if !t.IsRate() {
		return (t.before(to) - t.before(from)) * opportunity
	}
	var bits float64
	for at := from; at < to; {
		r, until := t.rateAt(at)
		until = min(until, to)
		bits += float64(r) * (until - at).Seconds()
		at = until
	}
	return int64(bits / 8)
}

// before counts the opportunities before time at ≥ 0.
func (t *Trace) before(at time.Duration) int64 {
	cycle := int64(at / t.Period())
	in := at % t.Period()
	if in == 0 && cycle > 0 { // the last line of a round, at its very end
		cycle, in = cycle-1, t.Period()
	}
	i := sort.Search(len(t.ms), func(i int) bool { return time.Duration(t.ms[i])*time.Millisecond >= in })
	return cycle*int64(len(t.ms)) + int64(i)
}

// time of opportunity i ≥ 0.
func (t *Trace) time(i int64) time.Duration {
	n := int64(len(t.ms))
	return time.Duration(i/n)*t.Period() + time.Duration(t.ms[i%n])*time.Millisecond
}

// rateAt returns the rate at time at ≥ 0 and when it may change.
func (t *Trace) rateAt(at time.Duration) (Bitrate, time.Duration) {
	sec := at / time.Second
	return t.rates[int64(sec)%int64(len(t.rates))], (sec + 1) * time.Second
}

// Times yields the opportunities of one period of a packet trace.
func (t *Trace) Times() iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		for _, ms := range t.ms {
			if !yield(time.Duration(ms) * time.Millisecond) {
				return
			}
		}
	}
}
