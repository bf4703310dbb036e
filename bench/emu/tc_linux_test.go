package emu

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bench/netem"
)

// The real tc reads our words: where the kernel has no netem, it says so after it has understood them.
func TestTCUnderstandsTheWords(t *testing.T) {
	need.Program(t, "tc")
	p := newPair(t, Config{})
	for _, words := range []string{
		"delay 30ms", "delay 80ms 20ms 25% distribution normal loss random 5%", "loss gemodel 1% 20% 80% 0.1% rate 4mbit limit 300",
		"delay 10ms reorder 25% 50% gap 5 duplicate 1% corrupt 0.5%", "loss state 1% 20% 0% 100% 0%",
	} {
		c, err := netem.ParseWords(words)
		if err != nil {
			t.Fatal(err)
		}
		line, err := TCCommand(deviceName, c)
		if err != nil {
			t.Fatal(err)
		}
		f := strings.Fields(line)
		out, err := p.Command(Near, f[0], f[1:]...).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "qdisc kind is unknown") {
			t.Errorf("%s: %s", line, out)
		}
	}
}

func TestTCHasNoWordForSomeThings(t *testing.T) {
	_, err := TCCommand("eth0", netem.Config{Schedule: []netem.Step{{At: time.Second, Kind: netem.StepOutage, For: time.Second}}})
	if !errors.Is(err, ErrNoTCWord) || !strings.Contains(err.Error(), "schedule") {
		t.Errorf("got %v, want it to name the schedule", err)
	}
}
