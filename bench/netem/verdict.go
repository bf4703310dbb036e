package netem

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
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
	NotECT  bool // the packet was not ECN-capable: AdmitECT was told so
}

// notECT is the word for it in a line.
const notECT = "not-ect"

// AppendText appends the verdict as one line without its end: direction, number, time in ns, size,
// not-ect where the packet was not ECN-capable, fate, and when it was delivered, and its copy:
// `up 12 1234567 1228 delivered dup 31234567 31240000`. Fate.Wait and Fate.Path are not written.
func (v Verdict) AppendText(dst []byte) []byte {
	dst = append(dst, v.Dir.String()...)
	dst = strconv.AppendUint(append(dst, ' '), v.N, 10)
	dst = strconv.AppendInt(append(dst, ' '), int64(v.At), 10)
	dst = strconv.AppendInt(append(dst, ' '), int64(v.Size), 10)
	if v.NotECT {
		dst = append(append(dst, ' '), notECT...)
	}
	dst = append(append(dst, ' '), v.Fate.String()...)
	if v.Fate.Drop == Delivered {
		dst = strconv.AppendInt(append(dst, ' '), int64(v.Deliver), 10)
	}
	if v.Fate.Duplicated {
		dst = strconv.AppendInt(append(dst, ' '), int64(v.Fate.CopyAt), 10)
	}
	return dst
}

// ErrVerdict is in the chain of every refusal of ParseVerdict.
var ErrVerdict = errors.New("netem: bad verdict")

// ParseVerdict reads a line of AppendText.
func ParseVerdict(line string) (v Verdict, err error) {
	f := strings.Fields(line)
	word := func() string {
		if len(f) == 0 {
			return ""
		}
		w := f[0]
		f = f[1:]
		return w
	}
	number := func(most uint64) uint64 {
		w := word()
		n, e := strconv.ParseUint(w, 10, 64)
		if err == nil && (e != nil || n > most) {
			err = fmt.Errorf("%w: %q is not a number in 0..%d", ErrVerdict, w, most)
		}
		return n
	}
	const mostTime = math.MaxInt64
	switch w := word(); w {
	case Up.String():
	case Down.String():
		v.Dir = Down
	default:
		return Verdict{}, fmt.Errorf("%w: %q is neither up nor down", ErrVerdict, w)
	}
	v.N, v.At, v.Size = number(math.MaxUint64), time.Duration(number(mostTime)), int(number(1<<30))
	if len(f) > 0 && f[0] == notECT {
		v.NotECT = true
		word()
	}
	w := word()
	why := slices.Index(dropNames[:], w)
	if why < 0 && err == nil {
		err = fmt.Errorf("%w: unknown fate %q", ErrVerdict, w)
	}
	v.Fate.Drop = Drop(max(why, 0))
	if v.Fate.Drop == Delivered {
		for len(f) > 0 && v.Fate.word(f[0]) {
			word()
		}
		v.Deliver = time.Duration(number(mostTime))
		if v.Fate.Duplicated {
			v.Fate.CopyAt = time.Duration(number(mostTime))
		}
	}
	if len(f) > 0 && err == nil {
		err = fmt.Errorf("%w: %q is one word too many", ErrVerdict, f[0])
	}
	if err != nil {
		return Verdict{}, err
	}
	return v, nil
}

// word takes one of the words that follow "delivered" in String, and says whether it was one.
func (f *Fate) word(w string) bool {
	switch w {
	case "ce":
		f.Marked = true
	case "dup":
		f.Duplicated = true
	case "early":
		f.Early = true
	default:
		bit, ok := strings.CutPrefix(w, "corrupt@")
		n, err := strconv.ParseUint(bit, 10, 31)
		if !ok || err != nil {
			return false
		}
		f.Corrupted, f.CorruptBit = true, int(n)
	}
	return true
}

// Replay asks a fresh link what a log's packets were asked, all of one direction and in order, and
// returns the first verdict that differs in its line: a log of live traffic and virtual time must agree.
func Replay(c Config, seed uint64, log []Verdict) error {
	if len(log) == 0 {
		return nil
	}
	l := NewLink(c, seed, log[0].Dir)
	for i, want := range log {
		got := want
		got.N = uint64(i)
		got.Deliver, got.Fate = l.AdmitECT(want.At, want.Size, !want.NotECT)
		if g, w := string(got.AppendText(nil)), string(want.AppendText(nil)); g != w {
			return fmt.Errorf("netem: replay: got %s, want %s", g, w)
		}
	}
	return nil
}
