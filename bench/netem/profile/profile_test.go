package profile

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// traces is the folder of recordings that may stand beside a checkout.
const traces = "../../../../shared/traces"

// Every profile that the issue and the research name is there, has a source, and carries packets.
func TestBuiltInProfiles(t *testing.T) {
	all := List()
	names := Names()
	for _, want := range []string{
		"clean", "lte-driving", "umts-driving", "5g-static", "5g-driving", "wifi-drought", "starlink",
		"ali-weak-loss", "ali-weak-rate", "ali-weak-delay", "tencent-ladder-1", "tencent-ladder-20", "bloat", "bond-skew",
		"pantheon-nepal", "pantheon-mexico", "pantheon-brazil", "step-6-3-6", "rfc8867-variable",
		"loss1-rtt60", "loss20-rtt60", "burst50-rtt60", "outage1s", "lte-verizon",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no profile %s", want)
		}
	}
	seen := map[string]bool{}
	for i, p := range all {
		if p.Name != names[i] || seen[p.Name] {
			t.Errorf("profile %d is %s, named %s, seen before: %v", i, p.Name, names[i], seen[p.Name])
		}
		seen[p.Name] = true
		if p.Source == "" || p.About == "" || strings.ContainsAny(p.Name+p.About+p.Words, "{}") {
			t.Errorf("%s: about %q, source %q, words %q", p.Name, p.About, p.Source, p.Words)
		}
		if len(p.Recorded) > 0 {
			t.Errorf("%s: %v was read from a file", p.Name, p.Recorded)
		}
		if _, ok := YAML(p.Name); !ok {
			t.Errorf("%s: no file to copy", p.Name)
		}
		for _, pair := range p.Links() {
			for dir, c := range []netem.Config{pair.Up, pair.Down} {
				l := netem.NewLink(c, 1, netem.Direction(dir))
				for n := range 2000 {
					l.Admit(time.Duration(n)*10*time.Millisecond, 500) // 400 kbit/s
				}
				if k := l.Counters(); k.Delivered < 1000 || k.Admitted+k.Duplicated != k.Delivered+k.Drops() {
					t.Errorf("%s %s %v: %+v", p.Name, pair.Name, netem.Direction(dir), k)
				}
			}
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	up := write("car.up", "0\n10\n20\n")
	write("car.down", "0\n5\n")
	mine := write("mine.yaml", "name: mine\nabout: a\nsource: b\nwords: |\n  delay 5ms\n  up trace car.up limit 20\n")
	copied, _ := YAML("umts-driving")
	umts := write("umts.yaml", string(copied))
	write("mahimahi-TMobile-UMTS-driving.up", "0\n8\n")

	for _, c := range []struct{ what, dir, name, up, down string }{
		{"clean", "", "clean", "", ""},
		{"loss7-rtt81", "", "loss7-rtt81", "delay 40.5ms loss random 7%", "delay 40.5ms"},
		{"tencent-ladder-12.5", "", "tencent-ladder-12.5", "delay 25ms loss random 12.5%", "delay 25ms"},
		{"delay 80ms 20ms loss gemodel 1% 10%", "", "delay 80ms 20ms loss gemodel 1% 10%", "delay 80ms 20ms loss gemodel 1% 10% 100% 0%", "delay 80ms 20ms loss gemodel 1% 10% 100% 0%"},
		{"ali-weak-rate up loss 2% rate 1mbit", "", "ali-weak-rate up loss 2% rate 1mbit", "delay 20ms loss random 2% rate 1mbit limit 500ms", "delay 20ms"},
		{mine, "", "mine", "delay 5ms trace car.up limit 20", "delay 5ms"},
		{up, "", "car", "trace " + up, "trace " + filepath.Join(dir, "car.down")},
		{up + " delay 30ms", "", up + " delay 30ms", "delay 30ms trace " + up, "delay 30ms trace " + filepath.Join(dir, "car.down")},
		{"up trace car.up", dir, "up trace car.up", "trace car.up", ""},
		{umts, "", "umts-driving", "delay 50ms trace mahimahi-TMobile-UMTS-driving.up limit 250", "delay 50ms rate 4mbit limit 250"},
	} {
		p, err := Load(c.what, c.dir)
		if err != nil || p.Name != c.name || p.Up.Words() != c.up || p.Down.Words() != c.down {
			t.Errorf("%s: got %s, up %q, down %q, %v", c.what, p.Name, p.Up.Words(), p.Down.Words(), err)
		}
		if strings.Contains(c.up, "trace") && (p.Up.Trace == nil || len(p.Recorded) == 0 || len(p.Synthetic) > 0) {
			t.Errorf("%s: recorded %v, synthetic %v", c.what, p.Recorded, p.Synthetic)
		}
	}

	// With a folder of recordings they are used, without it the models are.
	for _, d := range []string{"", dir} {
		p, err := Load("umts-driving", d)
		if err != nil || len(p.Recorded) != len(d[:min(1, len(d))]) || len(p.Recorded)+len(p.Synthetic) != 1 {
			t.Errorf("traces %q: recorded %v, synthetic %v, %v", d, p.Recorded, p.Synthetic, err)
		}
	}
}

func TestBadProfilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"letters.up":    "0\nabc\n",
		"words.yaml":    "name: x\nsource: y\nwords: delay 10ms loss 300%\n",
		"unknown.yaml":  "name: x\nsource: y\nwordz: delay 10ms\n",
		"nosource.yaml": "name: x\nwords: delay 10ms\n",
		"model.yaml":    "name: x\nsource: y\nwords: up trace a.up\nmodels: {a.up: {quantiles: [0, 3, 2, 4, 5], mean: 1}}\n",
		"each.yaml":     "name: x{a}\nsource: y\nwords: ''\neach: [{word: a, values: [1]}]\n",
		"missing.yaml":  "name: x\nsource: y\nwords: up trace nowhere.up\n",
		"shape.yaml":    "- 1\n- 2\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for what, want := range map[string]string{
		dir + "/letters.up":         `letters.up:2: "abc": want a time in whole ms`,
		dir + "/words.yaml":         `x: words: netem: line 1, word 4, "300%": want 0% to 100%`,
		dir + "/unknown.yaml":       `unknown field "wordz"`,
		dir + "/nosource.yaml":      "want a name and a source",
		dir + "/model.yaml":         "want five rates in ascending order",
		dir + "/each.yaml":          "each is for built-in families",
		dir + "/missing.yaml":       "trace nowhere.up: file does not exist",
		dir + "/shape.yaml":         "shape.yaml",
		dir + "/none.yaml":          "no such file",
		"lte-drivin":                `"lte-drivin" is no profile, no file and no words of netem; near are lte-driving`,
		"lte-driving loss 5":        `netem: line 1, word 2, "5": want a percentage with its sign`,
		"loss300-rtt60":             `netem: line 1, word 6, "300%": want 0% to 100%`,
		"delay 10ms los 5%":         `word 3, "los": unknown word; did you mean "loss"?`,
		"up trace " + dir + "/x.up": "file does not exist",
	} {
		_, err := Load(what, "")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", what, err, want)
		}
	}
	if _, err := Load("nonsense", ""); !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
}

// published figures of the recordings that a model stands in for: mean, 5, 50 and 95 % of the rate of one
// second in Mbit/s, CoV, gaps of 200 ms or more and dips in a minute, the longest gap in seconds. The .up
// ones are measurements of mahimahi's uplinks; for rate traces there is nothing below a second.
var published = map[string]struct {
	mean, p5, p50, p95, cov, gaps, dips, longest float64
}{
	"mahimahi-ATT-LTE-driving-2016.up":   {1.91, 0.04, 1.57, 4.99, 0.88, 9.5, 31.5, 4.061},
	"mahimahi-ATT-LTE-driving-2016.down": {4.56, 0.59, 3.74, 11.15, 0.85, 11, 26, 1.123},
	"mahimahi-Verizon-LTE-short.up":      {5.95, 1.18, 5.69, 11.45, 0.52, 1.7, 12, 1.718},
	"mahimahi-Verizon-LTE-short.down":    {5.03, 1.08, 4.34, 11.11, 0.64, 2.1, 16.3, 1.447},
	"mahimahi-TMobile-LTE-short.up":      {13.32, 2.48, 11.5, 27.8, 0.60, 0.4, 6.9, 0.724},
	"mahimahi-TMobile-LTE-short.down":    {16.65, 4.07, 13.81, 37.18, 0.59, 3.9, 20.6, 0.917},
	"mahimahi-TMobile-UMTS-driving.up":   {0.94, 0.06, 1.08, 1.44, 0.46, 7.2, 10.8, 5.83},
	"irish5g-driving-1.rate":             {mean: 7.44, p5: 0, p50: 7.62, p95: 16.11, cov: 0.68},
	"nyu-bus57.rate":                     {mean: 7.54, p5: 0.75, p50: 6.07, p95: 18.40, cov: 0.72},
	"nyu-LIRR.rate":                      {mean: 3.13, p5: 0, p50: 2.02, p95: 10.70, cov: 1.07},
}

// Models fit: mean and quantiles within 5 % or 50 kbit/s, CoV within 0.1, gaps and dips within a third
// or 0.3 a minute, the longest gap within a factor of two.
func TestModelsFitThePublishedFigures(t *testing.T) {
	judge := func(name string, s Stats, recorded bool) {
		want, ok := published[name]
		if !ok {
			t.Errorf("%s: nothing published", name)
			return
		}
		near := func(what string, got, want, slack float64) {
			if math.Abs(got-want) > slack {
				t.Errorf("%s (recorded: %v): %s: got %.3g, want %.3g ± %.2g", name, recorded, what, got, want, slack)
			}
		}
		near("mean", s.Mean, want.mean, 0.05*want.mean)
		near("p5", s.P5, want.p5, max(0.05, 0.05*want.p5))
		near("p50", s.P50, want.p50, max(0.05, 0.05*want.p50))
		near("p95", s.P95, want.p95, max(0.05, 0.05*want.p95))
		near("CoV", s.CoV, want.cov, 0.1)
		if want.dips == 0 {
			return
		}
		near("gaps", s.GapsPerMinute, want.gaps, max(0.3, want.gaps/3))
		near("dips", s.DipsPerMinute, want.dips, want.dips/3)
		if g := s.GapMax.Seconds(); g < want.longest/2 || g > want.longest*2 {
			t.Errorf("%s: longest gap %.2f s, want %.2f within a factor of two", name, g, want.longest)
		}
	}
	for _, p := range List() {
		for _, c := range []netem.Config{p.Up, p.Down} {
			if c.Trace != nil {
				judge(c.TraceFile, Measure(c.Trace), false)
			}
		}
	}
	// The figures above are those of the recordings, where these are at hand.
	if _, err := os.Stat(traces); err != nil {
		t.Log("no recordings to compare with:", err)
		return
	}
	for _, name := range []string{"lte-driving", "lte-verizon", "lte-tmobile", "5g-driving", "bus", "train"} {
		p, err := Load(name, traces)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []netem.Config{p.Up, p.Down} {
			if c.Trace != nil && slices.Contains(p.Recorded, c.TraceFile) {
				judge(c.TraceFile, Measure(c.Trace), true)
			}
		}
	}
}

func TestModelIsDeterministic(t *testing.T) {
	m := Model{Seconds: 60, Quantiles: [5]float64{0, 1, 2, 4, 6}, Mean: 2.2, Correlation: 0.5, Texture: 0.3, GapsPerMinute: 5, GapSeconds: [2]float64{0.2, 1}}
	text := func(seed uint64) string {
		tr, err := m.Trace(seed)
		if err != nil {
			t.Fatal(err)
		}
		return string(tr.Append(nil))
	}
	if one, again := text(1), text(1); one != again || one == text(2) {
		t.Error("one seed is to be one trace, and another another")
	}
}

// The RTT of the 5G profiles, without spikes, has the quantiles of the pings they are made after.
func TestRoundTripsOf5G(t *testing.T) {
	for name, want := range map[string][2]float64{"5g-static": {69, 89}, "5g-driving": {80, 166}} {
		p, err := Load(name, "")
		if err != nil {
			t.Fatal(err)
		}
		// Correlation leaves the distribution as it is; without it fewer draws show it.
		alone := func(c netem.Config, dir netem.Direction) *netem.Link {
			d := c.Delay
			d.Corr, d.InOrder = 0, false
			return netem.NewLink(netem.Config{Delay: d}, 1, dir)
		}
		up, down := alone(p.Up, netem.Up), alone(p.Down, netem.Down)
		var rtt []float64
		for range 20_000 {
			a, _ := up.Admit(0, 64)
			b, _ := down.Admit(0, 64)
			rtt = append(rtt, (a+b).Seconds()*1000)
		}
		slices.Sort(rtt)
		p50, p95 := rtt[len(rtt)/2], rtt[len(rtt)*95/100]
		if math.Abs(p50-want[0]) > 1.5 || math.Abs(p95-want[1]) > 4 {
			t.Errorf("%s: RTT p50 %.1f, p95 %.1f ms, want %v", name, p50, p95, want)
		}
	}
}

func TestLengthOfASchedule(t *testing.T) {
	for name, want := range map[string]time.Duration{
		"clean": 0, "rfc8867-variable": 90 * time.Second, "step-6-3-6": 30 * time.Second, "starlink": time.Minute,
	} {
		if p, err := Load(name, ""); err != nil || p.Length() != want {
			t.Errorf("%s: got %v, %v, want %v", name, p.Length(), err, want)
		}
	}
}
