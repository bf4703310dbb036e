package session

import "time"

// All ours. A silence is told after reportQuiet and one and a half of the time between packets, after the same time and then whenever it has lasted a quarter as long
// again where losses come in bursts, after reportAgain and twice its length where they do not, up to quietMost: package arq believes no more.
const (
	reportQuiet = time.Millisecond
	quietMost   = 60 * time.Millisecond
	answerSlack = 2 * time.Millisecond   // how late an answer may be before its absence is told
	beatSlack   = 3 * time.Millisecond   // how late a frame may be, at least
	beatMost    = 250 * time.Millisecond // between two frames
	beatLost    = 20 * time.Millisecond  // frames that are so irregular are not waited for
)

// expects is what the receiver waits for. Where it does not come the sender wants to know, as nothing may follow by which it could tell
// for as long as the path's bursts of loss or the time between two frames:
//
//	the rest of a frame that has begun         as soon as packets of a frame follow each other
//	the next frame                             as long after the last one began as that after the one before
//	the answer to a loss that was told         as soon as resends came for what was missing before
type expects struct {
	open   bool          // the newest frame heard of lacks its end
	gap    time.Duration // between packets of a frame, smoothed
	began  time.Duration // the newest frame,
	every  quartile      // how long after the one before,
	uneven time.Duration // and by how much that differs, smoothed
	awaits bool          // media packets that were heard of are missing
	takes  quartile      // from a loss to its answer: what came of a second one took twice as long
	due    [32]time.Duration
	head   int
	n      int
}

// follows: a packet came d after the one before.
func (e *expects) follows(d time.Duration) {
	if e.open {
		e.gap += (min(d, 20*time.Millisecond) - e.gap) / 8
	}
}

// frame: a packet of a frame came, at its first sending; start and end: its first and its last.
func (e *expects) frame(now time.Duration, start, end bool) {
	if start && end { // a frame of one packet is sound, or little, and may come between those of another
		return
	}
	if (start || !e.open) && !end {
		e.beat(now - e.began)
		e.began = now
	}
	e.open = !end
}

// beat: a frame began d after the newest one that is known of; those between them may be lost.
func (e *expects) beat(d time.Duration) {
	switch every := e.every.value; {
	case d > beatMost || e.began == 0:
	case every > 0 && d > every/2:
		n := (d + every/2) / every
		off := d - n*every
		e.uneven += (max(off, -off) - e.uneven) / 8
		e.every.saw(d / n)
	default:
		e.every.saw(d)
	}
}

// told: a loss was told now.
func (e *expects) told(now time.Duration) {
	if e.takes.value > 0 && e.n < len(e.due) {
		e.due[(e.head+e.n)%len(e.due)] = now + e.takes.value + answerSlack
		e.n++
	}
}

// quiet is the silence that is worth telling of.
func (e *expects) quiet() time.Duration { return reportQuiet + 3*e.gap/2 }

// silence is when it should be told that nothing came after heard; 0: it is no news. sent is when the newest report went; bursts: losses come in
// bursts, so that what follows is lost, too.
func (e *expects) silence(heard, sent time.Duration, bursts bool) (at time.Duration) {
	quiet := e.quiet()
	earliest := func(t time.Duration) {
		if t > heard && (at == 0 || t < at) {
			at = t
		}
	}
	if e.open {
		earliest(heard + quiet)
	}
	if slack := beatSlack + 3*e.uneven; e.every.value > 0 && slack < beatLost {
		earliest(e.began + e.every.value + slack)
	}
	for e.n > 0 && e.due[e.head] <= heard+2*answerSlack { // what came then was an answer, or showed that one is lost
		e.head, e.n = (e.head+1)%len(e.due), e.n-1
	}
	if e.awaits && e.n > 0 {
		earliest(e.due[e.head])
	}
	if at > 0 && sent >= at {
		if bursts {
			at = sent + max(quiet, (sent-at+quiet)/4)
		} else {
			at = sent + max(reportAgain, 2*(sent-at)) // the first tells nearly all
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
