package netem

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bridge/nearest"
)

// take returns the next word; want describes it where there is none.
func (p *parser) take(want string) (token, string) {
	if p.i >= len(p.toks) {
		p.failHere("want " + want)
		return token{}, ""
	}
	t := p.toks[p.i]
	p.i++
	return t, t.text
}

// have takes the next word if it is this one.
func (p *parser) have(word string) bool {
	if p.err == nil && p.i < len(p.toks) && p.toks[p.i].text == word {
		p.i++
		return true
	}
	return false
}

func (p *parser) fail(t token, why string) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: line %d, word %d, %q: %s", ErrWords, t.line, t.word, t.text, why)
	}
}

// failHere complains about the next word, or about the end of the words after the last.
func (p *parser) failHere(why string) {
	switch {
	case p.err != nil:
	case p.i < len(p.toks):
		p.fail(p.toks[p.i], why)
	case p.i > 0:
		t := p.toks[p.i-1]
		p.err = fmt.Errorf("%w: line %d, after word %d, %q: %s", ErrWords, t.line, t.word, t.text, why)
	default:
		p.err = fmt.Errorf("%w: no words: %s", ErrWords, why)
	}
}

// split cuts "1.5ms" into 1.5 and "ms".
func split(s string) (float64, string, bool) {
	i := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' && r != '-' && r != '+' })
	if i < 0 {
		i = len(s)
	}
	f, err := strconv.ParseFloat(s[:i], 64)
	return f, s[i:], err == nil
}

// numeric says whether the next word begins like a figure, so that it is meant as one.
func (p *parser) numeric() bool {
	if p.err != nil || p.i >= len(p.toks) {
		return false
	}
	c := p.toks[p.i].text[0]
	return c >= '0' && c <= '9' || c == '.' || c == '-' || c == '+'
}

func (p *parser) percent() float64 {
	t, s := p.take("a percentage such as 1%")
	f, unit, ok := split(s)
	switch {
	case p.err != nil:
	case !ok || unit != "%" && (unit != "" || f != 0):
		p.fail(t, "want a percentage with its sign, such as 1%")
	case f < 0 || f > 100:
		p.fail(t, "want 0% to 100%")
	}
	return f / 100
}

func (p *parser) maybePercent(otherwise float64) float64 {
	if p.numeric() {
		return p.percent()
	}
	return otherwise
}

var timeUnits = map[string]time.Duration{
	"us": time.Microsecond, "usec": time.Microsecond, "ms": time.Millisecond, "msec": time.Millisecond,
	"s": time.Second, "sec": time.Second, "m": time.Minute, "min": time.Minute,
}

func (p *parser) time() time.Duration {
	t, s := p.take("a time such as 80ms")
	if p.err != nil {
		return 0
	}
	d, ok := parseTime(s)
	switch {
	case !ok:
		p.fail(t, "want a time with its unit, such as 80ms")
	case d < 0 || d > maxTime:
		p.fail(t, "want a time of 0 or more")
	}
	return d
}

func parseTime(s string) (time.Duration, bool) {
	f, unit, ok := split(s)
	u := timeUnits[unit]
	if !ok || u == 0 && (unit != "" || f != 0) {
		return 0, false
	}
	x := f * float64(u)
	if x > float64(2*maxTime) {
		return 2 * maxTime, true
	}
	return time.Duration(math.Round(x)), true
}

func (p *parser) maybeTime(otherwise time.Duration) time.Duration {
	if p.numeric() && !strings.HasSuffix(p.toks[p.i].text, "%") {
		return p.time()
	}
	return otherwise
}

var rateUnits = map[string]Bitrate{"bit": BitPerSecond, "kbit": Kbit, "mbit": Mbit, "gbit": Gbit}

func (p *parser) rate() Bitrate {
	t, s := p.take("a rate such as 4mbit")
	f, unit, ok := split(s)
	u := rateUnits[strings.ToLower(unit)]
	switch {
	case p.err != nil:
	case strings.HasSuffix(unit, "bps"):
		p.fail(t, "tc reads bps as bytes in a second: say mbit, kbit or bit")
	case !ok || u == 0:
		p.fail(t, "want a rate with its unit, such as 4mbit")
	case !(f*float64(u) >= float64(minRate) && f*float64(u) <= float64(maxRate)):
		p.fail(t, "want a rate from 1kbit to 1000gbit")
	}
	if p.err != nil {
		return minRate
	}
	return Bitrate(math.Round(f * float64(u)))
}

var byteUnits = map[string]float64{"b": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20}

func (p *parser) bytes() int {
	t, s := p.take("a size such as 64kb")
	f, unit, ok := split(s)
	u := byteUnits[unit]
	if p.err == nil && (!ok || u == 0 || f <= 0 || f*u > 1<<30) {
		p.fail(t, "want a size such as 64kb (b, kb, mb)")
		return 1
	}
	return int(f * u)
}

func (p *parser) number() int {
	t, s := p.take("a number")
	n, err := strconv.Atoi(s)
	if p.err == nil && (err != nil || n < 0 || n > 1<<30) {
		p.fail(t, "want a number of 0 or more")
	}
	return n
}

func (p *parser) limit() Limit {
	t, s := p.take("a limit such as 130, 64kb or 100ms")
	if p.err != nil {
		return Limit{}
	}
	if n, err := strconv.Atoi(strings.TrimSuffix(s, "p")); err == nil {
		if n <= 0 || n > 1<<30 {
			p.fail(t, "want 1 packet or more")
		}
		return Limit{Packets: n}
	}
	_, unit, _ := split(s)
	if byteUnits[unit] > 0 && unit != "m" {
		p.i--
		return Limit{Bytes: p.bytes()}
	}
	d, ok := parseTime(s)
	if !ok || d <= 0 || d > maxTime {
		p.fail(t, "want packets (130), bytes (64kb) or a time (100ms)")
	}
	return Limit{Time: d}
}

// nearestTo suggests the known word that differs in at most two letters.
func nearestTo(word string, known []string) string {
	best, ok := nearest.Word(word, known, 2)
	if !ok {
		return "; known are " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
