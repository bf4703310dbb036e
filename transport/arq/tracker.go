package arq

import (
	"errors"
	"time"

	"github.com/fairlead-live/fairlead/transport/seq"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// Kind is what a packet carried.
type Kind uint8

// Kinds.
const (
	Source  Kind = iota // a media packet, first sending
	Resend              // a media packet again
	Repair              // a repair symbol
	Control             // a probe; its loss needs no answer
	Notice              // that packets were given up: ref is the sender's
)

// Outcome is what became of a packet.
type Outcome uint8

// Outcomes.
const (
	Acked Outcome = iota
	Lost
	Late    // acked after it had been called lost
	Certain // lost, as was presumed before: a packet sent later has arrived
)

// Event tells the outcome of one packet. Times are since the session's zero, on the clock they name.
type Event struct {
	Sequence int64
	Kind     Kind
	Outcome  Outcome
	Presumed bool // Lost: nothing sent after it has arrived either, so that it may still come. Late: it was only presumed lost.
	Unused   bool // it arrived, but the receiver had no use for it and lacks still what it was for
	ECN      uint8
	Ref      int64 // as given to Sent
	Size     int
	Sent     time.Duration // sender's clock
	Arrival  time.Duration // receiver's clock, at an unknown offset; not for Lost. Unused: when the packet before it came
}

// ErrLying is returned for a report about packets never sent. Nothing in it is believed.
var ErrLying = errors.New("arq: report about packets never sent")

type state uint8

const (
	free state = iota
	inFlight
	acked
	lost
)

type record struct {
	sent  time.Duration
	hole  time.Duration // when a report first showed that a later packet had arrived; 0: none has
	ref   int64
	size  int32
	kind  Kind
	state state
	// presumed: lost, and no packet sent later has arrived. The path may only stand still.
	presumed bool
	untold   bool // the reports that came began after it: it may have arrived, and one that was lost told of it
}

// Tracker maps transport sequence numbers to packets. It is owned by one goroutine.
type Tracker struct {
	ring     []record
	next     int64 // to be sent next
	oldest   int64 // no older one is in flight
	told     int64 // no older one's fate is to be told
	blind    int64 // of packets before, losses are an outage's
	presumed int64 // no older one is presumed lost
	path     int64 // packets before went another way: their delays say nothing
	top      int64 // highest acked, -1 before the first
	bytes    int   // in flight
	packets  int
	report   reportClock
	window   reorderWindow
	tail     reorderWindow // how much later than the slowest recent packet one came that was presumed lost
	rtt      RTT
	owd      owdTrack
	delta    quantile
	arrival  time.Duration // newest, receiver's clock
	fates    []bool        // of packets below told, not yet taken
	silentAt time.Duration // when the newest report came
	patient  bool
}

// NewTracker remembers up to packets packets, a power of two.
func NewTracker(packets int) *Tracker {
	if packets < 1 || packets&(packets-1) != 0 {
		panic("arq: packets must be a power of two")
	}
	return &Tracker{ring: make([]record, packets), top: -1}
}

// Next is the sequence number the next packet will have.
func (t *Tracker) Next() int64 { return t.next }

// BytesInFlight is the size of all packets whose fate is open.
func (t *Tracker) BytesInFlight() int { return t.bytes }

// PacketsInFlight counts them.
func (t *Tracker) PacketsInFlight() int { return t.packets }

// RTT returns the round-trip estimate.
func (t *Tracker) RTT() *RTT { return &t.rtt }

// PathChanged forgets the delays of the path that packets took until now.
func (t *Tracker) PathChanged() { t.path, t.rtt, t.owd = t.next, RTT{}, owdTrack{} }

// RoundDelay is what a round costs beyond the round-trip time: the 90th percentile of the time from a
// packet's sending to the knowledge of its loss, less the smoothed RTT.
func (t *Tracker) RoundDelay() time.Duration { return min(t.delta.value(), maxRoundDelay) }

// maxRoundDelay bounds what bursts on the way of the reports add, for a round planned too long costs more than one
// that fails: ours. At RTT 60, latency 200 and 10 % loss in bursts of 8, 18.5 % of overhead for 24.1 %.
const maxRoundDelay = 15 * time.Millisecond

// Flying tells of each packet whose fate is open, in the order of sending. A packet presumed lost is none.
func (t *Tracker) Flying(f func(kind Kind, ref int64, sent time.Duration)) {
	for s := t.oldest; s < t.next; s++ {
		if r := t.at(s); r.state == inFlight {
			f(r.kind, r.ref, r.sent)
		}
	}
}

// ReorderWindow is how long a hole must stand before it counts as a loss.
func (t *Tracker) ReorderWindow() time.Duration { return t.window.get(t.rtt.Min()) }

// Sent records a packet and returns its sequence number. ref is the caller's, and comes back in events.
// A packet still in flight whose place is needed is forgotten.
func (t *Tracker) Sent(now time.Duration, kind Kind, ref int64, size int) int64 {
	r := t.at(t.next)
	if r.state == inFlight {
		t.settle(r, lost)
	}
	*r = record{sent: now, ref: ref, size: int32(size), kind: kind, state: inFlight}
	t.bytes += size
	t.packets++
	t.next++
	least := t.next - int64(len(t.ring))
	t.oldest, t.presumed = max(t.oldest, least), max(t.presumed, least)
	return t.next - 1
}

// Feedback takes in a report and appends the outcomes that follow from it. Borrows f.
func (t *Tracker) Feedback(now time.Duration, f *wire.Feedback, out []Event) ([]Event, error) {
	begin := seq.Unwrap16(t.next, f.Begin)
	if begin > t.next {
		begin -= 1 << 16
	}
	end := begin + int64(f.Len())
	if end > t.next || begin < 0 && f.Len() > 0 {
		return out, ErrLying
	}
	at := t.report.unwrap(f.Time)
	newest := t.top
	sample := time.Duration(-1)
	before := at // arrival of the packet before, where it is known
	if t.arrival > 0 {
		before = t.arrival
	}
	for i := range f.Len() {
		s := begin + int64(i)
		m := f.Metric(i)
		if s < t.next-int64(len(t.ring)) || !m.Received() {
			continue
		}
		r := t.at(s)
		offset, known := m.Offset()
		if known {
			before = at - offset
		}
		if r.state != inFlight && r.state != lost {
			continue
		}
		e := Event{Sequence: s, Kind: r.kind, Outcome: Acked, ECN: m.ECN(), Ref: r.ref, Size: int(r.size), Sent: r.sent, Arrival: at - offset}
		if m.Unused() {
			e.Unused, e.Arrival = true, before
		}
		if r.state == lost {
			e.Outcome, e.Presumed = Late, r.presumed
			r.state, r.presumed = acked, false
		} else {
			t.settle(r, acked)
		}
		if !r.untold && (e.Outcome == Late && !e.Presumed || r.hole > 0 && e.Outcome != Late) {
			t.window.saw(now, now-r.hole)
		}
		if known && s >= t.path {
			if slowest, ok := t.owd.slowest(); ok && e.Outcome == Late && e.Presumed {
				t.tail.saw(now, e.Arrival-e.Sent-slowest)
			}
			t.owd.add(now, e.Arrival-e.Sent)
			t.arrival = max(t.arrival, e.Arrival)
			if s > newest { // RFC 9002 §5.1: one sample a report, of the newest packet
				newest, sample = s, max(0, now-r.sent-offset)
			}
		}
		t.top = max(t.top, s)
		out = append(out, e)
	}
	if sample >= 0 {
		t.rtt.add(now, sample)
	}
	if now-t.silentAt > outageAfter {
		t.blind = t.next
	}
	t.silentAt = now
	t.skip()
	return t.holes(now, at, begin, out), nil
}

// Timeout calls holes lost whose reorder window has passed.
func (t *Tracker) Timeout(now time.Duration, out []Event) []Event {
	return t.holes(now, 0, 0, out)
}

// NextTimeout is when Timeout has something to do; 0: never.
func (t *Tracker) NextTimeout() (at time.Duration) {
	w := t.ReorderWindow()
	for s := t.oldest; s < t.top; s++ {
		if r := t.at(s); r.state == inFlight && r.hole > 0 && (at == 0 || r.hole+r.wait(w) < at) {
			at = r.hole + r.wait(w)
		}
	}
	return at
}

// Fates lends what became of packets since the last call, in the order they were sent: true is lost. A packet
// appears when the fate of all before it is known, too, and one sent after it has arrived: where the path stands still, what is taken for lost
// to be sent again comes when it goes on. What an outage took is left out: it says nothing about the path it leaves.
func (t *Tracker) Fates() []bool {
	f := t.fates
	t.fates = t.fates[:0]
	return f
}

// outageAfter without a report is no loss any more: ours.
const outageAfter = 250 * time.Millisecond

// Forget ends the wait for every packet in flight: after an outage nobody knows. They count as lost.
func (t *Tracker) Forget(now time.Duration, out []Event) []Event {
	t.blind = t.next
	for s := t.oldest; s < t.next; s++ {
		if r := t.at(s); r.state == inFlight {
			out = append(out, t.lose(now, s, r))
		}
	}
	out = t.confirm(t.next, out)
	t.skip()
	return out
}

// confirm makes certain of what was presumed of packets before end.
func (t *Tracker) confirm(end int64, out []Event) []Event {
	for ; t.presumed < end; t.presumed++ {
		if r := t.at(t.presumed); r.state == lost && r.presumed {
			r.presumed = false
			out = append(out, Event{Sequence: t.presumed, Kind: r.kind, Outcome: Certain, Ref: r.ref, Size: int(r.size), Sent: r.sent})
		}
	}
	return out
}

// untoldWait is how long a report that goes further back is waited for: ours.
const untoldWait = 50 * time.Millisecond

// wait is how long after the hole was seen the packet is lost.
func (r *record) wait(reorder time.Duration) time.Duration {
	if r.untold {
		return untoldWait
	}
	return reorder
}

// holes appends the losses known at now. at is the receiver's clock when it made the newest report, 0: no new report; begin is the first packet
// that it tells of.
func (t *Tracker) holes(now, at time.Duration, begin int64, out []Event) []Event {
	w := t.ReorderWindow()
	out = t.confirm(t.top, out)
	for s := t.oldest; s < t.top; s++ {
		r := t.at(s)
		if r.state != inFlight {
			continue
		}
		if r.hole == 0 {
			r.hole = max(now, 1)
			r.untold = s < begin
		} else if r.untold && at > 0 && s >= begin {
			r.untold = false
		}
		if now >= r.hole+r.wait(w) {
			out = append(out, t.lose(now, s, r))
		}
	}
	// The tail: nothing sent after it has arrived, but it should have been there when the report was made.
	if expected, ok := t.owd.slowest(); ok && at > 0 && at-t.arrival <= tailSilence && !t.patient {
		slack := max(w, t.tail.get(t.rtt.Min()))
		for s := max(t.oldest, t.top+1, begin); s < t.next; s++ {
			r := t.at(s)
			if r.sent+expected+slack >= at {
				break
			}
			if r.state == inFlight {
				e := t.lose(now, s, r)
				r.presumed, e.Presumed = true, true
				out = append(out, e)
			}
		}
	}
	t.skip()
	return out
}

// Patient says whether a packet is lost only once one sent later has arrived. Else the absence of the newest from a report is enough, which is sooner, and
// wrong where the path slows down.
func (t *Tracker) Patient(yes bool) { t.patient = yes }

// tailSilence is how long nothing may have arrived for that to hold: ours, three reports. After it the
// path has stopped, and what is on it may still come.
const tailSilence = 60 * time.Millisecond

func (t *Tracker) lose(now time.Duration, s int64, r *record) Event {
	if r.hole == 0 {
		r.hole = max(now, 1)
	}
	t.settle(r, lost)
	t.delta.add(now - r.sent - t.rtt.Smoothed())
	return Event{Sequence: s, Kind: r.kind, Outcome: Lost, Ref: r.ref, Size: int(r.size), Sent: r.sent}
}

func (t *Tracker) settle(r *record, s state) {
	r.state = s
	t.bytes -= int(r.size)
	t.packets--
}

func (t *Tracker) skip() {
	for t.oldest < t.next && t.at(t.oldest).state != inFlight {
		t.oldest++
	}
	for t.told = max(t.told, t.next-int64(len(t.ring))); t.told < t.oldest && t.told <= t.top; t.told++ {
		gone := t.at(t.told).state == lost
		if len(t.fates) < len(t.ring) && !(gone && t.told < t.blind) {
			t.fates = append(t.fates, gone)
		}
	}
}

func (t *Tracker) at(s int64) *record { return &t.ring[s&int64(len(t.ring)-1)] }
