package session

import "time"

// All ours. What was to come and did not is told of reportQuiet and one and a half of the time between packets after it was due. Where losses come in bursts it is
// told again and again after the same time, and seldomer when the burst is longer than most, after half of its length without burstMost; else after
// reportAgain and then after twice its absence. It ends when nothing has come for quietMost: package arq believes no more.
const (
	reportQuiet = time.Millisecond
	reportAgain = 5 * time.Millisecond
	quietMost   = 60 * time.Millisecond
	burstMost   = 8 * time.Millisecond
	gapMost     = 20 * time.Millisecond  // between two packets of a frame: more is a pause
	answerSlack = 4 * time.Millisecond   // how late an answer may be before its absence is told
	beatSlack   = 3 * time.Millisecond   // how late a frame may be, at least
	beatLeast   = 4 * time.Millisecond   // between two frames,
	beatMost    = 250 * time.Millisecond // at least and at most
	beatLost    = 20 * time.Millisecond  // frames that are so irregular are not waited for
)

// expects is what the receiver waits for. Where it does not come the sender wants to know, as nothing may follow by which it could tell
// for as long as the path's bursts of loss or the time between two frames:
//
//	the rest of a frame that has begun         as soon as packets of a frame follow each other
//	the rest of the answers to a burst         as soon as the first of them has come
//	the next frame                             as long after the last one began as that after the one before
//	the answer to a loss that was told         as soon as resends came for what was missing before
type expects struct {
	open      bool          // the newest frame heard of lacks its end
	gap       time.Duration // between packets of a frame, smoothed
	start     time.Duration // of the newest frame whose first packet came,
	left      time.Duration // and when that was sent, on the sender's clock
	began     time.Duration // the newest frame, as far as that can be told where its first packet is lost,
	every     quartile      // how long after the one before,
	uneven    time.Duration // and by how much that differs, smoothed
	awaits    bool          // media packets that were heard of are missing
	answering bool          // the newest arrival is an answer,
	second    bool          // and the one before it was,
	since     time.Duration // so long before
	spread    time.Duration // the same, smoothed
	takes     quartile      // from a loss to its answer: what came of a second one took twice as long
	due       [32]time.Duration
	head      int
	n         int
}

// follows: a packet came d after the one before.
func (e *expects) follows(d time.Duration) {
	e.since, e.second, e.answering = d, e.answering, false
	if e.open {
		e.gap += (min(d, gapMost) - e.gap) / 8
	}
}

// answered: what has come is an answer to a loss.
func (e *expects) answered() {
	e.answering = true
	switch d := min(e.since, gapMost); {
	case !e.second:
	case e.spread == 0:
		e.spread = d
	default:
		e.spread += (d - e.spread) / 8
	}
}

// frame: a packet of a frame came, at its first sending, which was at sent of the sender's clock; start and end: its first and its last.
func (e *expects) frame(now, sent time.Duration, start, end bool) {
	if start && end { // a frame of one packet is sound, or little, and may come between those of another
		return
	}
	if start {
		e.beat(now-e.start, sent-e.left)
		e.start, e.left, e.began = now, sent, now
	} else if every := e.every.value; every >= beatLeast && now-e.began < beatMost {
		e.began += (now - e.began) / every * every
	}
	e.open = !end
}

// beat: a frame began d after the newest one that is known of, and was sent left after it; those between them may be lost.
func (e *expects) beat(d, left time.Duration) {
	switch every := e.every.value; {
	case left > beatMost || e.start == 0:
	case every > 0 && left > every/2:
		n := (left + every/2) / every
		off := d - n*every
		e.uneven += (max(off, -off) - e.uneven) / 8
		e.every.saw(left / n)
	default:
		e.every.saw(left)
	}
}

// told: a loss was told now.
func (e *expects) told(now time.Duration) {
	if e.takes.value > 0 && e.n < len(e.due) {
		e.due[(e.head+e.n)%len(e.due)] = now + e.takes.value + answerSlack
		e.n++
	}
}

// quiet is the silence that is worth telling of where packets come gap after each other.
func quiet(gap time.Duration) time.Duration { return reportQuiet + 3*gap/2 }

// again is how long after a report the next one should follow that tells only that something is missing still: since is for how long it has been.
func (e *expects) again(since, gap time.Duration, bursts bool) time.Duration {
	if bursts {
		return max(quiet(gap), since/2-burstMost)
	}
	return max(reportAgain, 2*since) // the first tells nearly all
}

// silence is when it should be told that nothing came after heard; 0: it is no news. sent is when the newest report went; bursts: losses come in
// bursts, so that what follows is lost, too.
func (e *expects) silence(heard, sent time.Duration, bursts bool) (at time.Duration) {
	lacks := func(t, gap time.Duration) { // since t
		if t <= heard {
			return
		}
		if sent >= t {
			t = sent + e.again(sent-t, gap, bursts)
		}
		if at == 0 || t < at {
			at = t
		}
	}
	if e.open {
		lacks(heard+quiet(e.gap), e.gap)
	}
	if bursts && e.answering && e.awaits && e.spread > 0 {
		lacks(heard+quiet(e.spread), e.spread)
	}
	if slack := beatSlack + 3*e.uneven; e.every.value >= beatLeast && slack < beatLost {
		next := e.began + e.every.value + slack
		if since := max(heard, sent) - next; since > 0 {
			next += since / e.every.value * e.every.value
			lacks(next+e.every.value, e.gap)
		}
		lacks(next, e.gap)
	}
	for e.n > 0 && e.due[e.head] <= heard+2*answerSlack { // what came then was an answer, or showed that one is lost
		e.head, e.n = (e.head+1)%len(e.due), e.n-1
	}
	if e.awaits {
		for i := range e.n {
			due := e.due[(e.head+i)%len(e.due)]
			lacks(due, e.gap)
			if due > sent {
				break
			}
		}
	}
	if at > heard+quietMost {
		return 0
	}
	return at
}

// quartile follows the lower quartile of what it sees.
type quartile struct{ value time.Duration }

// quartileStep up, three times as far down.
const quartileStep = 200 * time.Microsecond

func (q *quartile) saw(d time.Duration) {
	switch {
	case d <= 0:
	case q.value == 0:
		q.value = d
	case d < q.value:
		q.value -= min(3*quartileStep, q.value-d)
	default:
		q.value += min(quartileStep, d-q.value)
	}
}
