package cc

import (
	"math"
	"time"
)

// bulk is a download that never ends, under a model of TCP's congestion control. Every packet is acknowledged.
type bulk struct {
	w    *world
	i    int
	law  law
	air  *flight
	got  ledger
	rtt  time.Duration
	wake time.Duration
	next time.Duration // pacer
	del  float64       // bytes delivered
	last time.Duration
}

// law is a window, and a pacing rate where it has one.
type law interface {
	window() float64 // bytes
	pacing() float64 // bits/s, 0: none
	ack(now, rtt time.Duration, size int, rate float64, inflight int)
	lost(now, sent time.Duration)
	timeout()
}

const segment = 1500

func newBulk(w *world, i int, f Flow) *bulk {
	b := &bulk{w: w, i: i, air: newFlight()}
	switch f.Kind {
	case Reno:
		b.law = &reno{cwnd: 10 * segment, slow: true}
	case Cubic:
		b.law = &cubic{cwnd: 10 * segment, slow: true}
	default:
		b.law = newBBR()
	}
	return b
}

func (b *bulk) start() {
	b.last = b.w.Elapsed()
	b.pump()
	b.w.Every(200*time.Millisecond, func() {
		if now := b.w.Elapsed(); b.air.bytes > 0 && now-b.last > max(time.Second, 3*b.rtt) {
			b.air.forget(now)
			b.law.timeout()
			b.last = now
			b.pump()
		}
	})
}

func (b *bulk) pump() {
	now := b.w.Elapsed()
	for float64(b.air.bytes) < b.law.window() {
		if rate := b.law.pacing(); rate > 0 {
			if now < b.next {
				if b.wake <= now || b.next < b.wake {
					b.wake = b.next
					b.w.At(b.next, b.pump)
				}
				return
			}
			b.next = max(b.next, now-2*time.Millisecond) + time.Duration(segment*8/rate*1e9)
		}
		seq := b.air.push(packet{sent: now, size: segment, born: b.last, tag: b.del})
		b.w.send(b.i, seq, segment)
	}
}

func (b *bulk) arrive(now time.Duration, seq int64, _ int, _ bool) {
	b.got.add(got{seq: seq, at: now})
	if r := b.got.report(now); r != nil {
		b.w.back(b.i, r, 60)
	}
}

func (b *bulk) reply(now time.Duration, r *report) {
	b.air.take(r, func(p *packet, lost bool) {
		if lost {
			b.law.lost(now, p.sent)
			return
		}
		b.del += float64(p.size)
		b.last = now
		b.rtt = now - p.sent
		// Delivery rate as draft-cheng-iccrg-delivery-rate-estimation: over the longer of send and ack time.
		span := max(now-p.born, time.Millisecond)
		b.law.ack(now, b.rtt, p.size, (b.del-p.tag)*8/span.Seconds(), b.air.bytes)
	})
	b.pump()
}

// reno is RFC 5681 with quic-go's beta of 0.7, which is what QUIC senders of this kind do.
type reno struct {
	cwnd  float64
	slow  bool
	cutAt time.Duration
}

const renoBeta = 0.7

func (r *reno) window() float64 { return r.cwnd }
func (r *reno) pacing() float64 { return 0 }
func (r *reno) timeout()        { r.cwnd, r.slow = 4*segment, true }
func (r *reno) ack(_, _ time.Duration, size int, _ float64, inflight int) {
	if float64(inflight) < r.cwnd/2 {
		return
	}
	if r.slow {
		r.cwnd += float64(size)
		return
	}
	r.cwnd += segment * float64(size) / r.cwnd
}

func (r *reno) lost(now, sent time.Duration) {
	if sent <= r.cutAt {
		return
	}
	r.cutAt, r.slow = now, false
	r.cwnd = max(2*segment, r.cwnd*renoBeta)
}

// cubic is RFC 9438: C 0.4, beta 0.7, fast convergence, the Reno-friendly region.
type cubic struct {
	cwnd, most, friendly float64
	slow                 bool
	cutAt                time.Duration
	epoch                time.Duration
}

func (c *cubic) window() float64 { return c.cwnd }
func (c *cubic) pacing() float64 { return 0 }
func (c *cubic) timeout()        { c.cwnd, c.slow = 4*segment, true }

func (c *cubic) ack(now, rtt time.Duration, size int, _ float64, inflight int) {
	if float64(inflight) < c.cwnd/2 {
		return
	}
	if c.slow {
		c.cwnd += float64(size)
		return
	}
	w := c.cwnd / segment
	c.friendly += 0.53 * float64(size) / c.cwnd // 3(1−β)/(1+β)
	k := math.Cbrt(max(0, c.most-c.most*0.7) / 0.4)
	t := (now - c.epoch + rtt).Seconds()
	goal := 0.4*math.Pow(t-k, 3) + c.most
	goal = max(w, min(goal, 1.5*w))
	w += (goal - w) / w * float64(size) / segment
	c.cwnd = max(w, c.friendly) * segment
}

func (c *cubic) lost(now, sent time.Duration) {
	if sent <= c.cutAt {
		return
	}
	w := c.cwnd / segment
	if w < c.most {
		c.most = w * 0.85
	} else {
		c.most = w
	}
	c.cutAt, c.epoch, c.slow = now, now, false
	c.cwnd = max(2*segment, c.cwnd*0.7)
	c.friendly = c.cwnd / segment
}
