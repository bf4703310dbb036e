package netem

import (
	"errors"
	"testing"
	"time"
)

func TestVerdictLinesReadBack(t *testing.T) {
	for _, v := range []Verdict{
		{},
		{Dir: Down, N: 1 << 63, At: time.Hour, Size: 1500, Deliver: 2 * time.Hour},
		{N: 3, Size: 40, NotECT: true, Fate: Fate{Drop: Lost}},
		{N: 4, Size: 1228, Deliver: 5, Fate: Fate{Marked: true, Corrupted: true, CorruptBit: 77, Duplicated: true, CopyAt: 9, Early: true}},
	} {
		line := string(v.AppendText(nil))
		if got, err := ParseVerdict(line); err != nil || got != v {
			t.Errorf("%s: read back as %+v, %v", line, got, err)
		}
	}
	for _, line := range []string{
		"", "sideways 1 2 3 loss", "up -1 2 3 loss", "up 1 2 3 eaten", "up 1 2 3 delivered", "up 1 2 3 delivered dup 4",
		"up 1 2 3 loss 4", "up 1 2 3 delivered corrupt@x 4", "up 1 99999999999999999999 3 loss",
	} {
		if _, err := ParseVerdict(line); !errors.Is(err, ErrVerdict) {
			t.Errorf("%q: %v, want a refusal", line, err)
		}
	}
}

func FuzzParseVerdict(f *testing.F) {
	f.Add("up 12 1234567 1228 delivered dup early 31234567 31240000")
	f.Add("down 0 0 0 not-ect loss")
	f.Add("up 1 2 3 delivered ce corrupt@8 4")
	f.Fuzz(func(t *testing.T, line string) {
		v, err := ParseVerdict(line)
		if err != nil {
			return
		}
		again, err := ParseVerdict(string(v.AppendText(nil)))
		if err != nil || again != v {
			t.Errorf("%q: %+v became %+v, %v", line, v, again, err)
		}
	})
}
