package feedback

import (
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// OneWay runs the controller on what is seen at the receiving end alone, for senders without one of their own: when the sender
// stamped a packet, when it arrived, how big it is, and what is missing. The two clocks need not agree; their offset is
// taken from the first packet. It is owned by one goroutine.
//
// What is not the path's but looks like it: an encoder that hands its frames on late. TCP shows no loss, only delay.
type OneWay struct {
	ctl    *congestion.Controller
	minRTT time.Duration
	zero   time.Time
	offset time.Duration // arrival minus stamp of the first packet
	begun  bool

	batch  []congestion.Packet
	sent   time.Duration // newest, and of what the next is: stamps of two tracks may cross
	last   time.Duration // arrival
	report time.Duration // when the controller was told last
}

const (
	oneWayEvery = 100 * time.Millisecond // between reports to the controller: several frames; ours
	// A stamp this far from the one before is a new timeline: ours, longer than any gap one waits out.
	oneWayJump = 3 * time.Second
	// oneWayBatch bounds packets a report: 20 Mbit/s for 300 ms. Further ones are left out.
	oneWayBatch = 640
	piece       = 1200 // bytes: frames are taken as packets of this size
	pieces      = 4    // or larger ones, so many: ours, a fifth of a frame interval apart is close enough and costs a fourth
	wirePart    = 0.93 // of the bytes on the wire is media: headers of IP, UDP and SRT, and of MPEG-TS
)

// NewOneWay makes an estimator. minRTT is the path's round trip where it is known, 0 where not.
func NewOneWay(minRTT time.Duration) *OneWay {
	if minRTT <= 0 {
		minRTT = 50 * time.Millisecond
	}
	o := &OneWay{minRTT: minRTT, batch: make([]congestion.Packet, 0, 64)} // frames of RTMP need no more
	o.reset()
	return o
}

func (o *OneWay) reset() {
	o.ctl = congestion.New(congestion.Config{Start: 2 * congestion.Mbps})
	o.begun, o.batch = false, o.batch[:0]
}

// Arrived is told of a packet. stamp is on the sender's clock.
func (o *OneWay) Arrived(at time.Time, stamp time.Duration, size int) {
	now := o.clock(at)
	sent, ok := o.place(now, stamp)
	if !ok {
		return
	}
	o.add(now, congestion.Packet{Sent: sent, Arrival: now, Size: size})
}

// Frame is told of a whole frame whose bytes came since the one before: TCP hides the packets.
func (o *OneWay) Frame(at time.Time, stamp time.Duration, size int) {
	now := o.clock(at)
	sent, ok := o.place(now, stamp)
	if !ok {
		return
	}
	from := max(o.last, sent)
	n := min(max(1, (size+piece-1)/piece), pieces)
	for i := range n {
		o.add(from+(now-from)*time.Duration(i+1)/time.Duration(n), congestion.Packet{Sent: sent, Size: size / n})
	}
}

// Lost is told of packets that are missing.
func (o *OneWay) Lost(at time.Time, n, size int) {
	if !o.begun {
		return
	}
	now := o.clock(at)
	for range min(n, 256) {
		o.add(now, congestion.Packet{Sent: o.sent, Size: size, Lost: true})
	}
}

func (o *OneWay) clock(at time.Time) time.Duration {
	if o.zero.IsZero() {
		o.zero = at.Add(-time.Second) // the controller takes 0 for never
	}
	return at.Sub(o.zero)
}

// place puts a stamp on our clock.
func (o *OneWay) place(now, stamp time.Duration) (time.Duration, bool) {
	sent := stamp + o.offset
	if o.begun && (sent-o.sent).Abs() > oneWayJump {
		o.reset()
	}
	if !o.begun {
		o.begun, o.offset, o.sent, o.last, o.report = true, now-stamp, now, now, now
		return now, true
	}
	if sent > now { // it came faster than any before
		o.offset -= sent - now
		sent = now
	}
	o.sent = max(o.sent, sent)
	return sent, true
}

func (o *OneWay) add(now time.Duration, p congestion.Packet) {
	p.Arrival = now
	if len(o.batch) < oneWayBatch {
		o.ctl.Sent(p.Sent, p.Size)
		o.batch = append(o.batch, p)
	}
	if !p.Lost {
		o.last = max(o.last, now)
	}
	if now-o.report >= oneWayEvery {
		o.flush(now)
	}
}

func (o *OneWay) flush(now time.Duration) {
	o.ctl.Feedback(now, o.minRTT, o.batch)
	o.batch, o.report = o.batch[:0], now
}

// Report says what is known; false: nothing yet.
func (o *OneWay) Report(at time.Time) (Report, bool) {
	if !o.begun {
		return Report{}, false
	}
	now := o.clock(at)
	if len(o.batch) > 0 && now-o.report >= oneWayEvery {
		o.flush(min(now, o.last+oneWayEvery))
	}
	if now-o.last >= time.Second {
		o.ctl.Sent(now, 0) // nothing comes: the controller may notice
	}
	return Report{
		Target: congestion.Bitrate(float64(o.ctl.Target()) * wirePart), Reason: o.ctl.Reason().String(), Queue: o.ctl.Queue(), Loss: o.ctl.Loss(),
	}, true
}
