package bound

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
)

func TestOf(t *testing.T) {
	for _, c := range []struct {
		words string
		wire  float64 // 0: not known
		why   string
	}{
		{"delay 30ms", 1, ""},
		{"delay 30ms loss 5%", 1.052, ""},
		{"delay 30ms loss 10% rate 12mbit", 1.111, ""},
		{"delay 30ms loss gemodel 0.65% 12.5% 100% 0%", 1.05, ""}, // 4.9 % in bursts of 8
		{"delay 30ms corrupt 5%", 1.052, ""},
		{"delay 30ms loss 10% rate 4mbit", 0, "carries less"},
		{"delay 30ms 5ms loss 5%", 0, "varies"},
		{"delay 30ms loss 5% at 5s loss 1%", 0, "changes"},
		{"delay 30ms loss gemodel 1% 10% 70% 0%", 0, "memory"},
	} {
		p, err := netem.ParseWords(c.words)
		if err != nil {
			t.Fatal(err)
		}
		l := Of(&p, &p, 4e6, 300*time.Millisecond)
		if math.Abs(l.Wire-c.wire) > 0.003 || !strings.Contains(l.Why, c.why) || l.Known() != (c.wire > 0) {
			t.Errorf("%s: %.3f %q, want %.3f %q", c.words, l.Wire, l.Why, c.wire, c.why)
		}
	}
}
