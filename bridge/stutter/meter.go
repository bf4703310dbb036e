package stutter

import (
	"slices"
	"time"
)

// Threshold is the wait behind a due time beyond which a viewer sees a stall.
const Threshold = 100 * time.Millisecond // ours: docs/bench.md "stutter", the same for every report

// Defaults of Config.
const DefaultMaxGap = 10 * time.Second

// DefaultBuffers are the players every report shows: the middle one is the headline.
func DefaultBuffers() []time.Duration {
	return []time.Duration{200 * time.Millisecond, time.Second, 3 * time.Second}
}

// Frame is what the player knows about one frame. All times are since one zero of the caller's choice.
type Frame struct {
	Seq           int64         // index in Config.Source; negative: damaged or not of this source. Ignored without a source.
	DTS           time.Duration // decoding time on the stream's own clock
	Key           bool          // decoding can start here
	Droppable     bool          // no other frame refers to it
	Discontinuity bool          // the reader saw a loss right before this frame
	Held          bool          // repeats the picture before it
	Size          int           // bytes of media
	Capture       time.Duration // when the source had it complete, on the clock of the arrivals; only in Config.Source
}

// Config of a Meter; the zero value is useful.
type Config struct {
	Buffers []time.Duration // one player each; nil: DefaultBuffers
	Source  []Frame         // what the source sends, in decoding order, with Capture; nil: not known. Borrowed for good.
	MaxGap  time.Duration   // a larger step ahead in timestamps is a new timeline; 0: DefaultMaxGap

	stallsOnly bool // no latencies: Live
}

// Meter scores one track. It is owned by one goroutine.
type Meter struct {
	cfg     Config
	players []player
	time    timeline

	begun   bool
	begin   time.Duration // first capture of the source, or the first arrival
	last    time.Duration // newest arrival
	next    int64         // with a source: the first frame not observed or given up yet
	chain   bool          // every reference since the last key frame is here
	counted Counts
	latency histogram // arrival − capture, or arrival − DTS
	ready   histogram // the same, of decodable frames
	wire    int64
}

// NewMeter makes a meter.
func NewMeter(cfg Config) *Meter {
	if cfg.Buffers == nil {
		cfg.Buffers = DefaultBuffers()
	}
	if cfg.MaxGap <= 0 {
		cfg.MaxGap = DefaultMaxGap
	}
	m := &Meter{cfg: cfg, players: make([]player, len(cfg.Buffers)), time: timeline{maxGap: cfg.MaxGap}}
	for i, b := range cfg.Buffers {
		m.players[i].buffer, m.players[i].last = b, -1
		if n := int64(len(cfg.Source)); n > 0 {
			m.players[i].last = m.sourceDTS(n)
		}
	}
	if len(cfg.Source) > 0 {
		m.begun, m.begin, m.last = true, cfg.Source[0].Capture, cfg.Source[0].Capture
	}
	return m
}

// AddWire adds bytes that were put on the wire for this stream, headers included.
func (m *Meter) AddWire(bytes int64) { m.wire += bytes }

// Observe takes one frame that was complete at the given time, which never goes back (an earlier one counts as the last).
func (m *Meter) Observe(f Frame, at time.Duration) {
	if !m.begun {
		m.begun, m.begin, m.last = true, at, at
	}
	at = max(at, m.last)
	m.last = at
	if len(m.cfg.Source) > 0 {
		m.observeKnown(f, at)
	} else {
		m.observeUnknown(f, at)
	}
}

// observeKnown places a frame in the source's list; what was skipped to get there is lost.
func (m *Meter) observeKnown(f Frame, at time.Duration) {
	switch {
	case f.Seq < 0 || f.Seq >= int64(len(m.cfg.Source)):
		m.counted.Damaged++
		return
	case f.Seq < m.next:
		m.counted.OutOfOrder++
		return
	}
	for ; m.next < f.Seq; m.next++ {
		m.counted.Missing++
		if !m.cfg.Source[m.next].Droppable {
			m.chain = false
		}
	}
	m.next++
	truth := m.cfg.Source[f.Seq]
	f.DTS, f.Key, f.Droppable = truth.DTS, truth.Key, truth.Droppable
	m.take(f, at, at-truth.Capture, m.sourceDTS(m.next))
}

// observeUnknown places a frame by its timestamp alone.
func (m *Meter) observeUnknown(f Frame, at time.Duration) {
	if f.Discontinuity {
		m.counted.Discontinuities++
		m.chain = false
	}
	if !m.chain && !f.Key && m.counted.Frames == 0 {
		m.counted.BeforeKey++ // joined in the middle of a group of pictures: nobody's loss
		return
	}
	dts, missing, jumped := m.time.place(f.DTS, f.Held)
	if jumped {
		m.counted.Jumps++
	}
	m.counted.Missing += missing
	delay := at - dts
	f.DTS = dts
	m.take(f, at, delay, dts+m.time.interval())
}

// take counts a frame and shows it to the players. end: the decoding time right behind it.
func (m *Meter) take(f Frame, at, delay, end time.Duration) {
	m.counted.Frames++
	m.counted.Bytes += int64(f.Size)
	if !m.cfg.stallsOnly {
		m.latency.add(delay)
	}
	if f.Key {
		m.chain = true
	}
	if !m.chain {
		m.counted.Undecodable++
	} else if !m.cfg.stallsOnly {
		m.ready.add(delay)
	}
	if f.Held {
		m.counted.Held++
	}
	for i := range m.players {
		m.players[i].observe(f.DTS, end, m.chain, f.Held, at)
	}
}

// sourceDTS is the decoding time of frame i of the source; behind its end it goes on with the last interval.
func (m *Meter) sourceDTS(i int64) time.Duration {
	s := m.cfg.Source
	n := int64(len(s))
	if i < n {
		return s[i].DTS
	}
	if n < 2 {
		return s[n-1].DTS
	}
	return s[n-1].DTS + (s[n-1].DTS - s[n-2].DTS)
}

// timeline makes one running clock of timestamps that jump, and estimates the frame interval.
type timeline struct {
	maxGap time.Duration
	begun  bool
	offset time.Duration     // running = DTS + offset
	last   time.Duration     // running time of the newest frame
	steps  [31]time.Duration // between the newest frames
	sorted [31]time.Duration // the same, the least first
	n      int               // steps seen
}

// firstInterval stands until two frames have been seen: 30 frames a second.
const firstInterval = time.Second / 30

func (t *timeline) interval() time.Duration {
	n := min(t.n, len(t.steps))
	if n == 0 {
		return firstInterval
	}
	return t.sorted[n/4]
}

// add takes a step. In a stream whose steps are all alike it is where the one was that it replaces.
func (t *timeline) add(step time.Duration) {
	s := t.sorted[:min(t.n, len(t.steps))]
	i := len(s) // where there is room
	if i == len(t.steps) {
		old := t.steps[t.n%len(t.steps)]
		i, _ = slices.BinarySearch(s, old)
	} else {
		s = t.sorted[:i+1]
	}
	for ; i > 0 && s[i-1] > step; i-- {
		s[i] = s[i-1]
	}
	for ; i+1 < len(s) && s[i+1] < step; i++ {
		s[i] = s[i+1]
	}
	s[i] = step
	t.steps[t.n%len(t.steps)] = step
	t.n++
	if t.n == 2*len(t.steps) {
		t.n = len(t.steps) // keeps the phase, never overflows
	}
}

// place returns the running time of a timestamp, how many frames are missing before it, and whether a new timeline began. The steps
// of held frames say nothing of the source's interval.
func (t *timeline) place(dts time.Duration, held bool) (running time.Duration, missing int64, jumped bool) {
	running = dts + t.offset
	if !t.begun {
		t.begun, t.last = true, running
		return running, 0, false
	}
	step := running - t.last
	if step < 0 || step > t.maxGap {
		t.offset += t.last + t.interval() - running
		t.last += t.interval()
		return t.last, 0, true
	}
	if iv := t.interval(); t.n > 0 && 2*step > 3*iv && iv > 0 {
		missing = int64((step+iv/2)/iv) - 1
	}
	t.last = running
	if held {
		return running, missing, false
	}
	t.add(step)
	return running, missing, false
}
