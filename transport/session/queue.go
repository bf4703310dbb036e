package session

import "time"

// The queues, in the order in which they are served: design.md §2 and quic_cc.md 4.2.
const (
	queueAudio   = iota // first sendings of audio
	queueControl        // probes and notices
	queueRepair         // resends and repairs that answer a loss, what is due first ahead
	queueMedia          // first sendings of the rest, with the repairs sent ahead
	queues
)

type itemKind uint8

const (
	sendSource itemKind = iota
	sendResend
	sendRepair
	sendWindow // a repair over the packets before ref that may still be in time
	sendNotice // that packets were given up; ref: notice
	lookAgain  // no datagram: see whether the answers to the losses of block ref are overdue
	shutGroup  // no datagram: no more frames came for block ref
)

// item is one datagram to be. ref is a media sequence number (source, resend) or a block (repair).
type item struct {
	ref      int64
	frame    int64 // of the media queue: its picture
	deadline time.Duration
	at       time.Duration // not before; 0: at once
	kind     itemKind
	round    uint8
}

// notice packs the packets base..base+count-1 that were given up into an item's ref.
func notice(base int64, count int) int64 { return base<<16 | int64(count) }

func unpackNotice(ref int64) (base int64, count int) { return ref >> 16, int(ref & 0xffff) }

// queue is a ring. When it is full the newest entry is refused: the caller counts it.
type queue struct {
	items      []item
	head, tail int
}

func (q *queue) len() int { return q.tail - q.head }

func (q *queue) room() int { return len(q.items) - q.len() }

func (q *queue) push(it item) bool {
	if q.len() == len(q.items) {
		return false
	}
	q.items[q.tail%len(q.items)] = it
	q.tail++
	return true
}

// pushDue is push before what is due later.
func (q *queue) pushDue(it item) bool {
	if !q.push(it) {
		return false
	}
	for i := q.tail - 1; i > q.head; i-- {
		before, here := &q.items[(i-1)%len(q.items)], &q.items[i%len(q.items)]
		if before.deadline <= here.deadline {
			break
		}
		*before, *here = *here, *before
	}
	return true
}

func (q *queue) peek() (item, bool) {
	if q.head == q.tail {
		return item{}, false
	}
	return q.items[q.head%len(q.items)], true
}

func (q *queue) pop() { q.head++ }

// maxLater bounds the answers that are spread over time.
const maxLater = 256

// later holds items until their time, the earliest first.
type later struct{ items []item }

// push keeps the order; it reports false when there is no room.
func (l *later) push(it item) bool {
	if len(l.items) == maxLater {
		return false
	}
	i := len(l.items)
	for i > 0 && l.items[i-1].at > it.at {
		i--
	}
	l.items = append(l.items, item{})
	copy(l.items[i+1:], l.items[i:])
	l.items[i] = it
	return true
}

func (l *later) due() time.Duration {
	if len(l.items) == 0 {
		return 0
	}
	return max(1, l.items[0].at)
}

func (l *later) pop() item {
	it := l.items[0]
	l.items = l.items[:copy(l.items, l.items[1:])]
	return it
}

// prober sends probes after the end of a frame, so that the loss of its last packets shows: fec.md §4.6.
type prober struct {
	last  time.Duration // when the last packet worth probing for left; 0: nothing to probe
	stage int
	after int // probes wanted
}

// probeDelays after the last packet: ours; fec.md §4.6 has 4 and 8 ms, and a millisecond is a millisecond.
var probeDelays = [...]time.Duration{2 * time.Millisecond, 7 * time.Millisecond}

func (p *prober) sent(now time.Duration, probes int) {
	p.last, p.stage, p.after = max(1, now), 0, probes
}

func (p *prober) due() time.Duration {
	if p.last == 0 || p.stage >= min(p.after, len(probeDelays)) {
		return 0
	}
	return p.last + probeDelays[p.stage]
}

// followed is told of every packet that leaves, probes among them: one that leaves about when a probe would shows as much.
func (p *prober) followed(now time.Duration) {
	if p.last > 0 && p.stage < len(probeDelays) && now >= p.last+probeDelays[p.stage]/2 {
		p.stage++
	}
}

// breaker is a circuit breaker in the shape of RFC 8083 §4.1, on the silence of the feedback.
type breaker struct {
	waiting time.Duration // since when an answer is waited for; 0: none is
	wake    time.Duration // when the next packet may go in its last stages
	forgot  bool
}

// Stages of the breaker: design.md §2.
const (
	breakerMinimum = time.Second
	breakerPause   = 5 * time.Second
	minimumGap     = 100 * time.Millisecond // minimum rate: one packet in 100 ms, 100 kbit/s
	pauseGap       = time.Second
)

func (b *breaker) sent(now time.Duration) {
	if b.waiting == 0 {
		b.waiting = max(1, now)
	}
	switch silence := now - b.waiting; {
	case silence >= breakerPause:
		b.wake = now + pauseGap
	case silence >= breakerMinimum:
		b.wake = now + minimumGap
	}
}

// heard: a report came.
func (b *breaker) heard() {
	b.waiting, b.wake, b.forgot = 0, 0, false
}

// silent reports whether three intervals and a round trip have passed without a report.
func (b *breaker) silent(now, rtt time.Duration) bool {
	return b.waiting > 0 && now-b.waiting > 3*reportInterval+rtt
}

// minimum and pause are its later stages.
func (b *breaker) minimum(now time.Duration) bool {
	return b.waiting > 0 && now-b.waiting >= breakerMinimum
}

func (b *breaker) pause(now time.Duration) bool {
	return b.waiting > 0 && now-b.waiting >= breakerPause
}

// until is the earliest time of the next packet, 0: at once.
func (b *breaker) until() time.Duration { return b.wake }

// due is when its next stage begins, while something is in flight.
func (b *breaker) due(inFlight bool) time.Duration {
	if !inFlight || b.waiting == 0 || b.forgot {
		return 0
	}
	return b.waiting + breakerMinimum
}
