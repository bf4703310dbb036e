package show

import (
	"time"

	"github.com/fairlead-live/fairlead/bench/cc"
)

// tcp is a model of one direction of a TCP connection: segments of 1448 bytes, every one acknowledged, loss found by three
// later arrivals (RFC 9002 §6.1.1, as RACK does), a tail loss probe, a retransmission timeout from 200 ms on, and in-order
// delivery. An acknowledgement that comes tells of all that arrived before it, as SACK does. Memory: the segments in flight.
type tcp struct {
	st    *Stage
	law   cc.Law
	taken int64 // bytes that the socket has taken, by its user, who then pumps
	next  int64 // of them, first not sent

	flight   []*segment // in the order of sending
	again    []*segment // lost, to be sent again
	bytes    int        // in flight, on the wire
	sendable time.Duration
	wake     time.Duration
	srtt     time.Duration
	del      float64 // bytes delivered
	last     time.Duration
	probed   bool
	backoff  time.Duration

	have    map[int64]int // receiver: segments that wait, by offset
	arrived int64         // in order
	log     []*segment    // arrivals, in order
	told    int           // of the log, known to the sender
	onTaken func()        // room in the socket
	onData  func(arrived int64)
}

type segment struct {
	from  int64
	n     int
	sent  time.Duration
	ackAt time.Duration // last acknowledgement before it was sent
	del   float64
	short bool // nothing more was there to send
	gone  bool // acknowledged, or taken for lost
}

const (
	segmentData = 1448
	segmentRest = cc.SegmentBytes - segmentData
	// An acknowledgement has 52 bytes with IP header and timestamps (RFC 7323); where segments arrive in order one is for two (RFC 5681 §4.2), where
	// some are missing each is acknowledged at once, with two blocks of SACK (RFC 2018).
	ackBytes  = 52 / 2
	sackBytes = 52 + 4 + 2*8
	rtoLeast  = 200 * time.Millisecond // Linux, TCP_RTO_MIN
)

func newTCP(st *Stage, law cc.Law) *tcp {
	t := &tcp{st: st, law: law, have: map[int64]int{}, backoff: 1}
	st.Every(10*time.Millisecond, t.tick)
	return t
}

// room is how many bytes the socket takes: twice the window, as Linux tunes its buffer.
func (t *tcp) room() int {
	return max(0, max(64<<10, int(2*t.law.Window()))-int(t.taken-t.next)-t.bytes)
}

func (t *tcp) pump() {
	now := t.st.Elapsed()
	for float64(t.bytes) < t.law.Window() && (len(t.again) > 0 || t.next < t.taken) {
		if rate := t.law.Pacing(); rate > 0 {
			if now < t.sendable {
				if t.wake <= now || t.sendable < t.wake {
					t.wake = t.sendable
					t.st.At(t.sendable, t.pump)
				}
				return
			}
			t.sendable = max(t.sendable, now-2*time.Millisecond) + time.Duration(cc.SegmentBytes*8/rate*1e9)
		}
		s := &segment{}
		if len(t.again) > 0 {
			s.from, s.n = t.again[0].from, t.again[0].n
			t.again = t.again[1:]
			if s.from < t.arrivedKnown() {
				continue
			}
		} else {
			s.from, s.n = t.next, int(min(segmentData, t.taken-t.next))
			t.next += int64(s.n)
		}
		t.send(s)
	}
	if t.onTaken != nil && t.room() > 0 {
		t.onTaken()
	}
}

// arrivedKnown is what the sender knows to have arrived in order; the model lets it know all.
func (t *tcp) arrivedKnown() int64 { return t.arrived }

func (t *tcp) send(s *segment) {
	now := t.st.Elapsed()
	if len(t.flight) == 0 {
		t.last = now
	}
	s.sent, s.ackAt, s.del = now, t.last, t.del
	s.short = len(t.again) == 0 && t.next == t.taken
	t.flight = append(t.flight, s)
	t.bytes += s.n + segmentRest
	t.st.Send(s.n+segmentRest, func() { t.receive(s) })
}

func (t *tcp) receive(s *segment) {
	t.log = append(t.log, s)
	if s.from >= t.arrived {
		t.have[s.from] = max(t.have[s.from], s.n)
	}
	before := t.arrived
	for n, ok := t.have[t.arrived]; ok; n, ok = t.have[t.arrived] {
		delete(t.have, t.arrived)
		t.arrived += int64(n)
	}
	if t.arrived > before {
		t.onData(t.arrived)
	}
	upTo := len(t.log)
	size := ackBytes
	if len(t.have) > 0 {
		size = sackBytes
	}
	t.st.Reply(size, func() { t.acked(upTo) })
}

func (t *tcp) acked(upTo int) {
	if upTo <= t.told {
		return
	}
	now := t.st.Elapsed()
	for ; t.told < upTo; t.told++ {
		s := t.log[t.told]
		t.log[t.told] = nil
		if s.gone {
			continue
		}
		s.gone = true
		t.bytes -= s.n + segmentRest
		t.del += float64(s.n + segmentRest)
		rtt := now - s.sent
		if t.srtt == 0 {
			t.srtt = rtt
		}
		t.srtt += (rtt - t.srtt) / 8
		t.last, t.probed, t.backoff = now, false, 1
		span := max(now-s.ackAt, time.Millisecond)
		t.law.Ack(now, rtt, s.n+segmentRest, (t.del-s.del)*8/span.Seconds(), t.bytes, s.short)
	}
	later := 0
	for i := len(t.flight) - 1; i >= 0; i-- {
		s := t.flight[i]
		if s.gone {
			later++
		} else if later >= 3 {
			t.lose(s)
		}
	}
	t.settle()
	t.pump()
}

func (t *tcp) lose(s *segment) {
	s.gone = true
	t.bytes -= s.n + segmentRest
	t.again = append([]*segment{s}, t.again...)
	t.law.Lost(t.st.Elapsed(), s.sent)
}

func (t *tcp) settle() {
	i := 0
	for i < len(t.flight) && t.flight[i].gone {
		i++
	}
	t.flight = t.flight[i:]
}

// tick is the timers: a probe after two round trips without an acknowledgement, then the timeout.
func (t *tcp) tick() {
	now := t.st.Elapsed()
	if t.bytes == 0 {
		t.pump()
		return
	}
	rto := max(rtoLeast, t.srtt*2)
	switch silence := now - t.last; {
	case !t.probed && silence > 2*t.srtt+20*time.Millisecond:
		t.probed = true
		if n := len(t.flight); n > 0 {
			s := t.flight[n-1]
			t.send(&segment{from: s.from, n: s.n})
		}
	case silence > rto*t.backoff:
		for i := len(t.flight) - 1; i >= 0; i-- {
			if s := t.flight[i]; !s.gone {
				t.lose(s)
			}
		}
		t.settle()
		t.law.Timeout()
		t.backoff = min(t.backoff*2, 64)
		t.last, t.probed = now, true
		t.pump()
	}
}
