package quiclink

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// Scheme and DefaultPort of the URLs.
const (
	Scheme      = "fairlead"
	DefaultPort = "4433"
)

// Carriage says how media travels.
type Carriage uint8

// Carriages.
const (
	Auto     Carriage = iota // SRTP, and DATAGRAM when that does not get through
	SRTP                     // beside QUIC on the same socket
	Datagram                 // in QUIC DATAGRAM frames
)

func (c Carriage) String() string {
	if c <= Datagram {
		return [...]string{"auto", "srtp", "datagram"}[c]
	}
	return "unknown"
}

// Target is what a URL names.
//
//	fairlead://HOST[:4433]/APP/KEY?token=…&latency=300ms[..1s]&pin=…&transport=auto|srtp|datagram&max=20M&inorder=1
type Target struct {
	Host     string // for the certificate's name
	Addr     string // host:port
	Name     string // app/key
	Token    string
	Pin      string
	Latency  time.Duration      // 0: the default, 300 ms
	Most     time.Duration      // up to which it may grow where the path carries less than the stream; 0: the default, 5 s; Latency or less: not
	Carriage Carriage           //
	MaxRate  congestion.Bitrate // of media; 0: the default, 20 Mbit/s
	InOrder  bool               // frames leave the relay as soon as they are in order, not at constant latency
}

// ParseURL reads a URL. The error names what is wrong with it, without its token.
func ParseURL(raw string) (Target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return Target{}, fmt.Errorf("quiclink: a URL that cannot be read")
	}
	name := strings.Trim(u.Path, "/")
	switch {
	case u.Scheme != Scheme:
		return Target{}, fmt.Errorf("quiclink: scheme %q is not %s", u.Scheme, Scheme)
	case u.Hostname() == "":
		return Target{}, fmt.Errorf("quiclink: no host in the URL")
	case !strings.Contains(name, "/"):
		return Target{}, fmt.Errorf("quiclink: path %q is not /APP/KEY", u.Path)
	}
	port := u.Port()
	if port == "" {
		port = DefaultPort
	}
	t := Target{Host: u.Hostname(), Addr: net.JoinHostPort(u.Hostname(), port), Name: name}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Target{}, fmt.Errorf("quiclink: the URL's parameters cannot be read")
	}
	for word, values := range q {
		if err := t.set(word, values[len(values)-1]); err != nil {
			return Target{}, fmt.Errorf("quiclink: URL: %w", err)
		}
	}
	return t, nil
}

func (t *Target) set(word, v string) (err error) {
	switch word {
	case "token":
		t.Token = v
	case "pin":
		t.Pin = v
		_, err = parsePin(v)
	case "latency":
		t.Latency, t.Most, err = parseLatency(v)
	case "transport":
		for c := Auto; c <= Datagram; c++ {
			if v == c.String() {
				t.Carriage = c
				return nil
			}
		}
		return fmt.Errorf("transport: %q is not auto, srtp or datagram", v)
	case "max":
		if t.MaxRate, err = ParseRate(v); err != nil {
			err = fmt.Errorf("max: %w", err)
		}
	case "inorder":
		if v != "0" && v != "1" {
			return fmt.Errorf("inorder: %q is not 0 or 1", v)
		}
		t.InOrder = v == "1"
	default: // fallback is a second way, passthrough what is sent: both are above this package
		return fmt.Errorf("%q is not one of token, latency, pin, transport, max, inorder, fallback, passthrough", word)
	}
	return err
}

// parseLatency reads 300ms, or 300ms..1s, or 300ms..300ms. most is 0 where only one is given.
func parseLatency(v string) (least, most time.Duration, err error) {
	for i, word := range strings.SplitN(v, "..", 2) {
		d, err := time.ParseDuration(word)
		switch {
		case err != nil:
			return 0, 0, fmt.Errorf("latency: %q has no unit; write 300ms, or 300ms..1s", v)
		case d < minLatency || d > maxLatency:
			return 0, 0, fmt.Errorf("latency: %v is outside %v to %v", d, minLatency, maxLatency)
		case i == 0:
			least = d
		case d < least:
			return 0, 0, fmt.Errorf("latency: %v..%v goes down", least, d)
		default:
			most = d
		}
	}
	return least, most, nil
}

// ParseRate reads a bitrate of 50k to 200M: 4M, 800k or plain bits per second.
func ParseRate(v string) (congestion.Bitrate, error) {
	var n float64
	var unit string
	if _, err := fmt.Sscanf(v, "%g%s", &n, &unit); err != nil && unit == "" && n == 0 {
		return 0, fmt.Errorf("%q is not a bitrate such as 8M", v)
	}
	scale, ok := map[string]float64{"": 1, "k": 1e3, "K": 1e3, "m": 1e6, "M": 1e6}[unit]
	r := congestion.Bitrate(n * scale)
	if !ok || r < 50*congestion.Kbps || r > 200*congestion.Mbps {
		return 0, fmt.Errorf("%q is not a bitrate from 50k to 200M", v)
	}
	return r, nil
}

// Bounds of the playout latency: session.Config's below, the hello's 16 bits of milliseconds above with room.
const (
	minLatency     = 10 * time.Millisecond
	maxLatency     = 30 * time.Second
	defaultLatency = 300 * time.Millisecond
	defaultMost    = 10 * time.Second // ours: docs/budget.md
)
