// Package config reads the settings of fairlead's sub-commands from flags, environment and a YAML file.
//
// A setting has one word: flag --srt-latency, environment FAIRLEAD_SRT_LATENCY, YAML key srt-latency. A flag wins over
// the environment, that over the file, that over the default. A word nobody knows is an error that names the nearest one.
package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/fairlead-live/fairlead/bridge/nearest"
)

// ErrUsage is wrapped by every error that the person who typed it can mend.
var ErrUsage = errors.New("usage")

// EnvPrefix stands before every environment variable.
const EnvPrefix = "FAIRLEAD_"

// Set is a sub-command's settings. Add them with String, Duration, Bool and List, then Parse.
type Set struct {
	name  string
	flags *flag.FlagSet
	words []string
	lists map[string]*[]string
	tree  [2]string // the lists that streams in a file adds to; empty: it has none
	file  string
}

// NewSet makes the settings of one sub-command; --config FILE is always among them.
func NewSet(name string) *Set {
	s := &Set{name: name, flags: flag.NewFlagSet(name, flag.ContinueOnError), lists: map[string]*[]string{}}
	s.flags.SetOutput(io.Discard)
	s.flags.StringVar(&s.file, "config", "", "YAML `FILE` with the same words as keys")
	return s
}

// String adds a text setting.
func (s *Set) String(p *string, word, def, usage string) {
	s.flags.StringVar(p, word, def, usage)
	s.words = append(s.words, word)
}

// Duration adds a time setting, written with its unit (300ms).
func (s *Set) Duration(p *time.Duration, word string, def time.Duration, usage string) {
	s.flags.DurationVar(p, word, def, usage)
	s.words = append(s.words, word)
}

// Bool adds a switch.
func (s *Set) Bool(p *bool, word string, def bool, usage string) {
	s.flags.BoolVar(p, word, def, usage)
	s.words = append(s.words, word)
}

// Int adds a number.
func (s *Set) Int(p *int, word string, def int, usage string) {
	s.flags.IntVar(p, word, def, usage)
	s.words = append(s.words, word)
}

// List adds a repeatable setting: the flag several times, the environment separated by spaces, YAML as a list.
// The source that wins replaces the whole list.
func (s *Set) List(p *[]string, word, usage string) {
	s.flags.Var(&list{p: p}, word, usage)
	s.lists[word] = p
	s.words = append(s.words, word)
}

type list struct {
	p   *[]string
	own bool
}

func (l *list) String() string {
	if l.p == nil {
		return ""
	}
	return strings.Join(*l.p, " ")
}

func (l *list) Set(v string) error {
	if !l.own {
		*l.p, l.own = nil, true
	}
	*l.p = append(*l.p, v)
	return nil
}

// Usage writes the table of settings.
func (s *Set) Usage(w io.Writer) {
	s.flags.VisitAll(func(f *flag.Flag) {
		unit, usage := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "  --%-28s %s", strings.TrimSpace(f.Name+" "+strings.ToUpper(unit)), usage)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0s" && f.DefValue != "0" {
			fmt.Fprintf(w, " (default %s)", f.DefValue)
		}
		fmt.Fprintln(w)
	})
}

// Word is one setting, for who writes about it.
type Word struct {
	Name, Unit, Usage, Default string
	Switch                     bool // it takes no value
}

// Words returns the settings, by name.
func (s *Set) Words() (all []Word) {
	s.flags.VisitAll(func(f *flag.Flag) {
		unit, usage := flag.UnquoteUsage(f)
		b, ok := f.Value.(interface{ IsBoolFlag() bool })
		all = append(all, Word{f.Name, unit, usage, f.DefValue, ok && b.IsBoolFlag()})
	})
	return all
}

// Parse reads args, then env (os.Environ's shape) and the file for what args leave unset; it returns the arguments that
// are not flags. flag.ErrHelp means that help was asked for; other errors wrap ErrUsage.
func (s *Set) Parse(args, env []string) ([]string, error) {
	rest, err := s.parseFlags(args)
	if err != nil {
		return nil, err
	}
	set := map[string]bool{}
	s.flags.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if err := s.parseEnv(env, set); err != nil {
		return nil, err
	}
	if s.file != "" {
		b, err := os.ReadFile(s.file)
		if err != nil {
			return nil, fmt.Errorf("%w: --config: %w", ErrUsage, err)
		}
		if err := s.parseYAML(s.file, b, set); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// ParseFile is Parse with the content of a file in place of --config's.
func (s *Set) ParseFile(args, env []string, yaml []byte) error {
	if _, err := s.parseFlags(args); err != nil {
		return err
	}
	set := map[string]bool{}
	s.flags.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if err := s.parseEnv(env, set); err != nil {
		return err
	}
	return s.parseYAML("the configuration", yaml, set)
}

// parseFlags lets flags and arguments mix; "--" ends the flags.
func (s *Set) parseFlags(args []string) ([]string, error) {
	var rest []string
	for {
		err := s.flags.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		if err != nil {
			return nil, fmt.Errorf("%w: fairlead %s: %s", ErrUsage, s.name, s.explain(err))
		}
		left := s.flags.Args()
		if n := len(args) - len(left); n > 0 && args[n-1] == "--" || len(left) == 0 {
			return append(rest, left...), nil
		}
		rest = append(rest, left[0])
		args = left[1:]
	}
}

// explain turns the flag package's error into ours, with the nearest word.
func (s *Set) explain(err error) string {
	msg := err.Error()
	if word, ok := strings.CutPrefix(msg, "flag provided but not defined: -"); ok {
		return fmt.Sprintf("unknown flag --%s%s", strings.TrimPrefix(word, "-"), s.meant(strings.TrimPrefix(word, "-"), "--"))
	}
	return msg
}

func (s *Set) meant(word, prefix string) string {
	return suggest(word, prefix, append([]string{"config"}, s.words...))
}

// suggest names the known word that was meant, if one is near.
func suggest(word, prefix string, known []string) string {
	best, ok := nearest.Word(word, known, max(2, len(word)/2))
	if !ok {
		return ""
	}
	return fmt.Sprintf("; did you mean %s%s?", prefix, best)
}

func (s *Set) parseEnv(env []string, set map[string]bool) error {
	for _, e := range env {
		k, v, _ := strings.Cut(e, "=")
		k, ok := strings.CutPrefix(k, EnvPrefix)
		if !ok {
			continue
		}
		word := strings.ToLower(strings.ReplaceAll(k, "_", "-"))
		switch {
		case word == "config":
			if s.file == "" {
				s.file = v
			}
		case !slices.Contains(s.words, word) || set[word]:
			// Other programs of the house may have variables of their own: an unknown one is no error.
		case s.lists[word] != nil:
			*s.lists[word] = strings.Fields(v)
			set[word] = true
		default:
			if err := s.flags.Set(word, v); err != nil {
				return fmt.Errorf("%w: %s%s=%q: %w", ErrUsage, EnvPrefix, k, v, err)
			}
			set[word] = true
		}
	}
	return nil
}

func (s *Set) parseYAML(name string, b []byte, set map[string]bool) error {
	f, err := parser.ParseBytes(b, 0)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUsage, name, err)
	}
	for _, doc := range f.Docs {
		words, err := pairs(doc.Body)
		if err != nil {
			return fmt.Errorf("%w: %s: not a list of key: value", ErrUsage, name)
		}
		seen := map[string]bool{}
		var tree ast.Node
		for _, p := range words {
			word, line := p.Key.String(), p.Key.GetToken().Position.Line
			if word == "streams" && s.tree[0] != "" && !seen[word] {
				seen[word], tree = true, p.Value
				continue
			}
			if !slices.Contains(s.words, word) {
				return fmt.Errorf("%w: %s:%d: unknown key %q%s", ErrUsage, name, line, word, s.meant(word, ""))
			}
			if seen[word] {
				return fmt.Errorf("%w: %s:%d: %s stands twice", ErrUsage, name, line, word)
			}
			seen[word] = true
			if set[word] {
				continue
			}
			if err := s.setYAML(word, p.Value); err != nil {
				return fmt.Errorf("%w: %s:%d: %s: %w", ErrUsage, name, line, word, err)
			}
		}
		if tree != nil {
			if err := s.parseStreams(name, tree, set); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Set) setYAML(word string, v ast.Node) error {
	if p := s.lists[word]; p != nil {
		var out []string
		if _, empty := v.(*ast.NullNode); empty {
			return nil
		}
		seq, ok := v.(*ast.SequenceNode)
		if !ok {
			return errors.New("wants a list: one “- item” a line")
		}
		for _, item := range seq.Values {
			text, err := scalar(item)
			if err != nil {
				return err
			}
			out = append(out, text)
		}
		*p = out
		return nil
	}
	text, err := scalar(v)
	if err != nil {
		return err
	}
	return s.flags.Set(word, text)
}

func scalar(v ast.Node) (string, error) {
	switch v := v.(type) {
	case *ast.NullNode:
		return "", nil
	case *ast.StringNode:
		return v.Value, nil
	case *ast.LiteralNode:
		return v.Value.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return v.GetToken().Value, nil
	}
	return "", errors.New("wants one value")
}
