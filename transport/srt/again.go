package srt

import "time"

// Constants of repeating an asking; ours.
const (
	// copyLeastGuard is how soon after a resend a sender of libsrt is to send another one, where the round trip does not vary.
	copyLeastGuard = 4 * time.Millisecond
	// echoAfter is between an asking and its echo, which is there in case the first is lost: within copyGuard, so that a sender that has both
	// resends once.
	echoAfter = 2 * time.Millisecond
	// rareTries: from this asking on each has a copy. So few packets come there that it costs nothing; behind parity fewer still.
	rareTries, rareParityTries = 3, 2
	// fewRounds is how many round trips of latency are few: up to there ACKs ask for copyGuard.
	fewRounds = 8
	// copyShare is the most copies for each packet received, saved up to copyMost.
	copyShare, copyMost = 0.25, 64
)

// schedule sets when a packet that is asked for now is asked for next; left is until the last moment at which an answer can come in time.
//
// Draft §4.8.2 repeats each (RTT + 4 RTTVar)/2. Here repeats come after one round trip, later ones ever later, and the last few closer
// together, up to the last moment: by then only those are missing that several resends have not brought, so that it costs little. Of those each
// asking has a copy; so has the last one of all. Where there is time for few, the first ones have an echo.
func (c *Conn) schedule(now time.Duration, m *missing, repeat, left time.Duration) {
	if m.then > 0 { // that was an echo or a copy
		m.next, m.then = m.then, 0
		return
	}
	m.tries++
	wait, ok := c.wait(m, repeat, left)
	after := c.copyAfter()
	switch {
	case !ok:
		m.next = forever
	case wait >= 2*after && c.rare(m) && !m.last:
		m.next, m.then = now+after, now+wait
	case wait >= 2*after && left <= lastTries*repeat:
		m.next, m.then = now+echoAfter, now+wait
	default:
		m.next = now + wait
	}
}

// wait is how long after an asking the next one follows. False: never again.
func (c *Conn) wait(m *missing, repeat, left time.Duration) (d time.Duration, ok bool) {
	wait := repeat
	if m.tries > lateTries {
		wait = repeat * time.Duration(min(m.tries, 8)-lateTries+2) / 2
	}
	least := c.answerAfter()
	after := c.copyAfter()
	few := c.rare(m) || c.fec != nil
	switch n := max((left-after)/least, min(left/least, 1)); {
	case m.last:
		return 0, false
	case few && n >= 1 && n <= lastTries:
		return max(left-after, least) / n, true
	case wait <= left:
		return wait, true
	case left >= least:
		return left, true
	}
	// No answer can be waited for any more: a copy, as late as is safe, so that it need not be when the first one comes.
	m.last = true
	if left < after || !c.copies() {
		return min(echoAfter, max(left, 0)), true
	}
	return max(after, left-lastMargin-4*c.rtt.variance), true
}

// answerAfter is the least time between two askings that lets an answer to the first come before the second, or nearly.
func (c *Conn) answerAfter() time.Duration {
	return max(c.rtt.smoothed-max(min(3*c.rtt.variance, c.rtt.smoothed/8), c.rtt.smoothed/16), leastRepeat)
}

// rare reports whether so few packets are asked for that often that it costs nothing.
func (c *Conn) rare(m *missing) bool {
	return m.tries >= rareTries || c.fec != nil && m.tries >= rareParityTries
}

// copies reports whether there may be another copy. Where a queue stands, what is lost is lost for lack of room.
func (c *Conn) copies() bool {
	least := c.rtt.minimum()
	if c.allowed < 1 || c.rtt.smoothed > least+max(least/2, copyQueue) {
		return false
	}
	c.allowed--
	return true
}

// tellVariance is what ACKs say of the variance of round trips. A sender of libsrt resends nothing twice within RTT - 4 RTTVar and has no other
// use for it, but in backup groups, for how soon a member is unstable. Where there is time for few round trips it is to send a copy
// when it is asked for one.
func (c *Conn) tellVariance() time.Duration {
	v := c.rtt.variance
	if !c.rtt.sampled || c.kind == groupBackup || c.latency > fewRounds*c.rtt.smoothed {
		return v
	}
	return max(v, (c.rtt.smoothed-c.copyGuard())/4)
}

// copyGuard is how soon after a resend a sender of libsrt is to send another one: what RTT - 4 RTTVar of our ACKs comes to.
func (c *Conn) copyGuard() time.Duration {
	return max(copyLeastGuard, min(copyLeastGuard+2*c.rtt.variance, c.rtt.smoothed/4))
}

// copyAfter is the least between an asking and its copy, which brings another resend.
func (c *Conn) copyAfter() time.Duration { return c.copyGuard() + lastMargin }
