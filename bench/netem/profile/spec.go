package profile

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// spec is the YAML of one profile or family.
type spec struct {
	Name   string           `yaml:"name"`
	About  string           `yaml:"about"`
	Source string           `yaml:"source"`
	Words  string           `yaml:"words"`
	Models map[string]Model `yaml:"models"`
	More   []specLink       `yaml:"more"`
	Each   []specEach       `yaml:"each"`

	file string
}

type specLink struct {
	Name  string `yaml:"name"`
	Words string `yaml:"words"`
}

type specEach struct {
	Word   string    `yaml:"word"`
	Values []float64 `yaml:"values"`
}

//go:embed profiles/*.yaml
var files embed.FS

// builtin decodes the embedded files once; they are in order of their names, which begin with a number.
var builtin = sync.OnceValue(func() []spec {
	entries, err := files.ReadDir("profiles")
	if err != nil {
		panic(err)
	}
	var all []spec
	for _, e := range entries {
		b, err := files.ReadFile(path.Join("profiles", e.Name()))
		if err != nil {
			panic(err)
		}
		s, err := decode(e.Name(), b)
		if err != nil {
			panic(err) // a test loads them all
		}
		all = append(all, s)
	}
	return all
})

// YAML returns the text of a built-in profile's file, for a user to copy. The name may be one of a family.
func YAML(name string) ([]byte, bool) {
	for _, s := range builtin() {
		if _, ok := s.named(name); ok {
			b, err := files.ReadFile(path.Join("profiles", s.file))
			return b, err == nil
		}
	}
	return nil, false
}

func decode(file string, b []byte) (spec, error) {
	var s spec
	if err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(&s); err != nil {
		return spec{}, fmt.Errorf("profile: %s: %w", file, err)
	}
	if s.Name == "" || s.Source == "" {
		return spec{}, fmt.Errorf("profile: %s: want a name and a source", file)
	}
	s.file = file
	return s, nil
}

// spell returns each profile of a family, or the profile itself.
func (s spec) spell() []spec {
	all := []spec{s}
	for _, e := range s.Each {
		var next []spec
		for _, one := range all {
			for _, v := range e.Values {
				next = append(next, one.with(e.Word, v))
			}
		}
		all = next
	}
	return all
}

// with puts a value in place of {word}, and half of it in place of {word/2}.
func (s spec) with(word string, v float64) spec {
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	r := strings.NewReplacer("{"+word+"}", number(v), "{"+word+"/2}", number(v/2))
	s.Name, s.About, s.Words = r.Replace(s.Name), r.Replace(s.About), r.Replace(s.Words)
	s.Each = slices.DeleteFunc(slices.Clone(s.Each), func(e specEach) bool { return e.Word == word })
	return s
}

// named returns the profile of that name: of a family with whatever numbers it has.
func (s spec) named(name string) (spec, bool) {
	if len(s.Each) == 0 {
		return s, name == s.Name
	}
	pattern := regexp.QuoteMeta(s.Name)
	for _, e := range s.Each {
		pattern = strings.Replace(pattern, regexp.QuoteMeta("{"+e.Word+"}"), `(?P<`+e.Word+`>[0-9]{1,6}(?:\.[0-9]{1,6})?)`, 1)
	}
	re := regexp.MustCompile("^" + pattern + "$")
	m := re.FindStringSubmatch(name)
	if m == nil {
		return s, false
	}
	for i, word := range re.SubexpNames() {
		if word == "" {
			continue
		}
		v, err := strconv.ParseFloat(m[i], 64)
		if err != nil {
			return s, false
		}
		s = s.with(word, v)
	}
	return s, true
}

func (s spec) load(src source) (Profile, error) {
	words := strings.TrimSpace(s.Words)
	p := Profile{Name: s.Name, About: s.About, Source: strings.TrimSpace(s.Source), Words: words}
	var err error
	if p.Up, p.Down, err = netem.ParsePath(words); err != nil {
		return Profile{}, fmt.Errorf("profile: %s: words: %w", s.Name, err)
	}
	configs := []*netem.Config{&p.Up, &p.Down}
	p.More = make([]Pair, len(s.More))
	for i, m := range s.More {
		up, down, err := netem.ParsePath(m.Words)
		if err != nil {
			return Profile{}, fmt.Errorf("profile: %s: %s: words: %w", s.Name, m.Name, err)
		}
		p.More[i] = Pair{m.Name, up, down}
		configs = append(configs, &p.More[i].Up, &p.More[i].Down)
	}
	if err := src.resolve(&p, s.Models, configs...); err != nil {
		return Profile{}, err
	}
	return p, nil
}

// suggest names the built-in profiles that look alike.
func suggest(name string) string {
	var near []string
	for _, n := range Names() {
		if len(name) >= 3 && (strings.Contains(n, name) || strings.HasPrefix(n, name[:3])) {
			near = append(near, n)
		}
	}
	if len(near) == 0 {
		return "; `fairlead bench list` names the profiles"
	}
	return "; near are " + strings.Join(near[:min(len(near), 8)], ", ")
}
