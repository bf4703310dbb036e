// Package feedback tells encoders what their path carries: a board with the newest report of every stream, and the HTTP
// handler that reads it out as server-sent events.
//
//	GET /v1/streams/APP/KEY/feedback
//
//	event: target
//	data: {"target_bps":3400000,"reason":"track","queue_ms":12.4,"loss":0.021}
//
//	event: keyframe
//	data: {}
//
//	event: gone                       nobody publishes it now
//	data: {}
//
// A target is repeated at least every 200 ms, is lower at once and higher at most every 500 ms (congestion.Advice). Whoever
// publishes reports come from: the uplink's controller in bridge/push, the statistics of a fairlead publisher or OneWay, which
// runs the controller on arrival times, in bridge/relay.
//
// Memory: a board holds a few words for each stream that is open; a client 4 KiB and one report: what it is too slow for
// is replaced, not queued.
//
// What it leaves to others: the HTTP server and who may listen (Config.Authorize), the controller (congestion).
package feedback

import (
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// Report is what is known of a path.
type Report struct {
	Target congestion.Bitrate // what the media may take now, all tracks together
	Reason string             // what the controller is doing, congestion.Reason's words
	Queue  time.Duration      // the delay that stands at the bottleneck
	Loss   float64            // usual loss ratio, 0..1
}

// Board holds the newest report of every stream. Its methods may be called from anywhere.
type Board struct {
	zero time.Time

	mu      sync.Mutex // guards what follows, and every Entry
	streams map[string]*stream
}

// stream is one name: an entry's, its watchers', or both.
type stream struct {
	entry    *Entry // nil: nobody publishes
	told     Report
	changes  uint64
	keys     uint64 // key-frame requests
	watchers map[*Watcher]struct{}
}

// NewBoard makes an empty board.
func NewBoard() *Board { return &Board{zero: time.Now(), streams: map[string]*stream{}} }

// Entry is the right to report on one stream. A newer entry of the same name takes it over.
type Entry struct {
	board  *Board
	name   string
	told   time.Time // newest report
	advice congestion.Advice
	raw    Report
}

// Open begins reporting on a stream.
func (b *Board) Open(name string) *Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := &Entry{board: b, name: name}
	s := b.at(name)
	s.entry = e
	return e
}

// at makes the stream where it is not there; with mu held.
func (b *Board) at(name string) *stream {
	s := b.streams[name]
	if s == nil {
		s = &stream{watchers: map[*Watcher]struct{}{}}
		b.streams[name] = s
	}
	return s
}

// repeat is when a report is due again: five a second, which a caller that comes every 50 or 100 ms meets though it comes a little early.
const repeat = 160 * time.Millisecond

// Set reports. Watchers hear of it as congestion.Advice has it: call it as often as something is known.
func (e *Entry) Set(now time.Time, r Report) {
	b := e.board
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.streams[e.name]
	if s == nil || s.entry != e {
		return
	}
	e.raw = r
	rate, tell := e.advice.Update(now.Sub(b.zero), r.Target)
	if !tell && now.Sub(e.told) < repeat {
		return
	}
	e.told = now
	r.Target = rate
	s.told = r
	s.changes++
	s.wake()
}

// Keyframe asks the encoder for a key frame.
func (e *Entry) Keyframe() {
	b := e.board
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.streams[e.name]; s != nil && s.entry == e {
		s.keys++
		s.wake()
	}
}

// Close ends reporting. It may be called twice.
func (e *Entry) Close() {
	b := e.board
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.streams[e.name]
	if s == nil || s.entry != e {
		return
	}
	s.entry, s.told, s.changes = nil, Report{}, 0
	s.wake()
	b.tidy(e.name, s)
}

// tidy forgets a stream that nobody is interested in; with mu held.
func (b *Board) tidy(name string, s *stream) {
	if s.entry == nil && len(s.watchers) == 0 {
		delete(b.streams, name)
	}
}

func (s *stream) wake() {
	for w := range s.watchers {
		select {
		case w.Changed <- struct{}{}:
		default: // it knows
		}
	}
}

// Latest returns the newest report of a stream as its encoder was told; false: nobody publishes it, or nothing is known yet.
func (b *Board) Latest(name string) (Report, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.streams[name]; s != nil && s.changes > 0 {
		return s.told, true
	}
	return Report{}, false
}

// Watcher waits for news of one stream.
type Watcher struct {
	Changed chan struct{} // something is new: ask Next
	board   *Board
	name    string
	seen    uint64
	keys    uint64
	live    bool
}

// Watch begins to watch a stream, whether somebody publishes it or not.
func (b *Board) Watch(name string) *Watcher {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := &Watcher{Changed: make(chan struct{}, 1), board: b, name: name}
	s := b.at(name)
	s.watchers[w] = struct{}{}
	w.keys = s.keys
	w.Changed <- struct{}{}
	return w
}

// News is what is new.
type News struct {
	Report   *Report // nil: nothing new
	Keyframe bool    // one was asked for
	Gone     bool    // the publisher
}

// Next returns what is new since the last call. What lay between is left out.
func (w *Watcher) Next() News {
	b := w.board
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.streams[w.name]
	var n News
	if s == nil {
		return n
	}
	if s.changes == 0 {
		n.Gone, w.live = w.live && s.entry == nil, w.live && s.entry != nil
		w.seen = 0
	} else if s.changes != w.seen {
		n.Report, w.seen, w.live = new(s.told), s.changes, true
	}
	n.Keyframe, w.keys = s.keys != w.keys, s.keys
	return n
}

// Close ends watching. It may be called twice.
func (w *Watcher) Close() {
	b := w.board
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.streams[w.name]; s != nil {
		delete(s.watchers, w)
		b.tidy(w.name, s)
	}
}
