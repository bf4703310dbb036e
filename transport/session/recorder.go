package session

import (
	"time"

	"github.com/fairlead-live/fairlead/transport/wire"
)

// Reporting: issue 4 and design.md §2.
const (
	reportInterval = 15 * time.Millisecond // an arrival is told of within: 20 in the issue; a link that falls from 8 to 2 Mbit/s is noticed 20 ms sooner
	reportPackets  = 16
	reportAnswer   = 4 * time.Millisecond   // ours: the arrival of an answer to a loss is told of within, for the sender is about to send another
	reportGap      = 2 * time.Millisecond   // least distance of reports on a gap
	reportRepeats  = 1                      // ours: a report on a gap is repeated when no other followed, so often
	reportTold     = 3                      // ours: reports that tell of a packet,
	reportShort    = 8                      // and one of so many,
	reportLong     = 60 * time.Millisecond  // or one after so long, tells of all of
	reportHistory  = 100 * time.Millisecond // for those that a lost report told of; package arq waits for it
	burstsFor      = 10 * time.Second       // ours: a burst of losses is remembered
	recorderSize   = 1024                   // transport sequence numbers remembered: 2 × MaxMetrics
)

// recorder is the receiver's memory of arrivals, by transport sequence number, and decides when they are told of. There are three kinds of news:
//
//	an arrival     told within reportInterval, or when there are reportPackets of them
//	a loss         told at once, and again
//	a silence      where something was to come: the rest of a frame, the next frame, the answer to a loss
type recorder struct {
	ring     [recorderSize]arrival
	highest  int64 // -1 before the first
	from     int64 // reports begin here
	ends     [reportTold]int64
	long     time.Duration // when a report told of all
	short    int           // reports since
	fresh    int           // packets since the last report,
	within   time.Duration // and when that is due
	urgent   bool          // something is missing, or was found
	again    int           // repeats of the last report on a gap still to come, should it be lost
	expects  expects
	missed   float64 // packets of late, fading,
	gaps     float64 // and in how many gaps
	missAt   time.Duration
	silentAt time.Duration
	sent     time.Duration
	heard    time.Duration // newest arrival
	missing  int64         // of all up to highest, those that have not come
	metrics  [wire.MaxMetrics]wire.Metric
}

type arrival struct {
	seq  int64
	at   time.Duration // when it arrived, or when it was missed first
	ecn  uint8
	here bool
	// unused: it was of no use, although what it was for is lacking.
	unused bool
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
			fade := max(0, 1-float64(now-r.missAt)/float64(burstsFor))
			r.missed = r.missed*fade + float64(min(seq-r.highest-1, reportPackets))
			r.gaps = r.gaps*fade + 1
			r.missAt = now
		}
		r.expects.follows((now - r.heard) / time.Duration(seq-r.highest))
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
	if r.fresh == 0 {
		r.within = now + reportInterval
	}
	r.fresh++
	r.heard = now
	return true
}

// answered: the newest arrival is a resend or a repair.
func (r *recorder) answered() {
	r.within = min(r.within, r.heard+reportAnswer)
	r.expects.answered()
}

// useless: packet seq, which has just arrived, was of no use although what it was for is lacking. The sender counts on it otherwise.
func (r *recorder) useless(seq int64) { r.at(seq).unused, r.urgent = true, true }

// bursts reports whether two packets and more in a row were missed of late, on average: then reports may be, too.
func (r *recorder) bursts(now time.Duration) bool {
	return r.missed >= 2*r.gaps && now-r.missAt < burstsFor && r.gaps > 0
}

func (r *recorder) at(seq int64) *arrival { return &r.ring[seq&(recorderSize-1)] }

// due is when the next report should go; 0: no need for one.
func (r *recorder) due() (at time.Duration) {
	if r.highest < 0 {
		return 0
	}
	earliest := func(t time.Duration) {
		if t > 0 && (at == 0 || t < at) {
			at = t
		}
	}
	switch {
	case r.fresh >= reportPackets:
		return max(1, r.heard)
	case r.urgent:
		return max(1, r.sent+reportGap, r.heard)
	case r.fresh > 0:
		earliest(r.within)
	}
	bursts := r.bursts(r.heard)
	if r.again > 0 {
		earliest(r.sent + r.expects.again(0, r.expects.gap, bursts))
	}
	earliest(r.expects.silence(r.heard, r.sent, bursts))
	return at
}

// append writes a report. A packet is told of by reportTold reports, and some tell of all the last reportHistory, for where reports are lost in
// bursts those are missed that no report told of.
func (r *recorder) append(dst []byte, now time.Duration, ssrc uint32) []byte {
	r.from = max(r.from, r.highest+1-wire.MaxMetrics)
	for r.from < r.highest && r.at(r.from).at < now-reportHistory {
		r.from++
	}
	from := r.from
	if r.short++; r.short < reportShort && now < r.long+reportLong && !r.bursts(now) {
		from = max(from, min(r.ends[0], r.highest))
	} else {
		r.long, r.short = now, 0
	}
	copy(r.ends[:], r.ends[1:])
	r.ends[len(r.ends)-1] = r.highest + 1
	n := int(r.highest + 1 - from)
	for i := range n {
		a := r.at(from + int64(i))
		r.metrics[i] = 0
		if a.here {
			r.metrics[i] = wire.NewMetric(now-a.at, a.ecn)
			if a.unused {
				r.metrics[i] = wire.NewUnused(a.ecn)
			}
		}
	}
	switch {
	case r.urgent:
		r.again = reportRepeats
		r.expects.told(now)
	default:
		if r.fresh == 0 && r.again == 0 && r.expects.open && r.silentAt < r.heard {
			r.silentAt = now
			r.expects.told(now)
		}
		r.again = max(0, r.again-1)
	}
	r.fresh, r.urgent, r.sent = 0, false, now
	return wire.AppendFeedback(dst, ssrc, ssrc, uint16(from), r.metrics[:n], wire.ReportTime(now))
}
