package netem

import "time"

// queue knows which packets wait at the bottleneck: a ring of (time it leaves, size). Times ascend.
type queue struct {
	ring           []waiting
	head           int
	packets, bytes int
}

type waiting struct {
	leave time.Duration
	size  int
}

// leave takes out those that have left by now.
func (q *queue) leave(now time.Duration) {
	for q.packets > 0 && q.ring[q.head].leave <= now {
		q.bytes -= q.ring[q.head].size
		q.head = (q.head + 1) & (len(q.ring) - 1)
		q.packets--
	}
}

// enter grows the ring by doubling; the link's limit bounds it.
func (q *queue) enter(leave time.Duration, size int) {
	if q.packets == len(q.ring) {
		ring := make([]waiting, max(64, 2*len(q.ring)))
		for i := range q.packets {
			ring[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
		}
		q.ring, q.head = ring, 0
	}
	q.ring[(q.head+q.packets)&(len(q.ring)-1)] = waiting{leave, size}
	q.packets++
	q.bytes += size
}

// bucket is the policer: a token bucket, full at the start.
type bucket struct {
	rate   uint64 // tokens in a nanosecond; a token is 1e-9 bits
	full   uint64
	tokens uint64
	last   time.Duration
}

const tokensPerByte = 8e9

func newBucket(p Policer) bucket {
	full := uint64(p.Burst) * tokensPerByte
	return bucket{rate: uint64(p.Rate), full: full, tokens: full}
}

func (b *bucket) admit(now time.Duration, size int) bool {
	if b.rate == 0 {
		return true
	}
	if dt := uint64(now - b.last); dt >= b.full/b.rate+1 { // no overflow below
		b.tokens = b.full
	} else {
		b.tokens = min(b.full, b.tokens+dt*b.rate)
	}
	b.last = now
	need := uint64(size) * tokensPerByte
	if need > b.tokens {
		return false
	}
	b.tokens -= need
	return true
}
