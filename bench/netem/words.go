package netem

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrWords is in the chain when ParseWords or ParsePath refuses a word; ErrConfig when words do not go together.
var ErrWords = errors.New("netem")

// ParseWords reads one direction of a link in tc netem's words, in any order, on any number of lines;
// # begins a comment:
//
//	delay TIME [JITTER [CORR]] [distribution uniform|normal|pareto|paretonormal] [inorder]
//	loss [random] P [CORR]
//	loss state P13 [P31 [P32 [P23 [P14]]]]
//	loss gemodel P [R [1-H [1-K]]]
//	loss getime GOOD BAD [1-H [1-K]]       as gemodel, but in mean times, not packets (ours)
//	reorder P [CORR] [gap N]
//	duplicate P [CORR]
//	corrupt P [CORR]
//	rate RATE [OVERHEAD] [poisson]         bytes more for each packet; 1500 bytes at Poisson times (ours)
//	trace FILE [offset TIME]               Mahimahi, or .rate; without offset the seed chooses one (ours)
//	limit PACKETS|BYTES|TIME               130, 64kb, 100ms
//	codel [target TIME] [interval TIME]
//	ecn
//	policer RATE burst BYTES               a token bucket with no queue (ours)
//	overhead BYTES
//	drought EVERY MIN [MAX]                holds all packets now and then (ours)
//	at TIME rate RATE | loss … | delay … | outage TIME | stall TIME | handover [outage TIME]   (ours)
//	                                       handover: this direction's sender has another address
//	repeat TIME                            the schedule starts again; what it changed stays until then (ours)
//
// P and CORR are percentages with their sign; RATE is in bit, kbit, mbit or gbit; BYTES in b, kb
// (1024) or mb; TIME in us, ms, s or m. A bad word is refused with its place. The config is
// validated, but for a trace, whose file is the caller's to read.
func ParseWords(s string) (Config, error) {
	p, err := parse(s, false, Config{}, Config{})
	if err != nil {
		return Config{}, err
	}
	return p.config[Up], nil
}

// ParsePath reads both directions. Words count for both until `up` or `down` says for which the next
// ones are; `both` goes back. In a schedule the direction may follow the time: at 10s up rate 3mbit.
func ParsePath(s string) (up, down Config, err error) {
	return ParsePathOver(Config{}, Config{}, s)
}

// ParsePathOver is ParsePath with configs that the words change: a word replaces what it is about, and
// `at` adds to the schedule.
func ParsePathOver(up, down Config, s string) (Config, Config, error) {
	p, err := parse(s, true, up, down)
	if err != nil {
		return Config{}, Config{}, err
	}
	return p.config[Up], p.config[Down], nil
}

type token struct {
	text       string
	line, word int
}

type scope uint8 // a set of directions

const (
	scopeUp scope = 1 << Up
	scopeDn scope = 1 << Down
)

type parser struct {
	toks   []token
	i      int
	err    error
	scope  scope
	paths  bool
	config [2]Config
	seen   map[string]bool
}

func parse(s string, paths bool, up, down Config) (*parser, error) {
	p := &parser{paths: paths, scope: scopeUp | scopeDn, seen: map[string]bool{}, config: [2]Config{up, down}}
	for d := range p.config {
		p.config[d].Schedule = slices.Clone(p.config[d].Schedule)
	}
	for n, line := range strings.Split(s, "\n") {
		line, _, _ = strings.Cut(line, "#")
		for w, text := range strings.Fields(line) {
			p.toks = append(p.toks, token{text, n + 1, w + 1})
		}
	}
	for p.err == nil && p.i < len(p.toks) {
		p.top()
	}
	if p.err != nil {
		return nil, p.err
	}
	for d := range p.config {
		c := &p.config[d]
		slices.SortStableFunc(c.Schedule, func(a, b Step) int { return int(max(-1, min(1, a.At-b.At))) })
		check := *c
		if check.TraceFile != "" { // read later
			check.TraceFile, check.Trace = "", anyTrace
		}
		if err := check.Validate(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

var anyTrace = &Trace{ms: []uint32{1}, mean: 12 * Mbit}

var topWords = []string{
	"delay", "loss", "reorder", "duplicate", "corrupt", "rate", "trace", "limit", "codel", "ecn",
	"policer", "overhead", "drought", "at", "repeat", "up", "down", "both",
}

// each applies f to every direction in scope.
func (p *parser) each(f func(c *Config)) {
	for d := range p.config {
		if p.scope&(1<<d) != 0 && p.err == nil {
			f(&p.config[d])
		}
	}
}

func (p *parser) top() {
	t, word := p.take("a word")
	if !slices.Contains([]string{"at", "up", "down", "both"}, word) {
		key := fmt.Sprint(strings.Replace(word, "trace", "rate", 1), p.scope) // these exclude each other
		if p.seen[key] {
			p.fail(t, "given twice: for a change in time say at TIME "+word+" …")
			return
		}
		p.seen[key] = true
	}
	switch word {
	case "delay":
		d := p.delay()
		p.each(func(c *Config) { c.Delay = d })
	case "loss":
		l := p.loss()
		p.each(func(c *Config) { c.Loss = l })
	case "reorder":
		r := Reorder{P: p.percent(), Corr: p.maybePercent(0)}
		if p.have("gap") {
			r.Gap = p.number()
		}
		p.each(func(c *Config) { c.Reorder = r })
	case "duplicate", "corrupt":
		ch := Chance{p.percent(), p.maybePercent(0)}
		p.each(func(c *Config) {
			if word == "corrupt" {
				c.Corrupt = ch
			} else {
				c.Duplicate = ch
			}
		})
	case "rate":
		r := p.rate()
		if p.numeric() {
			n := p.number()
			p.each(func(c *Config) { c.Overhead = n })
		}
		if p.numeric() {
			p.failHere("cells are not modelled")
		}
		poisson := p.have("poisson")
		p.each(func(c *Config) { c.Rate, c.Poisson, c.TraceFile, c.Trace = r, poisson, "", nil })
	case "trace":
		_, name := p.take("a file name")
		offset := time.Duration(-1)
		if p.have("offset") {
			offset = p.time()
		}
		p.each(func(c *Config) { c.Rate, c.Poisson, c.TraceFile, c.Trace, c.TraceOffset = 0, false, name, nil, offset })
	case "limit":
		l := p.limit()
		p.each(func(c *Config) { c.Limit = l })
	case "codel":
		k := CoDel{On: true}
		for {
			if p.have("target") {
				k.Target = p.time()
			} else if p.have("interval") {
				k.Interval = p.time()
			} else {
				break
			}
		}
		p.each(func(c *Config) { c.CoDel = k })
	case "ecn":
		p.each(func(c *Config) { c.ECN = true })
	case "policer":
		b := Policer{Rate: p.rate()}
		if !p.have("burst") {
			p.failHere("want burst BYTES")
		}
		b.Burst = p.bytes()
		p.each(func(c *Config) { c.Policer = b })
	case "overhead":
		n := p.number()
		p.each(func(c *Config) { c.Overhead = n })
	case "drought":
		d := Drought{Every: p.time(), Min: p.time()}
		d.Max = p.maybeTime(d.Min)
		p.each(func(c *Config) { c.Drought = d })
	case "at":
		p.step()
	case "repeat":
		d := p.time()
		p.each(func(c *Config) { c.Repeat = d })
	case "up", "down", "both":
		p.direction(t)
	default:
		p.fail(t, "unknown word"+nearestTo(word, topWords))
	}
}

func (p *parser) direction(t token) {
	if !p.paths {
		p.fail(t, "these words are for one direction")
		return
	}
	p.scope = map[string]scope{"up": scopeUp, "down": scopeDn, "both": scopeUp | scopeDn}[t.text]
}
