package srt

import (
	"slices"
	"time"

	"github.com/fairlead-live/fairlead/transport/srt/filter"
)

// Constants of asking again; ours.
const (
	leastRepeat = 20 * time.Millisecond // libsrt's least NAK period
	lastMargin  = 2 * time.Millisecond  // of a tick, at either end
	parityLook  = 5 * time.Millisecond  // between two looks whether parity can still help
	lateTries   = 4                     // after that many the waits grow
	lastTries   = 4                     // are few: late ones fill the time that is left evenly
)

// missing is a packet that others have overtaken.
type missing struct {
	seq   int64
	found time.Duration
	next  time.Duration // when to ask (again)
	then  time.Duration // when next only repeats the last asking: when to ask after that; 0: it does not
	tries int
	last  bool // the last asking of all has been repeated, or is to be
}

// losses is the list of what is missing, in order. It has at most as many entries as the ring has slots.
type losses struct {
	list []missing
	due  time.Duration // no entry is due before; only ever too early
}

func (l *losses) add(now time.Duration, from, to int64) {
	for s := from; s < to; s++ {
		l.list = append(l.list, missing{seq: s, found: now, next: now})
	}
	l.due = min(l.due, now)
}

func (l *losses) find(seq int64) (int, bool) {
	return slices.BinarySearchFunc(l.list, seq, func(m missing, s int64) int { return int(m.seq - s) })
}

// remove takes out what arrived and returns it.
func (l *losses) remove(seq int64) (missing, bool) {
	i, ok := l.find(seq)
	if !ok {
		return missing{}, false
	}
	m := l.list[i]
	l.list = slices.Delete(l.list, i, i+1)
	return m, true
}

// forget takes out first..last: they will not come, or are no longer wanted. It returns how many there were.
func (l *losses) forget(first, last int64) int {
	i, _ := l.find(first)
	j, _ := l.find(last + 1)
	l.list = slices.Delete(l.list, i, j)
	return j - i
}

// ask writes the body of a NAK with all that is due, at most limit bytes. wait holds a first asking back; deadline says until
// when a packet is of use, which grows with its number.
func (c *Conn) ask(dst []byte, now time.Duration, limit int) []byte {
	l := &c.losses
	start := len(dst)
	if c.fec != nil && c.fec.Config().ARQ == filter.Never {
		l.due = forever
		return dst
	}
	repeat := max(c.rtt.smoothed+c.rtt.variance+lastMargin, leastRepeat)
	hold := c.holdNow()
	l.due = forever
	run, end := int64(-1), int64(-1) // a range under way
	flush := func() {
		if run >= 0 {
			dst = AppendRange(dst, uint32(run)&maxSeq, uint32(end)&maxSeq)
		}
		run = -1
	}
	var useful time.Duration // deadline of the gap that holds entries up to usefulTo
	usefulTo := int64(-1)
	for i := range l.list {
		m := &l.list[i]
		if m.tries == 0 {
			m.next = max(m.next, m.found+hold)
		}
		if m.next > now {
			l.due = min(l.due, m.next)
			continue
		}
		if who := c.asker(now, m); who != c {
			if who == nil {
				m.next = now + askAnew
			} else {
				c.l.touch(who)
			}
			l.due = min(l.due, m.next)
			continue
		}
		if m.seq >= usefulTo {
			useful, usefulTo = c.gapDeadline(m.seq)
		}
		if now+c.rtt.minimum() > useful {
			m.next = forever // it cannot come in time
			c.stats.NotAsked++
			continue
		}
		if m.tries == 0 {
			if until, ok := c.leaveToParity(now, m.seq, useful); ok {
				m.next = until
				l.due = min(l.due, m.next)
				continue
			}
		}
		if len(dst)-start+16 > limit {
			l.due = now
			break
		}
		if run >= 0 && end+1 != m.seq {
			flush()
		}
		if run < 0 {
			run = m.seq
		}
		end = m.seq
		c.stats.Asked++
		c.schedule(now, m, repeat, useful-c.rtt.smoothed-lastMargin-now)
		l.due = min(l.due, m.next)
	}
	flush()
	return dst
}

// gapDeadline returns until when packet seq is of use: when the next one that is here is due. It holds up to that one.
func (c *Conn) gapDeadline(seq int64) (time.Duration, int64) {
	for s := seq + 1; s < c.high; s++ {
		if at := c.ring.at(s); at.known && at.seq == s && at.data != nil {
			return at.play + c.clock.drift, s
		}
	}
	return forever, c.high
}

// holdNow is the reorder hold, cut so that one and a half round trips are left for the resend.
func (c *Conn) holdNow() time.Duration {
	return max(0, min(c.hold.now, c.latency-c.rtt.smoothed*3/2))
}
