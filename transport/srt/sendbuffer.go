package srt

import (
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// forever64 is a sequence number that does not come.
const forever64 = int64(1<<63 - 1)

// outgoing is a payload on its way, and what its header needs besides its number.
type outgoing struct {
	data  *buffer // the payload, encrypted once it has been sent; nil: not here any more
	n     int32
	born  time.Duration // when it was pushed: its timestamp
	last  time.Duration // when it was sent last
	msgNo uint32
	key   uint8
	times uint8 // it was sent, at most 255
	again bool  // it is to be resent
	lost  bool  // it has been asked for
}

// sentRing holds what may have to be resent, by sequence number. It doubles up to MaxRing.
type sentRing struct{ slots []outgoing }

func (r *sentRing) at(seq int64) *outgoing { return &r.slots[seq&int64(len(r.slots)-1)] }

// reach makes room for the numbers first..next and reports whether that is possible.
func (r *sentRing) reach(first, next int64) bool {
	n := int64(len(r.slots))
	if next-first < n {
		return true
	}
	if next-first >= MaxRing {
		return false
	}
	old := *r
	r.slots = make([]outgoing, max(2*n, minRing))
	for s := first; s < next && n > 0; s++ {
		*r.at(s) = *old.at(s)
	}
	return r.reach(first, next)
}

// fifo is what has not been sent, oldest first.
type fifo struct {
	list  []outgoing
	head  int
	bytes int
}

func (q *fifo) len() int         { return len(q.list) - q.head }
func (q *fifo) first() *outgoing { return &q.list[q.head] }

func (q *fifo) push(o outgoing) {
	if q.head > 0 && len(q.list) == cap(q.list) {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, o)
	q.bytes += int(o.n)
}

func (q *fifo) pop() outgoing {
	o := q.list[q.head]
	q.bytes -= int(o.n)
	q.list[q.head] = outgoing{}
	if q.head++; q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
	return o
}

// wanted counts the packets of the ring that are to be resent; none is below low.
type wanted struct {
	low int64
	n   int
}

func (w *wanted) add(seq int64) {
	w.n++
	w.low = min(w.low, seq)
}

// copyAt is a second copy of a resend.
type copyAt struct {
	seq int64
	at  time.Duration
}

// inputRate measures what is pushed, over windows of a second.
type inputRate struct {
	since time.Duration
	bytes int
	count int
	rate  congestion.Bitrate // 0: not known yet
	gap   time.Duration      // mean time between two packets
}

// inputFirst is the shortest first window; a rate of less would be of one burst.
const inputFirst = 200 * time.Millisecond

func (r *inputRate) add(now time.Duration, n int) {
	if r.since == 0 {
		r.since = now
	}
	if d := now - r.since; d >= time.Second || r.rate == 0 && d >= inputFirst && r.count > 0 {
		r.rate = congestion.Bitrate(float64(r.bytes) * 8 / d.Seconds())
		r.gap = d / time.Duration(max(r.count, 1))
		r.since, r.bytes, r.count = now, 0, 0
	}
	r.bytes += n
	r.count++
}

// Push takes a payload to be sent, which it copies: one packet, stamped with now. False: it was not taken, and counted: it is
// too long, the buffer is full, or the connection does not stand.
func (c *Caller) Push(now time.Time, payload []byte) bool {
	t := c.at(now)
	switch {
	case c.state != connected:
		c.stats.Refused++
		return false
	case len(payload) == 0 || len(payload) > c.longest():
		c.stats.TooLong++
		return false
	}
	c.age(t)
	b := c.pool.get()
	if b == nil {
		c.stats.NoRoom++
		return false
	}
	n := copy(b[:], payload)
	c.queue.push(outgoing{data: b, n: int32(n), born: t})
	c.stats.Taken++
	c.input.add(t, n+wireOverhead)
	return true
}

// Longest is how many bytes a payload may have.
func (c *Caller) Longest() int { return c.longest() }

// wireOverhead is what a packet has around its payload: SRT, UDP and IPv4 headers.
const wireOverhead = HeaderLen + 28

// Constants of what is too late to send.
const (
	// tooLateMargin is how much longer than the latency a packet that was sent is kept: what its receiver's clock may be off; ours.
	tooLateMargin = 20 * time.Millisecond
	// withoutTLPktDrop is how long packets are kept for a peer that does not drop what is too late; ours.
	withoutTLPktDrop = 10 * time.Second
	// unsentFor and unsentMargin: what was never sent is dropped when it is older than the larger of the latency and unsentFor, and the
	// margin; libsrt's SRT_TLPKTDROP_MINTHRESHOLD_MS and 2 COMM_SYN_INTERVAL. Until then its receiver decides: after a host has stood
	// still for a moment pictures that come late are better than none.
	unsentFor    = time.Second
	unsentMargin = 20 * time.Millisecond
)

// keep is how old a packet that was sent may be to be of use.
func (c *Caller) keep() time.Duration {
	if !c.tooLate {
		return max(withoutTLPktDrop, 2*c.latency)
	}
	return c.latency + tooLateMargin + 2*min(c.rttV, 50*time.Millisecond)
}

// age drops what can no longer arrive in time (too-late packet drop, draft §4.6).
func (c *Caller) age(now time.Duration) {
	keep := c.keep()
	answer := c.rtt + 4*c.rttV + rtoSlack // what was sent late is not lost before its ACK can have come
	for c.first < c.next {
		o := c.ring.at(c.first)
		if o.data != nil {
			if now-o.born <= keep || o.times == 1 && now-o.last <= answer {
				break
			}
			c.stats.Dropped++
		}
		c.release(c.first)
		c.first++
	}
	// What was never sent has no number yet: its receiver sees no gap.
	if c.tooLate {
		keep = max(c.latency, unsentFor) + unsentMargin
	}
	for c.queue.len() > 0 && now-c.queue.first().born > keep {
		c.pool.put(c.queue.pop().data)
		c.stats.Unsent++
	}
}

// release gives a sent packet's buffer back.
func (c *Caller) release(seq int64) {
	o := c.ring.at(seq)
	if o.data == nil {
		return
	}
	if o.again {
		c.wanted.n--
	}
	c.pool.put(o.data)
	*o = outgoing{}
}

// inFlight is how many packets have been sent and neither acknowledged nor given up.
func (c *Caller) inFlight() int64 { return c.next - c.first }

// Backlog is how long a payload that is pushed now waits until it is sent, at the rate of now.
func (c *Caller) Backlog(now time.Time) time.Duration {
	r := c.rate(c.at(now))
	if c.queue.len() == 0 || r <= 0 {
		return 0
	}
	return r.Time(c.queue.bytes + c.queue.len()*wireOverhead)
}

// Buffered is how many packets are not acknowledged, sent or not: libsrt's SRTO_SNDDATA.
func (c *Caller) Buffered() int { return c.queue.len() + int(c.inFlight()) }

// Silence is how long nothing has been heard of the peer.
func (c *Caller) Silence(now time.Time) time.Duration { return c.at(now) - c.heard }
