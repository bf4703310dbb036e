package netem

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseWords(t *testing.T) {
	for _, c := range []struct {
		words string
		want  Config
	}{
		{"", Config{}},
		{"delay 80ms 20ms loss gemodel 1% 10% rate 4mbit limit 100ms", Config{
			Delay: Delay{Base: 80 * ms, Jitter: 20 * ms}, Loss: Loss{Model: LossGE, P: 0.01, R: 0.1, Bad: 1},
			Rate: 4 * Mbit, Limit: Limit{Time: 100 * ms},
		}},
		{"delay 100ms 10ms 25% distribution normal inorder\nloss 0.3% 25% # radio", Config{
			Delay: Delay{Base: 100 * ms, Jitter: 10 * ms, Corr: 0.25, Dist: Normal, InOrder: true},
			Loss:  Loss{Model: LossRandom, P: 0.003, Corr: 0.25},
		}},
		{"loss random 1% reorder 25% 50% gap 5 duplicate 1% corrupt 0.1%", Config{
			Loss: Loss{Model: LossRandom, P: 0.01}, Reorder: Reorder{P: 0.25, Corr: 0.5, Gap: 5},
			Duplicate: Chance{P: 0.01}, Corrupt: Chance{P: 0.001},
		}},
		{"loss state 1%", Config{Loss: Loss{Model: LossState, P13: 0.01, P31: 0.99, P23: 1}}},
		{"loss getime 14s 1s 40%", Config{Loss: Loss{Model: LossTime, GoodFor: 14 * time.Second, BadFor: time.Second, Bad: 0.4}}},
		{"rate 570kbit poisson limit 14 ecn codel target 10ms", Config{
			Rate: 570 * Kbit, Poisson: true, Limit: Limit{Packets: 14}, ECN: true, CoDel: CoDel{On: true, Target: 10 * ms},
		}},
		{"rate 4mbit 14", Config{Rate: 4 * Mbit, Overhead: 14}},
		{"policer 2mbit burst 32kb overhead 14 limit 64kb", Config{
			Policer: Policer{Rate: 2 * Mbit, Burst: 32768}, Overhead: 14, Limit: Limit{Bytes: 65536},
		}},
		{"rate 6mbit at 20s rate 6mbit at 10s rate 3mbit at 30s handover outage 50ms at 40s stall 300ms repeat 1m drought 10s 50ms", Config{
			Rate: 6 * Mbit, Repeat: time.Minute, Drought: Drought{Every: 10 * time.Second, Min: 50 * ms, Max: 50 * ms},
			Schedule: []Step{
				{At: 10 * time.Second, Kind: StepRate, Rate: 3 * Mbit}, {At: 20 * time.Second, Kind: StepRate, Rate: 6 * Mbit},
				{At: 30 * time.Second, Kind: StepHandover, For: 50 * ms}, {At: 40 * time.Second, Kind: StepStall, For: 300 * ms},
			},
		}},
		{"trace x.up limit 250", Config{TraceFile: "x.up", TraceOffset: -1, Limit: Limit{Packets: 250}}},
		{"trace x.rate offset 30s", Config{TraceFile: "x.rate", TraceOffset: 30 * time.Second}},
	} {
		got, err := ParseWords(c.words)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %+v, %v, want %+v", c.words, got, err, c.want)
			continue
		}
		again, err := ParseWords(got.Words())
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%q: written as %q and read back as %+v, %v", c.words, got.Words(), again, err)
		}
	}
}

func TestParsePathDirections(t *testing.T) {
	up, down, err := ParsePath("delay 30ms loss 1% up rate 4mbit at 10s rate 3mbit down loss 0% at 5s up outage 1s both ecn")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := up.Words(), "delay 30ms loss random 1% rate 4mbit ecn at 5s outage 1s at 10s rate 3mbit"; got != want {
		t.Errorf("up: got %s, want %s", got, want)
	}
	if got, want := down.Words(), "delay 30ms loss random 0% ecn"; got != want {
		t.Errorf("down: got %s, want %s", got, want)
	}
}

// Bad input is refused with the line and the word that is wrong.
func TestBadWordsAreRefused(t *testing.T) {
	for words, want := range map[string]string{
		"delay 80ms los 1%":                   `netem: line 1, word 3, "los": unknown word; did you mean "loss"?`,
		"delay 80ms\nloss 150%":               `netem: line 2, word 2, "150%": want 0% to 100%`,
		"loss 1":                              `netem: line 1, word 2, "1": want a percentage with its sign, such as 1%`,
		"loss -1%":                            `netem: line 1, word 2, "-1%": want 0% to 100%`,
		"delay 80":                            `netem: line 1, word 2, "80": want a time with its unit, such as 80ms`,
		"delay":                               `netem: line 1, after word 1, "delay": want a time such as 80ms`,
		"delay -80ms":                         `netem: line 1, word 2, "-80ms": want a time of 0 or more`,
		"rate -4mbit":                         `netem: line 1, word 2, "-4mbit": want a rate from 1kbit to 1000gbit`,
		"rate 4mbps":                          `netem: line 1, word 2, "4mbps": tc reads bps as bytes in a second: say mbit, kbit or bit`,
		"rate fast":                           `netem: line 1, word 2, "fast": want a rate with its unit, such as 4mbit`,
		"delay 80ms 10ms distribution pareta": `netem: line 1, word 5, "pareta": unknown distribution; did you mean "pareto"?`,
		"rate 1mbit limit 3parsec":            `netem: line 1, word 4, "3parsec": want packets (130), bytes (64kb) or a time (100ms)`,
		"at 10s raet 3mbit":                   `netem: line 1, word 3, "raet": unknown word; did you mean "rate"?`,
		"delay 1ms delay 2ms":                 `netem: line 1, word 3, "delay": given twice: for a change in time say at TIME delay …`,
		"up delay 1ms":                        `netem: line 1, word 1, "up": these words are for one direction`,
		"policer 1mbit":                       `netem: line 1, after word 2, "1mbit": want burst BYTES`,
		"frobnicate":                          `netem: line 1, word 1, "frobnicate": unknown word; known are ` + strings.Join(topWords, ", "),
		"rate 1mbit 14 53":                    `netem: line 1, word 4, "53": cells are not modelled`,
		"limit 100ms":                         "netem: bad config: limit 100ms: a limit in time needs a rate",
		"loss nan%":                           `netem: line 1, word 2, "nan%": want a percentage with its sign, such as 1%`,
		"rate 1mbit trace x.up":               `netem: line 1, word 3, "trace": given twice: for a change in time say at TIME trace …`,
	} {
		_, err := ParseWords(words)
		if err == nil || err.Error() != want || !errors.Is(err, ErrWords) && !errors.Is(err, ErrConfig) {
			t.Errorf("%q:\n got  %v\n want %s", words, err, want)
		}
	}
}

func TestParseTrace(t *testing.T) {
	tr, err := ParseTrace("x.up", []byte("0\n5\n\n# gap\n5\n20\n"))
	if err != nil || tr.Period() != 20*ms || tr.Mean() != 2_400_000 || tr.IsRate() {
		t.Errorf("got %+v, %v", tr, err)
	}
	tr, err = ParseTrace("x.rate", []byte("1.5\n0\n3\n"))
	if err != nil || tr.Period() != 3*time.Second || tr.Mean() != 1_500_000 || !tr.IsRate() {
		t.Errorf("got %+v, %v", tr, err)
	}
	for text, want := range map[string]string{
		"0\n12a\n":      `netem: bad trace: t:2: "12a": want a time in whole ms, 0 or more`,
		"5\n3\n":        `netem: bad trace: t:2: "3": want a time not before 5`,
		"-1\n":          `netem: bad trace: t:1: "-1": want a time in whole ms, 0 or more`,
		"":              `t: netem: bad trace: no time above 0`,
		"0\n0\n":        `t: netem: bad trace: no time above 0`,
		"1.5\n":         `netem: bad trace: t:1: "1.5": want a time in whole ms, 0 or more`,
		"99999999999\n": `netem: bad trace: t:1: "99999999999": want a time in whole ms, 0 or more`,
	} {
		if _, err := ParseTrace("t", []byte(text)); err == nil || err.Error() != want || !errors.Is(err, ErrTrace) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	for text, want := range map[string]string{
		"1\n-2\n": `netem: bad trace: t.rate:2: "-2": want the Mbit/s of one second, 0 or more`,
		"nan\n":   `netem: bad trace: t.rate:1: "nan": want the Mbit/s of one second, 0 or more`,
		"0\n":     `t.rate: netem: bad trace: the mean rate is below 1kbit`,
	} {
		if _, err := ParseTrace("t.rate", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	c := everything()
	f.Add(c.Words())
	f.Add("delay 30ms up loss state 1% 2% 3% 4% 5% down rate 1gbit at 5s both handover repeat 9s")
	f.Add("trace x.up offset 3s limit 100ms")
	f.Add("at 1s at 1s")
	f.Fuzz(func(t *testing.T, s string) {
		up, down, err := ParsePath(s)
		if err != nil {
			return
		}
		for _, c := range []Config{up, down} {
			if c.TraceFile != "" {
				c.Trace = anyTrace
			}
			if err := c.Validate(); err != nil {
				t.Fatalf("accepted %q and refused %v", s, err)
			}
			l := NewLink(c, 1, Up)
			for i := range 20 {
				l.Admit(time.Duration(i)*ms, 1200)
			}
			if k := l.Counters(); k.Admitted+k.Duplicated != k.Delivered+k.Drops() {
				t.Fatalf("%q: %+v", s, k)
			}
		}
	})
}

func FuzzParseTrace(f *testing.F) {
	f.Add("x.up", []byte("0\n5\n20\n"))
	f.Add("x.rate", []byte("1.5\n0\n3\n"))
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		tr, err := ParseTrace(name, b)
		if err != nil {
			return
		}
		again, err := ParseTrace(name, tr.Append(nil))
		if err != nil && tr.Mean() > 2000 { // six decimals of a Mbit/s are kept
			t.Fatalf("written and refused: %v", err)
		}
		if err == nil && again.Period() != tr.Period() {
			t.Fatalf("period: got %v, want %v", again.Period(), tr.Period())
		}
		l := NewLink(Config{Trace: tr, TraceOffset: -1}, 1, Up)
		for i := range 20 {
			l.Admit(time.Duration(i)*ms, 1200)
		}
	})
}
