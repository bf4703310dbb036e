package profile

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/fairlead-live/fairlead/bench/netem"
)

var update = flag.Bool("update", false, "rewrite docs/profiles.md")

const doc = "../../../docs/profiles.md"

// docs/profiles.md is what the profiles say; -update rewrites it.
func TestDocsAreUpToDate(t *testing.T) {
	want := page()
	if *update {
		if err := os.MkdirAll("../../../docs", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(doc, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(doc)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/profiles.md is stale (%v): go test ./bench/netem/profile -run TestDocsAreUpToDate -update", err)
	}
}

const head = `# Profiles: bad links by name

<!-- Written by go test ./bench/netem/profile -run TestDocsAreUpToDate -update -->

` + "`fairlead bench`" + ` runs over links that have names. Wherever a profile is wanted, these work too:

| you write | you get |
| --- | --- |
| ` + "`lte-driving`" + ` | a profile of this page |
| ` + "`loss7-rtt80`" + ` | one of a family, with any number |
| ` + "`lte-driving loss 5%`" + ` | a profile, and more words that change it |
| ` + "`my.yaml`" + ` | your copy of a profile's file |
| ` + "`my-trace.up`, `my-trace.rate`" + ` | a trace alone: Mahimahi's format, or one mean Mbit/s figure for each second |
| ` + "`\"delay 80ms 20ms loss gemodel 1% 10% rate 4mbit limit 100ms\"`" + ` | netem's words |

Words count for both directions until ` + "`up` or `down`" + ` says otherwise; up leads from the sender of media to the
receiver. The words and their meaning are those of ` + "`tc netem`" + `, with additions (traces, schedules, droughts, policers);
the comment of package bench/netem lists them, with the order of effects and the few places where tc differs.

Where a profile names a trace, a recording of that name in the folder of ` + "`--traces DIR`" + ` is used. Without it, a
synthetic trace of our own takes its place: see below. Each seed starts at another place of a trace.

`

func page() []byte {
	var b bytes.Buffer
	b.WriteString(head)
	b.WriteString("| profile | what it is | up | down |\n| --- | --- | --- | --- |\n")
	words := func(c netem.Config) string {
		if w := c.Words(); w != "" {
			return "`" + w + "`"
		}
		return "nothing"
	}
	var sources [][2]string
	for _, s := range builtin() {
		first := s.spell()[0]
		p, err := first.load(source{})
		if err != nil {
			panic(err)
		}
		name := "`" + s.Name + "`"
		if len(s.Each) > 0 {
			p.About, p.Up, p.Down = s.About, netem.Config{}, netem.Config{}
			var values []string
			for _, e := range s.Each {
				values = append(values, fmt.Sprintf("%s: %s", e.Word, strings.Trim(strings.ReplaceAll(fmt.Sprint(e.Values), " ", ", "), "[]")))
			}
			fmt.Fprintf(&b, "| %s | %s (%s) | `%s` | |\n", name, p.About, strings.Join(values, "; "), strings.Join(strings.Fields(s.Words), " "))
		} else {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, p.About, words(p.Up), words(p.Down))
			for _, m := range p.More {
				fmt.Fprintf(&b, "| | its %s link | %s | %s |\n", m.Name, words(m.Up), words(m.Down))
			}
		}
		sources = append(sources, [2]string{name, strings.Join(strings.Fields(p.Source), " ")})
	}
	b.WriteString("\n## Where the numbers come from\n\n| profile | source |\n| --- | --- |\n")
	for _, s := range sources {
		fmt.Fprintf(&b, "| %s | %s |\n", s[0], s[1])
	}
	b.WriteString(`
## Synthetic traces

A synthetic trace is made by a seeded model (package bench/netem/profile, Model) whose parameters stand in the profile's
file: the rate of each second by its quantiles and mean, how much a second resembles the next, how the rate varies inside
a second, and gaps without any delivery. A test holds it to the recording's figures: mean and quantiles within 5 %, CoV
within 0.1, gaps and dips within a third, the longest gap within a factor of two. A rate trace has no structure below a
second; its model adds some.

Rates of one second in Mbit/s; gaps of 200 ms or more and dips (200 ms that carry less than half of the mean of the 5 s
before) in a minute; the longest gap in seconds. Each cell: recording / model.

| trace | mean | 5 % | 50 % | 95 % | CoV | gaps | longest gap | dips |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
`)
	for _, p := range List() {
		for _, c := range []netem.Config{p.Up, p.Down} {
			want, ok := published[c.TraceFile]
			if !ok {
				continue
			}
			s := Measure(c.Trace)
			fmt.Fprintf(&b, "| %s", c.TraceFile)
			for i, cell := range [][2]float64{
				{want.mean, s.Mean}, {want.p5, s.P5}, {want.p50, s.P50}, {want.p95, s.P95}, {want.cov, s.CoV},
				{want.gaps, s.GapsPerMinute}, {want.longest, s.GapMax.Seconds()}, {want.dips, s.DipsPerMinute},
			} {
				if i >= 5 && want.dips == 0 {
					fmt.Fprintf(&b, " | – / %.1f", cell[1])
					continue
				}
				digits := 2
				if i >= 5 {
					digits = 1
				}
				fmt.Fprintf(&b, " | %.*f / %.*f", digits, cell[0], digits, cell[1])
			}
			b.WriteString(" |\n")
		}
	}
	return b.Bytes()
}
