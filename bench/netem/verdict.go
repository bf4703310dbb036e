package netem

import (
	"fmt"
	"strconv"
	"time"
)

// Verdict is one line of a verdict log: what a link was asked, and what it said.
type Verdict struct {
	Dir     Direction
	N       uint64 // packet number
	At      time.Duration
	Size    int
	Deliver time.Duration // when Fate.Drop is Delivered
	Fate    Fate
}

// AppendText appends the verdict as one line without its end: direction, number, time in ns, size,
// fate, and when it was delivered: `up 12 1234567 1228 delivered 31234567`.
func (v Verdict) AppendText(dst []byte) []byte {
	dst = append(dst, v.Dir.String()...)
	dst = strconv.AppendUint(append(dst, ' '), v.N, 10)
	dst = strconv.AppendInt(append(dst, ' '), int64(v.At), 10)
	dst = strconv.AppendInt(append(dst, ' '), int64(v.Size), 10)
	dst = append(append(dst, ' '), v.Fate.String()...)
	if v.Fate.Drop == Delivered {
		dst = strconv.AppendInt(append(dst, ' '), int64(v.Deliver), 10)
	}
	if v.Fate.Duplicated {
		dst = strconv.AppendInt(append(dst, ' '), int64(v.Fate.CopyAt), 10)
	}
	return dst
}

// Replay asks a fresh link what a log's packets were asked, all of one direction and in order, and
// returns the first verdict that differs: a log of live traffic and virtual time must agree.
func Replay(c Config, seed uint64, log []Verdict) error {
	if len(log) == 0 {
		return nil
	}
	l := NewLink(c, seed, log[0].Dir)
	for i, want := range log {
		got := want
		got.N = uint64(i)
		got.Deliver, got.Fate = l.Admit(want.At, want.Size)
		if got != want {
			return fmt.Errorf("netem: replay: got %s, want %s", got.AppendText(nil), want.AppendText(nil))
		}
	}
	return nil
}
