package report

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// sample is a report of two schemes over two links with three seeds; bad adds stall seconds to the second scheme.
func sample(bad float64) *Report {
	r := &Report{
		Format: Format, Made: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Command: []string{"fairlead", "bench", "run"},
		Host:     Host{Kernel: "Linux 6.1", CPU: "A <fast> one", Cores: 2, Go: "go1.26", Programs: map[string]string{"ffmpeg": "5.1"}},
		Settings: Settings{Seconds: 20, LatencyMs: 300, MediaBps: 4e6, Seeds: []uint64{1, 2, 3}, Parallel: 1},
		Profiles: []Profile{{Name: "lossy", Title: "5 % loss", Limit: 1.05}, {Name: "clean", Title: "nothing", NoLimit: "a trace"}}, Schemes: []Scheme{{Name: "srt", Group: "srt"}, {Name: "rtmp", Group: "rtmp"}},
		Skipped: []Skipped{{"rist", "program ristsender is not here"}},
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, p := range r.Profiles {
		for _, s := range r.Schemes {
			for _, seed := range r.Settings.Seeds {
				c := Cell{Profile: p.Name, Scheme: s.Name, Seed: seed, Both: 1.25}
				stall := 2 + rnd.Float64()
				if s.Name == "rtmp" {
					stall += bad
				}
				c.Score = stutter.Summary{Seconds: 24, Expected: 600, Frames: 598, LatencyP50: 330, LatencyP95: 340, LatencyP99: 350 + rnd.Float64(), D999: -1, MediaBps: 4e6, WireRatio: 1.2}
				for _, b := range []float64{200, 1000, 3000} {
					c.Score.Players = append(c.Score.Players, stutter.PlayerSummary{BufferMs: b, Started: true, Stalls: 1, StallSecPer100s: stall, StallList: [][2]float64{{3, 0.5}, {30, 1}}})
				}
				t := &Timeline{StepMs: 100}
				for i := range 240 {
					t.CapacityBps = append(t.CapacityBps, 6e6)
					t.SentBps = append(t.SentBps, 4e6)
					t.ArrivedBps = append(t.ArrivedBps, 4e6*rnd.Float64())
					t.LatencyMs = append(t.LatencyMs, float64(i%50-1))
					t.Lost = append(t.Lost, float64(i%3))
				}
				c.Timeline = t
				r.Cells = append(r.Cells, c)
			}
		}
	}
	r.Cells[0].Noisy = []string{"the emulator was late"}
	r.Cells[1].Error = "srt-live-transmit: exit status 1"
	return r
}

func TestStudent(t *testing.T) {
	// Table values of the two-sided 95 % quantile.
	for df, want := range map[float64]float64{1: 12.706, 2: 4.303, 4: 2.776, 9: 2.262, 30: 2.042, 1000: 1.962} {
		if got := student(df); math.Abs(got-want) > 0.001*want {
			t.Errorf("student(%g) = %.4f, want %.3f", df, got, want)
		}
	}
	e := estimate([]float64{1, 2, 3, -1}, true)
	if e.Mean != 2 || e.N != 3 || e.Never != 1 || math.Abs(e.Half-4.303/math.Sqrt(3)) > 0.01 {
		t.Errorf("got %+v", e)
	}
	if e := estimate(nil, false); !math.IsNaN(e.Mean) {
		t.Errorf("mean of nothing = %v", e.Mean)
	}
}

func TestFilesAreWholeAndReadable(t *testing.T) {
	dir := t.TempDir()
	r := sample(0)
	r.Partial = true
	if err := r.Save(dir); err != nil {
		t.Fatal(err)
	}
	back, err := Load(filepath.Join(dir, "results.json"))
	if err != nil || len(back.Cells) != 12 || back.Cells[5].Score.LatencyP99 != r.Cells[5].Score.LatencyP99 || !back.Partial {
		t.Fatalf("Load: %v", err)
	}
	b, _ := os.ReadFile(filepath.Join(dir, "results.csv"))
	lines, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil || len(lines) != 13 {
		t.Errorf("csv: %d lines, %v", len(lines), err)
	}
	b, _ = os.ReadFile(filepath.Join(dir, "junit.xml"))
	var s junitSuite
	if err := xml.Unmarshal(b, &s); err != nil || s.Tests != 13 || s.Failures != 1 || s.Skipped != 1 {
		t.Errorf("junit: %+v, %v", s, err)
	}
	b, _ = os.ReadFile(filepath.Join(dir, "report.html"))
	html := string(b)
	for _, banned := range []string{"<script", "src=", "href=\"http", "@import", "url(http"} {
		if strings.Contains(html, banned) {
			t.Errorf("the page loads or runs something: %s", banned)
		}
	}
	for _, want := range []string{"<svg", "Partial", "1 noisy left out, failed 1/3", "A &lt;fast&gt; one", "rist: program ristsender is not here"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if n := strings.Count(html, "<svg"); n != 3+12 {
		t.Errorf("%d drawings, want 15", n)
	}
}

func TestLoadRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.json")
	for text, want := range map[string]string{"{": "unexpected end", `{"format":99}`: ErrFormat.Error()} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := Load(path + "no"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := sample(0).WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"lossy", "never", "±", "skipped rist: program ristsender is not here", "above", " 1.05 ", "No limit known for clean: a trace.", "  both ways  ", "1.25"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := sample(0).WriteMarkdown(&b); err != nil || strings.Count(b.String(), "\n| ") != 4+3 {
		t.Errorf("%v:\n%s", err, b.String())
	}
}

// Each of fairlead's schemes is judged beside those of others, not beside its own; the terminal, the document and the page say the same.
func TestVerdict(t *testing.T) {
	r := sample(5)
	want := []string{"srt beside rtmp: stalls less on 2 links, the same on 0, more on 0; half of the p99 or less on 0; no more bytes on 2, counted both ways on 2."}
	for range 2 {
		var table, doc, html strings.Builder
		if err := errors.Join(r.WriteTable(&table), r.WriteMarkdown(&doc), r.WriteHTML(&html)); err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			for _, s := range []string{table.String(), doc.String(), html.String()} {
				if strings.Count(s, w) != 1 {
					t.Errorf("not once %q in:\n%.4000s", w, s)
				}
			}
		}
		if s := table.String(); strings.Contains(s, "beside fairlead:") || strings.Contains(s, "beside fairlead-inorder:") {
			t.Errorf("a scheme of fairlead's is a peer:\n%s", s)
		}
		// The cells of srt once more, as two schemes of fairlead's.
		for _, name := range []string{"fairlead", "fairlead-inorder"} {
			r.Schemes = append(r.Schemes, Scheme{Name: name})
			for _, c := range r.Cells[:12] {
				if c.Scheme == "srt" {
					c.Scheme, c.Timeline = name, nil
					r.Cells = append(r.Cells, c)
				}
			}
		}
		want = []string{
			"fairlead beside srt: stalls less on 0 links, the same on 2, more on 0;", "fairlead beside rtmp: stalls less on 2 links,",
			"fairlead-inorder beside srt: stalls less on 0 links,", "fairlead-inorder beside rtmp: stalls less on 2 links,",
		}
	}
}

func TestGate(t *testing.T) {
	for _, c := range []struct {
		why  string
		bad  float64
		edit func(r *Report)
		pass bool
		says string
	}{
		{"the same", 0, nil, true, "nothing worse"},
		{"a little, inside the interval", 0.2, nil, true, ""},
		{"stutter", 10, nil, false, "worse: rtmp over clean: stall s/100 s (1 s)"},
		{"a latency that is not reached", 0, func(r *Report) {
			for i := range r.Cells {
				r.Cells[i].Score.LatencyP99 = -1
			}
		}, false, "never, was"},
		{"a scheme is gone", 0, func(r *Report) { r.Cells = r.Cells[:9] }, false, "rtmp over clean: missing"},
		{"another run", 0, func(r *Report) { r.Settings.LatencyMs = 500 }, false, "not the same run"},
		{"noise all over", 10, func(r *Report) {
			for i := range r.Cells {
				r.Cells[i].Noisy = []string{"x"}
			}
		}, false, "nothing could be compared"},
		{"noise in the cells that are worse", 10, func(r *Report) {
			for i := range r.Cells {
				if r.Cells[i].Scheme == "rtmp" {
					r.Cells[i].Noisy = []string{"x"}
				}
			}
		}, true, "not judged: rtmp over lossy: only noisy cells"},
	} {
		r := sample(c.bad)
		if c.edit != nil {
			c.edit(r)
		}
		v := Gate(sample(0), r)
		var b strings.Builder
		v.Write(&b)
		if v.Pass() != c.pass || !strings.Contains(b.String(), c.says) {
			t.Errorf("%s: pass %v, want %v; it says\n%s", c.why, v.Pass(), c.pass, b.String())
		}
	}
}
