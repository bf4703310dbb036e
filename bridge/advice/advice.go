// Package advice says in sentences what is wrong with a stream and what to do, with the figures it goes by.
//
// A [Rule] looks at [Facts] and holds no state; a [Keeper] says a sentence when its rule has held for a while, and takes it back when it has
// not for longer, so that nothing flickers. [Meter] finds out what an encoder makes.
//
// What it leaves to others: gathering facts (bridge/relay), showing sentences (bridge/api, bridge/page).
package advice

import (
	"slices"
	"time"
)

// Facts are what is known of a stream now.
type Facts struct {
	Protocol   string // of the publisher: "srt", "quic", "rtmp"; empty: nobody publishes
	Latency    time.Duration
	Asked      time.Duration // latency the publisher asked for, where the protocol says it
	KnowsAsked bool
	RTT        time.Duration
	Loss       float64 // share of packets lost on the way, of the last 30 s
	Holes      float64 // packets a second missing at their deadline, of the last 30 s
	Shape      Shape
	EncoderS   float64 // stall seconds of the last 100 whose cause is the encoder
	CapacityS  float64 // and the way's capacity
	Bitrate    float64 // bits/s of media now
	Target     float64 // bits/s the way has room for; 0: not known
	KeyInUse   uint64  // publishers refused in the last minute because another one has the key

	SocketDrops  uint64 // datagrams the kernel threw away in the last minute, because a socket's buffer was full
	SocketBuffer int    // bytes a socket got
	SocketWanted int    // bytes asked for

	Outputs []Output
}

// Output is a destination.
type Output struct {
	Destination string
	Live        bool
	Lag         time.Duration
	Dropped     uint64  // frames in the last minute
	EgressS     float64 // stall seconds of the last 100 whose cause is the destination
	KeyInUse    bool    // it refuses because somebody else publishes with that key
}

// Sentence is what an operator reads.
type Sentence struct {
	Rule     string // its name, for programs
	Text     string // what is wrong, and what to do
	Evidence string // the figures
	About    string // a destination; empty: the stream
}

// Advise asks every rule.
func Advise(f *Facts) []Sentence {
	var out []Sentence
	for i := range Rules {
		r := &Rules[i]
		if r.check != nil {
			if evidence, ok := r.check(f); ok {
				out = append(out, Sentence{Rule: r.Name, Text: r.Says, Evidence: evidence})
			}
			continue
		}
		for k := range f.Outputs {
			o := &f.Outputs[k]
			if evidence, ok := r.output(f, o); ok {
				out = append(out, Sentence{Rule: r.Name, Text: o.Destination + ": " + r.Says, Evidence: evidence, About: o.Destination})
			}
		}
	}
	return out
}

const (
	holdsFor = 3 * time.Second  // until a sentence is said
	staysFor = 15 * time.Second // after its rule held last
)

// Keeper remembers what was said about one stream. It is owned by one goroutine. Memory: a sentence for each rule and destination.
type Keeper struct{ said []kept }

type kept struct {
	Sentence
	since, last time.Time
	told        bool
}

// Look asks every rule now, once a second or so, and returns the sentences that hold, and what is new and what is over since the last look.
func (k *Keeper) Look(now time.Time, f *Facts) (all, began, ended []Sentence) {
	for _, s := range Advise(f) {
		i := slices.IndexFunc(k.said, func(o kept) bool { return o.Rule == s.Rule && o.About == s.About })
		if i < 0 {
			i = len(k.said)
			k.said = append(k.said, kept{since: now})
		}
		k.said[i].Sentence, k.said[i].last = s, now
	}
	rest := k.said[:0]
	for _, s := range k.said {
		over := s.last != now && (!s.told || now.Sub(s.last) >= staysFor)
		switch {
		case over && s.told:
			ended = append(ended, s.Sentence)
		case !over && !s.told && now.Sub(s.since) >= holdsFor:
			s.told = true
			began = append(began, s.Sentence)
		}
		if over {
			continue
		}
		if s.told {
			all = append(all, s.Sentence)
		}
		rest = append(rest, s)
	}
	clear(k.said[len(rest):])
	k.said = rest
	return all, began, ended
}
