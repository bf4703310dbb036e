package srt

import "time"

// Constants of resending; ours.
const (
	// budgetLeast is what resends may always use at once, bytes.
	budgetLeast = 64 << 10
	// budgetSpan is how long the budget may be saved up, at least: an outage as long as this at the stream's rate and full share.
	budgetSpan = time.Second
	// rtoSlack is what a resend nobody asked for waits beyond RTT + 4 RTTVar: two intervals of ACKs and a tick.
	rtoSlack = 30 * time.Millisecond
	// copyLeast is the least time between the two copies of a last resend, so that one burst of losses does not take both.
	copyLeast = 4 * time.Millisecond
	// copyQueue is the least rise of the round trip that counts as a queue.
	copyQueue = 20 * time.Millisecond
	maxCopies = 1024
	// maxACKACKs bounds the answers that wait.
	maxACKACKs = 16
)

// acknowledged takes an ACK. number 0: a light one.
func (c *Caller) acknowledged(now time.Duration, number uint32, body []byte) {
	a, ok := ParseACK(body)
	if !ok || a.Next > maxSeq {
		c.stats.Drops[DropMalformed]++
		return
	}
	next := unwrap31(c.next, a.Next)
	if next > c.next {
		c.stats.Drops[DropOutOfRange]++ // of what was never sent
		return
	}
	if number != 0 {
		c.stats.ACKs++
		if len(c.ackacks) < maxACKACKs {
			c.ackacks = append(c.ackacks, number)
		}
	}
	if len(body) >= 16 {
		c.window = int64(min(max(a.Available, 2), flowWindow)) // 0 would be for ever: nothing is sent that could be answered
		rtt, v := time.Duration(a.RTT)*time.Microsecond, time.Duration(a.RTTVar)*time.Microsecond
		if rtt != initialRTT || v != initialRTTVar { // those are of before its first sample
			c.measured(now, rtt, v)
		}
	}
	if len(body) >= 28 {
		c.stats.Rate, c.stats.Capacity, c.stats.ByteRate = a.Rate, a.Capacity, a.ByteRate
	}
	if next <= c.acked {
		return
	}
	for c.first < next {
		if c.ring.at(c.first).data != nil {
			c.stats.Acked++
			c.release(c.first)
		}
		c.first++
	}
	c.acked = next
	c.arm(now)
}

// guard is how soon after a resend another can be asked for at the earliest: an asking that comes sooner was on its way
// before. libsrt takes RTT - 4 RTTVar, which is nothing on a path with jitter.
func (c *Caller) guard() time.Duration { return c.rtt - min(c.rttV, c.rtt/4) }

// asked takes the body of a NAK.
func (c *Caller) asked(now time.Duration, body []byte) {
	c.stats.NAKs++
	if len(body) < 4 {
		c.stats.Drops[DropMalformed]++
		return
	}
	c.age(now)
	guard := c.guard()
	for len(body) >= 4 {
		f, l, rest, ok := NextRange(body)
		if !ok {
			c.stats.Drops[DropMalformed]++
			return
		}
		body = rest
		from := unwrap31(c.next, f)
		to := from + int64((l-f)&maxSeq)
		if to >= c.next || to-from >= MaxRing {
			c.stats.Drops[DropOutOfRange]++
			continue
		}
		if gone := min(to, c.first-1); from <= gone && gone >= c.acked {
			// Given up here: the receiver need not wait for it.
			if c.dropTo < c.dropFrom {
				c.dropFrom, c.dropTo = max(from, c.acked), gone
			}
			c.dropFrom, c.dropTo = min(c.dropFrom, max(from, c.acked)), max(c.dropTo, gone)
		}
		for s := max(from, c.first); s <= to; s++ {
			c.ask(now, s, guard)
		}
	}
}

// ask marks a packet for resending.
func (c *Caller) ask(now time.Duration, seq int64, guard time.Duration) {
	o := c.ring.at(seq)
	c.stats.Asked++
	if !o.lost {
		o.lost = true
		c.stats.Lost++
	}
	switch {
	case o.data == nil || o.again:
		return
	case now-o.last < guard:
		c.stats.Suppressed++
		return
	}
	o.again = true
	c.wanted.add(seq)
}

// resend writes the next resend, the oldest first; false: there is none, or no budget for one.
func (c *Caller) resend(dst []byte, now time.Duration) ([]byte, bool) {
	if len(c.copies) > 0 && c.copies[0].at <= now {
		k := c.copies[0]
		n := copy(c.copies, c.copies[1:])
		c.copies = c.copies[:n]
		if k.seq >= c.first && k.seq < c.next {
			if o := c.ring.at(k.seq); o.data != nil && !o.again && c.spend(o) {
				c.stats.Copies++
				last := o.last
				dst = c.transmit(dst, now, k.seq, o)
				o.last = last // an asking that the first one's loss brings is no duplicate
				return dst, true
			}
		}
	}
	if c.wanted.n == 0 {
		c.wanted.low = forever64
		return dst, false
	}
	for s := max(c.wanted.low, c.first); s < c.next; s++ {
		o := c.ring.at(s)
		if !o.again {
			continue
		}
		c.wanted.low = s
		if !c.spend(o) {
			c.stats.Starved++
			return dst, false
		}
		o.again = false
		c.wanted.n--
		c.insure(now, s, o)
		return c.transmit(dst, now, s, o), true
	}
	return dst, false
}

// spend takes a resend off the budget.
func (c *Caller) spend(o *outgoing) bool {
	n := int(o.n) + wireOverhead
	if c.budget < n {
		return false
	}
	c.budget -= n
	return true
}

// earn puts the share of a packet sent first into the budget.
func (c *Caller) earn(n int) {
	most := budgetLeast
	if c.input.rate > 0 {
		most = max(most, int(float64(c.input.rate.Bytes(max(budgetSpan, c.latency)))*c.cfg.ResendShare))
	}
	c.budget = min(c.budget+int(float64(n)*c.cfg.ResendShare), most)
}

// insure plans a second copy of a resend when no further asking could bring another one in time.
func (c *Caller) insure(now time.Duration, seq int64, o *outgoing) {
	left := o.born + c.latency - now // until when a copy is of use
	if c.cfg.Single || !c.sampled || !c.tooLate || left <= 0 || left > c.rtt+c.rttV+c.nakPeriod() || len(c.copies) >= maxCopies || c.queueing() {
		return
	}
	at := now + min(max(copyLeast, c.rtt/8), left)
	if n := len(c.copies); n > 0 {
		at = max(at, c.copies[n-1].at) // so that the list is in order
	}
	c.copies = append(c.copies, copyAt{seq, at})
}

// queueing reports whether the path holds a queue: what is lost then is lost for lack of room, which copies do not make.
func (c *Caller) queueing() bool {
	least := c.least.minimum()
	return c.rtt > least+max(least/2, copyQueue)
}

// nakPeriod is how long a receiver may wait before it asks again: libsrt's interval of periodic NAKs, draft §4.8.2.
func (c *Caller) nakPeriod() time.Duration { return max((c.rtt+4*c.rttV)/2, leastRepeat) }

// arm schedules the resend of the first packet in flight, should nothing be heard of it.
func (c *Caller) arm(now time.Duration) {
	c.rto = forever
	if c.inFlight() == 0 || c.neverResends() {
		return
	}
	o := c.ring.at(c.first)
	wait := c.rtt + 4*c.rttV + rtoSlack
	if c.filtered { // parity comes first
		wait += c.input.gap * time.Duration(c.filter.Cols*max(c.filter.Rows, -c.filter.Rows))
	}
	c.rto = max(now, o.last+wait<<min(max(o.times, 1)-1, 4))
}

// timedOut resends the first packet in flight, and the last one when nothing follows it that would show its receiver the gap.
func (c *Caller) timedOut(now time.Duration) {
	c.age(now)
	if c.arm(now); c.rto > now {
		return // that one was given up meanwhile
	}
	c.rto = forever
	head := c.first
	for _, s := range [...]int64{head, c.next - 1} {
		if s == head && s == c.next-1 && c.ring.at(s).again {
			continue
		}
		if s != head && (c.queue.len() > 0 || now-c.ring.at(s).last < c.rtt+rtoSlack) {
			continue
		}
		if o := c.ring.at(s); o.data != nil && !o.again {
			o.again = true
			c.wanted.add(s)
			c.stats.Timeouts++
		}
	}
}
