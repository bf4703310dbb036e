package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrFormat says that a results file is not one this version reads.
var ErrFormat = errors.New("report: not a results file of this version")

// Save writes results.json, results.csv, results.md, junit.xml and report.html into dir, each whole or not at all.
func (r *Report) Save(dir string) error {
	if err := r.SaveData(dir); err != nil {
		return err
	}
	return save(dir, "report.html", r.WriteHTML)
}

// SaveData is Save without the page, which takes longest to draw: for a run in progress.
func (r *Report) SaveData(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return errors.Join(
		save(dir, "results.json", r.WriteJSON),
		save(dir, "results.csv", r.WriteCSV),
		save(dir, "results.md", r.WriteMarkdown),
		save(dir, "junit.xml", r.WriteJUnit),
	)
}

func save(dir, name string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return fmt.Errorf("report: %s: %w", name, err)
	}
	path := filepath.Join(dir, name)
	half := path + ".part"
	if err := os.WriteFile(half, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := os.Rename(half, path); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// Load reads a results.json.
func Load(path string) (*Report, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("report: %s: %w", path, err)
	}
	if r.Format != Format {
		return nil, fmt.Errorf("%w: %s has format %d, want %d", ErrFormat, path, r.Format, Format)
	}
	return &r, nil
}

// WriteJSON writes everything.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// WriteCSV writes a line for each cell.
func (r *Report) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	head := []string{"profile", "scheme", "seed"}
	for _, m := range metrics {
		head = append(head, m.name)
	}
	head = append(head, "frames_expected", "frames_arrived", "frames_undecodable", "audio_expected", "audio_arrived",
		"up_packets", "up_bytes", "up_lost", "down_packets", "down_bytes", "control_p99_ms", "emulator_late_p99_ms", "noisy", "error")
	if err := c.Write(head); err != nil {
		return err
	}
	for i := range r.Cells {
		k := &r.Cells[i]
		l := []string{k.Profile, k.Scheme, fmt.Sprint(k.Seed)}
		for _, m := range metrics {
			l = append(l, fmt.Sprintf("%.3f", m.of(k)))
		}
		for _, v := range []any{
			k.Score.Expected, k.Score.Frames, k.Score.Undecodable, k.Sound.Expected, k.Sound.Arrived,
			k.Up.Packets, k.Up.Bytes, k.Up.Lost, k.Down.Packets, k.Down.Bytes,
			k.Control.P99Ms, max(k.Up.LateP99Ms, k.Down.LateP99Ms), strings.Join(k.Noisy, "; "), k.Error,
		} {
			l = append(l, fmt.Sprint(v))
		}
		if err := c.Write(l); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string    `xml:"classname,attr"`
	Name    string    `xml:"name,attr"`
	Time    float64   `xml:"time,attr"`
	Failure *junitWhy `xml:"failure,omitempty"`
	Skipped *junitWhy `xml:"skipped,omitempty"`
	Out     string    `xml:"system-out,omitempty"`
}

type junitWhy struct {
	Message string `xml:"message,attr"`
}

// WriteJUnit writes a test case for each cell: it fails where a program did. Numbers are for Gate to judge.
func (r *Report) WriteJUnit(w io.Writer) error {
	s := junitSuite{Name: "fairlead bench"}
	for i := range r.Cells {
		c := &r.Cells[i]
		k := junitCase{Class: c.Profile, Name: fmt.Sprintf("%s seed %d", c.Scheme, c.Seed), Time: c.Score.Seconds, Out: c.Line()}
		if c.Error != "" {
			k.Failure = &junitWhy{c.Error}
			s.Failures++
		}
		s.Cases = append(s.Cases, k)
	}
	for _, k := range r.Skipped {
		s.Cases = append(s.Cases, junitCase{Class: "all", Name: k.Scheme, Skipped: &junitWhy{k.Why}})
		s.Skipped++
	}
	s.Tests = len(s.Cases)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	return e.Encode(s)
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
