package session

import (
	"time"

	"github.com/fairlead-live/fairlead/transport/wire"
)

// Reporting: issue 4 and design.md §2.
const (
	reportInterval = 20 * time.Millisecond
	reportPackets  = 16
	reportGap      = 2 * time.Millisecond // least distance of reports on a gap
	reportAgain    = 5 * time.Millisecond // ours: repeats a report on a gap when no other followed,
	reportRepeats  = 2                    // so often
	reportHistory  = 100 * time.Millisecond
	reportQuiet    = time.Millisecond      // ours: after a silence while something is awaited or lost, and again and again,
	quietMost      = 60 * time.Millisecond // until it has lasted so long: package arq believes no more
	lossyFor       = time.Second           // ours: memory of
	lossyMany      = 12                    // what was missed: from 3 % of 4 Mbit/s on a whole frame in a burst is no rarity
	recorderSize   = 1024                  // transport sequence numbers remembered: 2 × MaxMetrics
)

// recorder is the receiver's memory of arrivals, by transport sequence number.
type recorder struct {
	ring    [recorderSize]arrival
	highest int64   // -1 before the first
	from    int64   // reports begin here
	fresh   int     // packets since the last report
	urgent  bool    // something is missing, or was found
	again   int     // repeats of the last report on a gap still to come, should it be lost
	open    bool    // the newest frame heard of lacks its end
	missed  float64 // packets of late, fading with lossyFor,
	gaps    float64 // and in how many gaps
	missAt  time.Duration
	gap     time.Duration // between packets of a frame, smoothed
	awaits  bool          // media packets that were heard of are missing: resends or repairs should be on their way
	sent    time.Duration
	heard   time.Duration // newest arrival
	missing int64         // of all up to highest, those that have not come
	metrics [wire.MaxMetrics]wire.Metric
}

type arrival struct {
	seq  int64
	at   time.Duration // when it arrived, or when it was missed first
	ecn  uint8
	here bool
}

func newRecorder() *recorder {
	r := &recorder{highest: -1}
	for i := range r.ring {
		r.ring[i].seq = -1
	}
	return r
}

// add notes an arrival and reports whether it is a new one.
func (r *recorder) add(now time.Duration, seq int64, ecn uint8) bool {
	if seq <= r.highest-recorderSize {
		return false
	}
	if seq > r.highest {
		if r.highest >= 0 && seq > r.highest+1 {
			r.urgent = true
			fade := r.fade(now)
			r.missed = r.missed*fade + float64(min(seq-r.highest-1, lossyMany))
			r.gaps = r.gaps*fade + 1
			r.missAt = now
		}
		first := max(r.highest+1, seq-recorderSize+1)
		for s := first; s < seq; s++ {
			*r.at(s) = arrival{seq: s, at: now}
		}
		if r.highest >= 0 {
			r.missing += seq - r.highest - 1
		}
		r.highest = seq
	} else {
		if r.at(seq).here {
			return false
		}
		r.urgent = true // a hole is filled
		r.missing--
	}
	*r.at(seq) = arrival{seq: seq, at: now, ecn: ecn, here: true}
	if r.open && r.fresh > 0 {
		r.gap += (min(now-r.heard, 20*time.Millisecond) - r.gap) / 8
	}
	r.fresh++
	r.heard = now
	return true
}

// quiet is the silence after which a report says that nothing came, while the end of a frame or an answer to a loss is
// awaited, or a whole frame may be lost: the sender then knows that what it sent is lost although nothing followed it
// (package arq). A burst is known while it lasts that way.
func (r *recorder) quiet() time.Duration { return reportQuiet + 3*r.gap/2 }

// listens reports whether silence is worth a report.
func (r *recorder) listens() bool {
	return r.open || r.awaits || r.bursts(r.heard)
}

// bursts reports whether much was missed of late, two packets and more in a row on average.
func (r *recorder) bursts(now time.Duration) bool {
	return r.missed*r.fade(now) >= lossyMany && r.missed >= 2*r.gaps
}

// fade is what is left of what was missed up to missAt.
func (r *recorder) fade(now time.Duration) float64 {
	return max(0, 1-float64(now-r.missAt)/float64(2*lossyFor))
}

func (r *recorder) at(seq int64) *arrival { return &r.ring[seq&(recorderSize-1)] }

// due is when the next report should go; 0: no need for one.
func (r *recorder) due() time.Duration {
	if r.highest < 0 {
		return 0
	}
	switch {
	case r.fresh >= reportPackets:
		return max(1, r.heard)
	case r.urgent:
		return max(1, r.sent+reportGap, r.heard)
	}
	at := r.sent + reportInterval
	if r.again > 0 {
		at = min(at, r.sent+reportAgain)
	}
	again := max(r.heard, r.sent) + r.quiet()
	if r.sent >= r.heard+r.quiet() && !r.bursts(r.heard) { // where losses come one by one the first tells nearly all
		again = max(again, r.sent+reportAgain)
	}
	if r.listens() && again <= r.heard+quietMost {
		at = min(at, again)
	}
	if r.fresh == 0 && at > r.heard+reportHistory {
		return 0
	}
	return max(1, at)
}

// append writes a report about the last reportHistory, also after a silence: where reports are lost in bursts, a packet that no report
// tells of looks lost as soon as one tells of a later one.
func (r *recorder) append(dst []byte, now time.Duration, ssrc uint32) []byte {
	r.from = max(r.from, r.highest+1-wire.MaxMetrics)
	for r.from < r.highest && r.at(r.from).at < now-reportHistory {
		r.from++
	}
	n := int(r.highest + 1 - r.from)
	for i := range n {
		a := r.at(r.from + int64(i))
		r.metrics[i] = 0
		if a.here {
			r.metrics[i] = wire.NewMetric(now-a.at, a.ecn)
		}
	}
	if r.urgent {
		r.again = reportRepeats
	} else {
		r.again = max(0, r.again-1)
	}
	r.fresh, r.urgent, r.sent = 0, false, now
	return wire.AppendFeedback(dst, ssrc, ssrc, uint16(r.from), r.metrics[:n], wire.ReportTime(now))
}
