package playout

import (
	"time"

	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/seq"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// How says by which way a packet came.
type How uint8

// Ways.
const (
	First    How = iota // at its first sending
	Resent              // sent again
	Repaired            // computed from repair symbols
)

// Verdict is what Insert did.
type Verdict uint8

// Verdicts.
const (
	Kept      Verdict = iota
	Duplicate         // here already, or was
	TooLate           // its frame was dropped before
	TooFar            // more than Config.Packets ahead even after dropping all that is held
)

// Config sizes a buffer.
type Config struct {
	Packets int           // how many packets it may hold: a power of two
	Latency time.Duration // from the earliest possible arrival to release
	InOrder bool          // release a frame as soon as all before it are released or lost
	// Most, where it is above Latency, is how long an incomplete frame is waited for, and all behind it with it: they are late
	// then, and none is lost that comes.
	Most time.Duration
}

// Counts are the receiver's side of the sum rule: they sum to the number of media sequence numbers
// below the cursor.
type Counts struct {
	Delivered, Resent, Repaired, Late, Lost uint64
	Frames, FramesLost                      uint64
}

type slotState uint8

const (
	empty   slotState = iota
	held              // below: its packet is here
	waiting           // missing, and may come
	given             // missing, and the sender gave it up
	passed            // below the cursor: was here
	missed            // below the cursor: never came
)

type slot struct {
	seq     int64
	state   slotState
	how     How
	flags   wire.Flags
	track   uint8
	frame   wire.FrameHeader
	capture time.Duration // sender's clock, when flags has Start
	arrival time.Duration // of a packet that is waited for: when it was missed
	buf     []byte
}

// Buffer is owned by one goroutine. Times are since the session's zero at the receiver, but for
// Capture and send times, which are on the sender's clock.
type Buffer struct {
	cfg    Config
	slots  []slot
	spare  [][]byte
	next   int64 // cursor
	held   int   // packets between the cursor and the end that are here
	end    int64 // after the highest media sequence heard of
	frame  []byte
	offset delayBase
	number int64         // frames accounted for
	broken [256 / 8]byte // tracks whose next frame follows a gap
	counts Counts
	shown  time.Duration // when the newest frame was due; with Config.Most
	heard  time.Duration // newest arrival
	waited time.Duration // how long the packet inserted last had been missing
}

// New makes an empty buffer.
func New(cfg Config) *Buffer {
	if cfg.Packets < 2 || cfg.Packets&(cfg.Packets-1) != 0 {
		panic("playout: packets must be a power of two")
	}
	b := &Buffer{cfg: cfg, slots: make([]slot, cfg.Packets)}
	for i := range b.slots {
		b.slots[i].seq = -1
	}
	return b
}

// Counts returns the sums so far.
func (b *Buffer) Counts() Counts { return b.counts }

// Next is the cursor: no packet before it is of use any more.
func (b *Buffer) Next() int64 { return b.next }

// End is the media sequence number after the highest one heard of.
func (b *Buffer) End() int64 { return b.end }

// Missing is how many packets between the cursor and the end are not here.
func (b *Buffer) Missing() int { return int(b.end-b.next) - b.held }

// Whole is the frame that packet n is of, when all its packets are here.
func (b *Buffer) Whole(n int64) (base int64, count int, ok bool) {
	base = n
	for ; ; base-- {
		s := b.at(base)
		if base < b.next || s.seq != base || s.state != held || base < n && s.flags.Has(wire.End) {
			return 0, 0, false
		}
		if s.flags.Has(wire.Start) {
			break
		}
	}
	for ; n < b.end; n++ {
		s := b.at(n)
		if s.state != held {
			return 0, 0, false
		}
		if s.flags.Has(wire.End) {
			return base, int(n + 1 - base), true
		}
	}
	return 0, 0, false
}

// Held reports whether packet s has arrived, now or before the cursor passed it.
func (b *Buffer) Held(s int64) bool {
	p := b.at(s)
	return p.seq == s && (p.state == held || p.state == passed)
}

// Lacks reports whether one of count packets from base on is waited for.
func (b *Buffer) Lacks(base int64, count int) bool {
	for n := max(base, b.next); n < base+int64(count); n++ {
		if !b.Held(n) {
			return true
		}
	}
	return false
}

// Heard takes in the one-way delay of a packet: arrival (receiver's clock) less send time (sender's clock).
func (b *Buffer) Heard(now, delay time.Duration) {
	b.heard = now
	b.offset.add(now, delay)
}

// Waited is how long the packet that Insert kept last had been known to be missing.
func (b *Buffer) Waited() time.Duration { return b.waited }

// ForgetDelay says that the path is another one: the next delay heard of replaces all before it.
func (b *Buffer) ForgetDelay() { b.offset.have, b.offset.started = [6]bool{}, false }

// Known says that the media sequence goes up to end: a probe, or a repair's range.
func (b *Buffer) Known(end int64) {
	if end-b.next <= int64(len(b.slots)) {
		b.open(end)
	}
}

// Insert takes in media packet s with sequence number n, sent at sent on the sender's clock. Borrows s.
func (b *Buffer) Insert(now, sent time.Duration, n int64, s *wire.Source, how How) Verdict {
	if n < b.next {
		p := b.at(n)
		if p.seq != n || p.state != missed {
			return Duplicate
		}
		p.state = passed
		b.counts.Lost--
		b.counts.Late++
		return TooLate
	}
	if n-b.next >= int64(len(b.slots)) {
		b.makeRoom(n - int64(len(b.slots)) + 1)
	}
	b.open(n + 1)
	p := b.at(n)
	if p.state == held {
		return Duplicate
	}
	b.held++
	b.waited = now - p.arrival
	p.state, p.how, p.flags, p.track, p.frame, p.arrival = held, how, s.Flags, s.Track, s.Frame, now
	if s.Flags.Has(wire.Start) {
		p.capture = b.unwrapCapture(s.Frame.Capture, sent)
	}
	p.buf = append(b.buffer(), s.Data...)
	return Kept
}

// Abandon says that the sender gave up packets base..base+count-1.
func (b *Buffer) Abandon(base int64, count int) {
	end := base + int64(count)
	if base < 0 || end-b.next > int64(len(b.slots)) {
		return
	}
	b.open(end)
	for n := max(base, b.next); n < end; n++ {
		if p := b.at(n); p.state == waiting {
			p.state = given
		}
	}
}

// open makes slots for sequence numbers below end, which lies within the ring.
func (b *Buffer) open(end int64) {
	for ; b.end < end; b.end++ {
		*b.at(b.end) = slot{seq: b.end, state: waiting, arrival: b.heard}
	}
}

// makeRoom moves the cursor to n, far ahead, whatever is held below.
func (b *Buffer) makeRoom(n int64) {
	b.dropTo(min(n, b.end))
	if n > b.next {
		b.counts.Lost += uint64(n - b.next)
		b.next, b.end = n, n
		b.breakTracks()
	}
}

// unwrapCapture: capture times are near the send time and never after it.
func (b *Buffer) unwrapCapture(capture uint32, sent time.Duration) time.Duration {
	us := seq.Unwrap32(int64(sent/time.Microsecond), capture)
	return min(time.Duration(us)*time.Microsecond, sent)
}

func (b *Buffer) buffer() []byte {
	if n := len(b.spare); n > 0 {
		buf := b.spare[n-1]
		b.spare = b.spare[:n-1]
		return buf[:0]
	}
	return make([]byte, 0, packetBytes)
}

// packetBytes is the room for a packet's data: a 1200-byte datagram's, and append grows it for longer ones.
const packetBytes = 1160

func (b *Buffer) at(n int64) *slot { return &b.slots[n&int64(len(b.slots)-1)] }

func (b *Buffer) due(p *slot) time.Duration {
	return p.capture + b.offset.least() + b.cfg.Latency
}

// limit is when p is of no use any more.
func (b *Buffer) limit(p *slot) time.Duration {
	return b.due(p) + max(0, b.cfg.Most-b.cfg.Latency)
}

// state of the transport flags on the wire.
func flagsOf(f wire.Flags) (out transport.Flags) {
	for _, m := range [...]struct {
		w wire.Flags
		t transport.Flags
	}{{wire.Key, transport.Key}, {wire.Droppable, transport.Droppable}, {wire.Config, transport.Config}, {wire.Discontinuity, transport.Discontinuity}} {
		if f.Has(m.w) {
			out |= m.t
		}
	}
	return out
}
