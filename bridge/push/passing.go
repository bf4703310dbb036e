package push

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/ingest"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
	"github.com/fairlead-live/fairlead/transport/quiclink"
)

// passing says which transport streams go to a relay as they are.
type passing uint8

const (
	passNever  passing = iota
	passAuto           // what has something that cannot be carried as a track
	passAlways         // every one
)

const (
	// pieceAge is how long the beginning of a piece may wait for its end where a stream comes in real time: ours, half of the usual time between PCRs.
	pieceAge = 20 * time.Millisecond
	// undecided bounds what is kept of a transport stream until its first PMT says what is in it, and is how much of a file is looked at: 0.4 s of 20 Mbit/s. A
	// PMT comes every 100 ms as a rule, 500 ms at most (ETSI TR 101 290 §5.2.1).
	undecided = 1 << 20
)

// takePassing takes the word out of a fairlead:// URL, for it is above package quiclink.
func takePassing(raw string) (rest string, how passing, err error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != quiclink.Scheme || !u.Query().Has("passthrough") {
		return raw, passAuto, nil
	}
	q := u.Query()
	word := q.Get("passthrough")
	q.Del("passthrough")
	u.RawQuery = q.Encode()
	switch word {
	case "auto":
		return u.String(), passAuto, nil
	case "0":
		return u.String(), passNever, nil
	case "1":
		return u.String(), passAlways, nil
	}
	return raw, passAuto, fmt.Errorf("%w: passthrough: %q is not auto, 0 or 1", config.ErrUsage, word)
}

// verdict is whether the input's transport stream is passed through. It falls once, when the input is known.
type verdict struct {
	want    passing // the most that any output asks for
	partial bool    // there are outputs that do not take it
	once    sync.Once
	fallen  chan struct{}
	pass    bool // valid once fallen is closed
}

// wanted sets up the verdict by the words of the URLs, which have been checked.
func (v *verdict) wanted(urls []string) {
	v.fallen = make(chan struct{})
	for _, raw := range urls {
		ways, _ := ways(raw)
		for _, way := range ways {
			_, how, _ := takePassing(way)
			if !strings.HasPrefix(way, quiclink.Scheme+"://") {
				how = passNever
			}
			v.want, v.partial = max(v.want, how), v.partial || how == passNever
		}
	}
	if v.want == passNever {
		v.decide(false)
	}
}

func (v *verdict) decide(pass bool) {
	v.once.Do(func() {
		if v.pass = pass; v.fallen != nil {
			close(v.fallen)
		}
	})
}

// known reports whether the verdict has fallen.
func (v *verdict) known() bool {
	select {
	case <-v.fallen:
		return true
	default:
		return false
	}
}

// beyond reports whether a stream has more than its tracks can carry; known: its tables have said so.
func beyond(ts *ingest.TS) (strange, known bool) {
	strange = len(ts.Ignored()) > 0 || ts.Programs() > 1
	return strange, strange || len(ts.Tracks()) > 0
}

// look reads the beginning of a file or a pipe without taking it, until it is known what is in it, and makes the verdict.
func (v *verdict) look(src source) {
	s, ok := src.(*tsSource)
	if !ok {
		v.decide(false)
	}
	if v.want == passAlways {
		v.decide(true)
	}
	if v.known() {
		return
	}
	ts, seen := ingest.NewTS(mpegts.Config{}), 0
	for n := 16 * mpegts.PacketSize; ; n = min(2*n, undecided) {
		head, err := s.r.Peek(n)
		ts.Write(time.Time{}, head[seen:])
		seen = len(head)
		if strange, known := beyond(ts); known || err != nil || n == undecided {
			v.decide(strange)
			return
		}
	}
}
