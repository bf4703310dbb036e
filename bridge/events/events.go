// Package events tells programs what happens in the relay: server-sent events for who listens now, signed webhooks for who does not.
//
//	{"id":17,"time":"2026-11-22T04:55:01.207Z","type":"stall_begin","stream":"live/cam","data":{"cause":"path"}}
//
// Everything goes through one [Bus]. Whoever publishes an event never waits: a listener that is too slow loses events, which are counted and
// which it is told of.
//
// Memory: a Bus keeps the last 256 events, a listener and a webhook at most 256 that wait, each under 4 KiB in practice.
//
// What it leaves to others: what is an event (bridge/relay), who may listen (bridge/api).
package events

import (
	"sync"
	"time"
)

// Type says what happened.
type Type string

// The types, and what their Data has.
const (
	Publish    Type = "publish"     // somebody publishes: protocol, peer
	Unpublish  Type = "unpublish"   // and no longer: reason
	Hold       Type = "hold"        // the stream is kept for its players and destinations
	Resume     Type = "resume"      // its publisher, or another one, is back within that time
	End        Type = "end"         // the stream is over
	Output     Type = "output"      // a destination: id, destination, state, error
	StallBegin Type = "stall_begin" // viewers wait: cause, as far as it is known
	StallEnd   Type = "stall_end"   // cause, seconds
	Advice     Type = "advice"      // a sentence: rule, text, evidence
	AdviceEnd  Type = "advice_end"  // it no longer holds: rule
	Drain      Type = "drain"       // the relay is going out of service: state, to, left_s
	Reload     Type = "reload"      // the configuration: applied, needs_restart
	Lost       Type = "lost"        // to a listener alone: how many events it was too slow for
)

// Types lists them all.
func Types() []Type {
	return []Type{Publish, Unpublish, Hold, Resume, End, Output, StallBegin, StallEnd, Advice, AdviceEnd, Drain, Reload, Lost}
}

// Event is one thing that happened. It is immutable once published.
type Event struct {
	ID     uint64         `json:"id"` // rises by one; begins anew with the relay
	Time   time.Time      `json:"time"`
	Type   Type           `json:"type"`
	Stream string         `json:"stream,omitempty"`
	Data   map[string]any `json:"data,omitempty"`
}

const (
	kept    = 256 // events a Bus remembers
	waiting = 256 // events that wait for a listener
)

// Bus hands events on. Its methods may be called from anywhere; its lock is never held while another is taken.
type Bus struct {
	mu      sync.Mutex // guards what follows
	id      uint64
	past    []Event // newest last, at most kept
	readers map[*Listener]struct{}
	dropped uint64
}

// NewBus makes a bus.
func NewBus() *Bus { return &Bus{readers: map[*Listener]struct{}{}} }

// Listener gets events.
type Listener struct {
	C    chan Event
	bus  *Bus
	lost uint64 // guarded by bus.mu
}

// Publish tells everybody who listens. It takes data and never waits.
func (b *Bus) Publish(t Type, stream string, data map[string]any) {
	now := time.Now().UTC()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.id++
	e := Event{ID: b.id, Time: now, Type: t, Stream: stream, Data: data}
	if len(b.past) == kept {
		copy(b.past, b.past[1:])
		b.past = b.past[:kept-1]
	}
	b.past = append(b.past, e)
	for l := range b.readers {
		if l.lost > 0 && len(l.C) < cap(l.C) {
			l.C <- Event{ID: e.ID - 1, Time: now, Type: Lost, Data: map[string]any{"events": l.lost}}
			l.lost = 0
		}
		select {
		case l.C <- e:
		default:
			l.lost++
			b.dropped++
		}
	}
}

// Listen begins to listen. after: what is still remembered of the events behind that one comes first; 0: only what happens from now on.
func (b *Bus) Listen(after uint64) *Listener {
	l := &Listener{C: make(chan Event, kept+waiting), bus: b}
	b.mu.Lock()
	defer b.mu.Unlock()
	if after > 0 {
		for _, e := range b.past {
			if e.ID > after {
				l.C <- e
			}
		}
	}
	b.readers[l] = struct{}{}
	return l
}

// Close ends listening. It may be called twice.
func (l *Listener) Close() {
	l.bus.mu.Lock()
	defer l.bus.mu.Unlock()
	delete(l.bus.readers, l)
}

// Dropped is how many events slow listeners have lost, together.
func (b *Bus) Dropped() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}
