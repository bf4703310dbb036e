// Package profile names bad links: built-in ones with the source of their numbers, a user's own in a
// YAML file, a trace file, or netem's words as they are.
//
//	p, err := profile.Load("lte-driving", "")                 // built in
//	p, err := profile.Load("loss7-rtt80", "")                 // one of a family, any number
//	p, err := profile.Load("lte-driving loss 5%", "")         // and more words
//	p, err := profile.Load("my.yaml", "../shared/traces")     // a copy of a built-in one, changed
//	p, err := profile.Load("delay 80ms 20ms loss 2%", "")     // words
//
// A profile is a YAML file in the folder profiles:
//
//	name: lte-driving
//	about: one line
//	source: where each number comes from
//	words: |               # both directions, see netem.ParsePath
//	  delay 30ms
//	  up trace some.up limit 250
//	models:                # what stands in for a trace file that is not there
//	  some.up: {quantiles: [0, 1, 2, 5, 9], mean: 2.5, correlation: 0.5, texture: 0.4}
//	more:                  # further links of a bonded path
//	  - {name: second, words: delay 100ms}
//	each:                  # a family: {loss} in name and words is one of these, {loss/2} half of it
//	  - {word: loss, values: [1, 2, 5]}
//
// A trace is looked for in the folder of traces that is given to Load; where it is missing the model
// makes one. Profile.Synthetic and Profile.Recorded say which it was. This package reads files, so it
// is a shell around netem.
package profile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// Profile is one link under a name.
type Profile struct {
	Name   string
	About  string
	Source string // where the numbers come from
	Words  string // both directions, as given

	Up, Down netem.Config
	More     []Pair // further links of a bonded path, after the first

	Recorded  []string // traces that were read from a file
	Synthetic []string // traces that a model made, in place of a recording
}

// Pair is one link of a bonded path.
type Pair struct {
	Name     string
	Up, Down netem.Config
}

// Links returns all links of the path, the first one as "first".
func (p *Profile) Links() []Pair {
	return append([]Pair{{"first", p.Up, p.Down}}, p.More...)
}

// Length is how long a run must be to see the whole schedule once, and 10 s after its last step; 0 without one.
func (p *Profile) Length() time.Duration {
	var d time.Duration
	for _, l := range p.Links() {
		for _, c := range []netem.Config{l.Up, l.Down} {
			d = max(d, c.Repeat)
			if n := len(c.Schedule); n > 0 && c.Repeat == 0 {
				d = max(d, c.Schedule[n-1].At+c.Schedule[n-1].For+10*time.Second)
			}
		}
	}
	return d
}

// ErrUnknown is in the chain when a name is no profile, no file and no words.
var ErrUnknown = errors.New("profile: unknown")

// List returns the built-in profiles, families spelled out, in the order of docs/profiles.md. Traces are synthetic.
func List() []Profile {
	var all []Profile
	for _, s := range builtin() {
		for _, one := range s.spell() {
			p, err := one.load(source{})
			if err != nil {
				panic(err) // a test loads them all
			}
			all = append(all, p)
		}
	}
	return all
}

// Names of the built-in profiles, families spelled out, in List's order.
func Names() []string {
	var names []string
	for _, s := range builtin() {
		for _, one := range s.spell() {
			names = append(names, one.Name)
		}
	}
	return names
}

// Load finds a profile by what the user wrote: the name of a built-in one, the path of a YAML file or
// of a trace file, each with more words behind it; or words alone. tracesDir is where recorded traces are;
// empty: nowhere.
func Load(what, tracesDir string) (Profile, error) {
	src := source{dir: tracesDir}
	first, rest, _ := strings.Cut(strings.TrimSpace(what), " ")
	p, err := load(first, what, src)
	if err != nil || p.Words == what || strings.TrimSpace(rest) == "" {
		return p, err
	}
	p.Name = what
	p.Words += "\n" + rest
	p.Up, p.Down, err = netem.ParsePathOver(p.Up, p.Down, rest)
	if err != nil {
		return Profile{}, fmt.Errorf("profile: %w", err)
	}
	return p, src.resolve(&p, nil, &p.Up, &p.Down)
}

// load takes the first word as a name or a file, or else all of it as words.
func load(first, what string, src source) (Profile, error) {
	for _, s := range builtin() {
		if one, ok := s.named(first); ok {
			return one.load(src)
		}
	}
	ext := filepath.Ext(first)
	if ext == ".yaml" || ext == ".yml" {
		b, err := os.ReadFile(first)
		if err != nil {
			return Profile{}, fmt.Errorf("profile: %w", err)
		}
		s, err := decode(first, b)
		if err != nil {
			return Profile{}, err
		}
		if len(s.Each) > 0 {
			return Profile{}, fmt.Errorf("profile: %s: each is for built-in families: choose one and write its words", first)
		}
		src.near = filepath.Dir(first)
		return s.load(src)
	}
	if st, err := os.Stat(first); err == nil && st.Mode().IsRegular() {
		return traceFile(first, src)
	}
	up, down, err := netem.ParsePath(what)
	if err != nil {
		if !strings.Contains(strings.TrimSpace(what), " ") {
			return Profile{}, fmt.Errorf("%w: %q is no profile, no file and no words of netem%s", ErrUnknown, first, suggest(first))
		}
		return Profile{}, fmt.Errorf("profile: %w", err)
	}
	p := Profile{Name: what, About: "as given", Source: "the command line", Words: what, Up: up, Down: down}
	return p, src.resolve(&p, nil, &p.Up, &p.Down)
}

// traceFile makes a profile of a trace alone: no delay, no loss. A .up file brings its .down along.
func traceFile(path string, src source) (Profile, error) {
	p := Profile{
		Name: strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), About: "a trace alone: no delay, no loss",
		Source: path, Words: "up trace " + path,
	}
	p.Up = netem.Config{TraceFile: path, TraceOffset: -1}
	if base, ok := strings.CutSuffix(path, ".up"); ok {
		if _, err := os.Stat(base + ".down"); err == nil {
			p.Words += " down trace " + base + ".down"
			p.Down = netem.Config{TraceFile: base + ".down", TraceOffset: -1}
		}
	}
	return p, src.resolve(&p, nil, &p.Up, &p.Down)
}

// source is where traces come from.
type source struct {
	dir  string // the user's folder of traces; empty: none
	near string // the folder of the profile's file; empty: none
}

// resolve reads the traces that configs name, or has their models make them.
func (src source) resolve(p *Profile, models map[string]Model, configs ...*netem.Config) error {
	for _, c := range configs {
		if c.TraceFile == "" || c.Trace != nil {
			continue
		}
		t, recorded, err := src.trace(c.TraceFile, models)
		if err != nil {
			return err
		}
		c.Trace = t
		if recorded {
			p.Recorded = append(p.Recorded, c.TraceFile)
		} else {
			p.Synthetic = append(p.Synthetic, c.TraceFile)
		}
		if err := c.Validate(); err != nil {
			return fmt.Errorf("profile: %s: %w", p.Name, err)
		}
	}
	return nil
}

func (src source) trace(name string, models map[string]Model) (t *netem.Trace, recorded bool, err error) {
	model, hasModel := models[name]
	var tries []string
	if src.dir != "" {
		tries = append(tries, filepath.Join(src.dir, filepath.Base(name)))
	}
	if src.near != "" && !filepath.IsAbs(name) {
		tries = append(tries, filepath.Join(src.near, name))
	} else if !hasModel {
		tries = append(tries, name)
	}
	for _, path := range tries {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, false, fmt.Errorf("profile: trace: %w", err)
		}
		t, err := netem.ParseTrace(path, b)
		return t, true, err
	}
	if !hasModel {
		return nil, false, fmt.Errorf("profile: trace %s: %w (looked for %s)", name, fs.ErrNotExist, strings.Join(tries, ", "))
	}
	t, err = made(model)
	if err != nil {
		return nil, false, fmt.Errorf("profile: trace %s: %w", name, err)
	}
	return t, false, nil
}
