package stutter

import "time"

// Cause is why a viewer waits.
type Cause uint8

// Causes, in the order in which they are tables' columns.
const (
	Encoder  Cause = iota // frames were not made, or not handed on: the source's times are irregular or absent, and nothing is missing on the way
	Capacity              // the way carries less than is sent: a queue stands at the bottleneck, or the publisher drops what does not fit
	Loss                  // packets are missing at their deadline
	Path                  // nothing comes at all: no packet gets through
	Relay                 // the relay stood still, or could not take what came
	Egress                // the destination does not take what there is
	causes
)

// Causes is how many there are.
const Causes = int(causes)

var causeNames = [causes]string{"encoder", "capacity", "loss", "path", "relay", "egress"}

func (c Cause) String() string {
	if c < causes {
		return causeNames[c]
	}
	return "unknown"
}

// ByCause is a time for each Cause.
type ByCause [causes]time.Duration

// Sum is all of it.
func (b *ByCause) Sum() (d time.Duration) {
	for _, v := range b {
		d += v
	}
	return d
}

// Main is the cause of most of it; false: there is none.
func (b *ByCause) Main() (c Cause, ok bool) {
	for i, v := range b {
		if v > b[c] || !ok && v > 0 {
			c, ok = Cause(i), true
		}
	}
	return c, ok
}

// Facts are what is known of a stream's way to the relay now. Counters are totals of the publisher's connection; they begin anew with each.
type Facts struct {
	Publishing bool          // somebody is connected
	Numbered   bool          // packets have numbers, so that missing ones are known: not over TCP
	Silent     time.Duration // since anything came of the publisher, control messages included; 0 where that is not known
	Latency    time.Duration // between arrival and release: what is seen at egress happened so much earlier
	Received   uint64        // packets of media, those sent again and parity included; over TCP bytes
	Lost       uint64        // packets the path has lost, as far as they are known to be missing
	Holes      uint64        // packets missing at their deadline
	Refused    uint64        // frames the publisher dropped because they did not fit, as it says once a second
	Overrun    uint64        // packets or datagrams the relay had no room for
	Queue      time.Duration // delay that stands at the bottleneck
}

// binEvery is the grain of what is remembered of the Facts; bins reach back 51 s: the longest SRT latency in use, a player's buffer and a long stall.
const (
	binEvery = 100 * time.Millisecond
	bins     = 512
)

// bin is what happened in binEvery.
type bin struct {
	received, lost, holes, refused, overrun uint32
	queue                                   time.Duration
	silent                                  time.Duration // Facts.Silent
	absent, goneSilent                      bool          // nobody is connected; and the one before had been silent when it went
	stuck                                   bool          // nobody looked: the relay stood still
	numbered                                bool
}

// evidence remembers the last Facts in bins. Time is the Live's.
type evidence struct {
	ring  [bins]bin
	index int64 // of the newest bin
	begun bool
	last  Facts
	at    time.Duration
}

// stuckAfter is how late a look at the Facts must be to say that the relay stood still: three times what is usual on a busy machine. Ours.
const stuckAfter = 3 * binEvery

func delta(now, before uint64) uint32 {
	if now < before { // another connection, or what was missing has come
		return 0
	}
	return uint32(min(now-before, 1<<31))
}

// add books the Facts at now. silentGone: how long the publisher had been silent counts while it is away.
func (e *evidence) add(now time.Duration, f *Facts) {
	i := int64(now / binEvery)
	if !e.begun {
		e.begun, e.index, e.at, e.last = true, i, now, *f
		e.ring[i%bins] = bin{absent: !f.Publishing}
		return
	}
	if i <= e.index {
		return
	}
	goneSilent := e.ring[e.index%bins].goneSilent
	if e.last.Publishing && !f.Publishing {
		goneSilent = e.last.Silent > silentLong
	}
	stuck := now-e.at > stuckAfter
	for k := max(e.index+1, i-bins+1); k < i; k++ {
		e.ring[k%bins] = bin{stuck: stuck, absent: !f.Publishing, goneSilent: goneSilent, silent: f.Silent, queue: f.Queue, numbered: f.Numbered}
	}
	b := bin{
		received: delta(f.Received, e.last.Received), lost: delta(f.Lost, e.last.Lost), holes: delta(f.Holes, e.last.Holes),
		refused: delta(f.Refused, e.last.Refused), overrun: delta(f.Overrun, e.last.Overrun), queue: f.Queue, silent: f.Silent,
		absent: !f.Publishing, goneSilent: goneSilent && !f.Publishing, numbered: f.Numbered,
	}
	if !e.last.Publishing && f.Publishing { // the counters begin anew
		b.lost, b.holes, b.refused, b.overrun = 0, 0, 0, 0
	}
	e.ring[i%bins] = b
	e.index, e.at, e.last = i, now, *f
}

// What tells the causes apart. Ours: bench/cause, docs/metrics.md.
const (
	silentLong  = 1300 * time.Millisecond // a publisher with nothing to say says so once a second
	queueHigh   = 45 * time.Millisecond   // of standing queue: a publisher of ours keeps it below 60 ms
	lossHigh    = 0.03                    // of the packets
	lostFew     = 3.0                     // packets that are missing anyway
	lossHeavy   = 0.15                    // beyond it a publisher drops frames because of it
	aftermath   = time.Second             // ours: half a group of pictures
	usualRelief = 1500 * time.Millisecond // what the publisher says of itself is up to a second old
)

// sums is what bins say together.
type sums struct {
	quiet, unheard, absent, goneSilent, stuck, queued int // bins
	received, lost, holes, refused, overrun           float64
	numbered                                          bool
}

func (e *evidence) sum(from, to time.Duration) (s sums) {
	lo, hi := max(int64(from/binEvery), e.index-bins+1, 0), min(int64(to/binEvery), e.index)
	for k := lo; k <= hi; k++ {
		b := &e.ring[k%bins]
		switch {
		case b.stuck:
			s.stuck++
		case b.absent:
			s.absent++
			if b.goneSilent {
				s.goneSilent++
			}
		case b.received == 0:
			s.quiet++
			if b.silent > silentLong {
				s.unheard++
			}
		default:
			if b.queue >= queueHigh {
				s.queued++
			}
		}
		s.received += float64(b.received)
		s.lost += float64(b.lost)
		s.holes += float64(b.holes)
		s.refused += float64(b.refused)
		s.overrun += float64(b.overrun)
		s.numbered = s.numbered || b.numbered
	}
	return s
}

// decide says why a stall was.
//
// What a viewer sees at egress happened on the way a latency earlier, and what emptied the player's buffer before that.
func (e *evidence) decide(g *gap, buffer time.Duration) Cause {
	latency := e.last.Latency
	wait := max(g.until-g.since, Threshold)
	// The time from which on what is missing should have come.
	from := min(g.since, g.From-buffer) - latency - 2*binEvery
	if wait > buffer/2 { // a clean break: it began where the last frame came
		from = g.since - latency - 2*binEvery
	}
	s := e.sum(from, g.until)
	share := func(n int) bool { return time.Duration(n)*binEvery*5 >= 2*wait } // two fifths of the wait
	// What is missing, and what waits for a key frame, after a standstill is its doing.
	stuck := e.sum(from-aftermath, g.until).stuck
	switch {
	case share(stuck) || stuck >= 3 && stuck >= s.quiet || s.overrun > 0 && s.overrun >= s.lost/2:
		return Relay
	case share(s.absent + s.quiet):
		// An encoder that pauses leaves no gap in the numbers; what is lost in silence does.
		if s.absent > s.quiet {
			if s.goneSilent*2 > s.absent {
				return Path
			}
			return Encoder
		}
		switch {
		case g.open && s.unheard*4 > s.quiet:
			return Path
		case s.numbered && s.lost > max(lostFew, lossHigh*s.received): // not what is lost anyway
			return Path
		case s.numbered: // also a machine that stood still as a whole, and was not heard: it sent nothing that was lost
			return Encoder
		}
		if g.skipped*2 < wait { // what comes then is what was made meanwhile
			return Path
		}
		return Encoder
	}
	loss := 0.0
	if s.received > 0 {
		loss = s.lost / (s.received + s.lost)
	}
	late := e.sum(from, min(g.until+usualRelief, e.at))
	queued := time.Duration(s.queued)*binEvery*4 >= wait
	switch {
	case queued, late.refused > 0 && (loss < lossHeavy || s.queued >= 3):
		return Capacity
	case s.holes > 0 || loss >= lossHigh && s.lost > 0:
		return Loss
	}
	return Encoder
}
