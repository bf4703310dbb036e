package congestion

import "time"

// Controller is the congestion control of one path. It is owned by one goroutine; it holds no lock.
// Memory: 32 KiB at most, none per packet.
type Controller struct {
	cfg    Config
	reason Reason

	rate   float64 // R: what may be sent, bits/s
	scaled float64 // the R that scale belongs to
	scale  float64 // of T
	base   base
	out    meter // by time of sending
	in     meter // by time of arrival, the receiver's clock: what the link carried
	raw    meter // what arrived
	loss   auditor

	begun       bool
	last        time.Duration // feedback that told of an arrival
	lastSent    time.Duration
	minRTT      time.Duration
	srtt        time.Duration
	queue       time.Duration // smoothed
	gapBack     time.Duration // by the receiver's clock: when the link last went on
	came, stood float64       // bytes that arrived, and those of them that had waited long for a gap, fading over stopTime
	stops       float64       // 0 to 1: how much the link's gaps cost
	swing       float64       // share of time with a queue far above T, over the last while
	spacing     time.Duration // between arrivals
	arrivedSent time.Duration // when the newest arrival was sent
	blind       time.Duration // packets sent before say nothing about queue and loss: an outage
	blindLoss   time.Duration // nor about loss: a gap
	gapFrom     time.Duration // by the receiver's clock: when the link stood still
	gapEnd      time.Duration // when it went on, if it did: after gapLook it shows
	gapEndHere  time.Duration // the same, by ours
	gapAfter    int           // bytes that have come since then
	gapOpen     bool          // it is not known yet
	jitter      time.Duration // mean change of the queue from report to report
	lastLeast   time.Duration
	recent      [8]time.Duration // the least queue of each of the last reports
	reports     int
	capacity    float64 // C: what the link carries: what arrives, and what is lost through no fault of ours
	heard       float64 // what arrives
	steady      float64 // the same over a second
	usually     float64 // C over longTime
	proof       float64 // what was seen to arrive, since the queue was last above T
	busy        float64 // C when the queue last showed that the link was busy
	busyAt      time.Duration
	calm        time.Duration // since when nothing spoke against growth
	acked       int           // bytes that arrived, this report

	target   time.Duration // T where the buffer is shallow; 0: not
	ceiling  float64       // C at the last loss that was ours
	holdTill time.Duration
	hold     time.Duration
	again    int           // cuts at the ceiling since a test
	lossCut  time.Duration // last cut for loss

	before    float64       // R before a test, or before an outage
	cutAt     time.Duration // last cut for the queue
	cutQueue  time.Duration
	alpha     float64 // share of CE marks, filtered
	marked    int
	markAll   int
	markAt    time.Duration
	drainTill time.Duration
	drainNext time.Duration
	startRate float64 // startup: R and A at the last look, for loss without a queue
	startIn   float64
	startAt   time.Duration
	restart   bool // startup after an outage, up to before
	rival     rival
	climb     climb
}

// New makes a controller; a Config that does not validate is cut to what does.
func New(cfg Config) *Controller {
	if cfg.Validate() != nil {
		cfg = Config{}
	}
	cfg = cfg.withDefaults()
	return &Controller{cfg: cfg, rate: float64(cfg.Start)}
}

// A link whose delay changes from one report to the next cannot be held to a queue that is shorter than the change: T
// grows with it. Ours.
const (
	jitterRoom  = 2
	jitterMost  = 40 * time.Millisecond
	goalMost    = 85 * time.Millisecond
	swingQueue  = 120 * time.Millisecond
	swingTime   = 10.0 // s
	swingFree   = 0.02
	cautionGain = 16.0
	cautionMost = 0.75
	stopTime    = 30.0 // s
	stopFree    = 0.005
	stopAll     = 0.02
	stopSlow    = 4e6                  // bits/s: a faster link makes more of a quick return than what waits costs
	stopAhead   = 0.3                  // less of ahead
	stopLong    = 0.4                  // less of aheadLong
	shakyFrom   = 4 * time.Millisecond // jitter: below it, a long queue is somebody else's
	shakyAll    = 10 * time.Millisecond
	jitterStep  = 3 * time.Millisecond // one report more is looked at for each
)

// The law. Sources: quic_cc.md §4.2 unless it says ours, and then docs/congestion.md has the figures.
const (
	share       = 0.92                   // of R is given to the encoder, FEC and resends
	paceGain    = 1.25                   // pacing above R
	growSlow    = 1.0                    // R grows so much a second. Ours.
	growFast    = 2.0                    // after a second without congestion
	growHeld    = 0.03                   // near a rate that made losses
	growAfter   = 0.1                    // the same, once the hold is over: ours
	growBusy    = 3.0                    // towards what is known to arrive: ours
	headroom    = 1.45                   // R above max(C, sent)
	headroomAdd = 100e3                  // bits/s
	startDouble = 0.2                    // s: R·(1 + Δt/0.2 s)
	startRoom   = 2.5                    // R above max(C, sent) in startup
	lossKeep    = 0.95                   // of what arrived, after a loss that was ours
	policedKeep = 0.92                   // where there was no queue: what a policer's bucket took is to be refilled. Ours.
	busyJitter  = 5.0                    // a queue of so many times the jitter is one. Ours.
	gapLeast    = 80 * time.Millisecond  // without arrivals: a gap of the radio's. Ours.
	gapLook     = 60 * time.Millisecond  // after it, until what arrives is believed. Ours.
	silence     = time.Second            // without feedback: outage
	busyFor     = time.Second            // how long C of a busy link is believed. Ours.
	reportWait  = 30 * time.Millisecond  // a report's interval, 20 ms, and its processing
	lookBack    = 250 * time.Millisecond // C is what arrived in it. Ours: docs/congestion.md
	longTime    = 1.5                    // s
	ahead       = 1.3                    // the window holds so many times C. Ours.
	aheadLong   = 1.2                    // where C is above this much of its mean, the latter counts. Ours.
	aheadAdd    = 100e3                  // bits/s
	sentLook    = 500 * time.Millisecond // what is sent is averaged over key frames. Ours.
	usedShare   = 0.6                    // a stream that sends less of R does not fill the link. Ours.
	windowWait  = 10 * time.Millisecond  // of reports, that the window has room for. Ours.
	heldLoss    = 0.03                   // more loss than this near a rate that made losses is answered there. Ours.
	drainEvery  = 10 * time.Second       // without an empty queue; RFC-to-be BBR's ProbeRTT is every 5 s
	drainShare  = 0.7                    // of the empty path's bytes while draining. Ours.
)
