package advice

import (
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// Shape is what a stream's frames look like, over the last 10 to 60 s.
type Shape struct {
	GOP         time.Duration // from key frame to key frame, the longest of the last four, or since the last one if that is longer
	Interval    time.Duration // between pictures
	Reorder     time.Duration // by how much pictures leave their order of display: 0 without B-frames
	Mean, Peak  float64       // bits/s of the pictures: of the last 30 s, and of the second that had most
	AudioBehind time.Duration // how much later sound comes than the pictures of its time, at worst
	AudioBatch  int           // sounds that come together
	DriftPPM    float64       // of the encoder's clock against ours; 0: not known yet
	Irregular   float64       // share of the pictures whose time does not follow the one before by one interval
	Pictures    int           // those were judged of
}

const (
	rateWindow  = 30               // s of Mean and Peak
	driftEvery  = 10 * time.Second // least delay of each is compared
	driftOver   = 60 * time.Second // with the one so long ago
	jumpedAfter = 3 * time.Second  // a step of the encoder's times beyond this is another timeline
)

// Meter takes a stream's frames as they come. It is owned by one goroutine; it holds no frame. Memory: under 1 KiB.
type Meter struct {
	begun bool
	zero  time.Time
	last  time.Duration // DTS of the newest picture

	key       time.Duration
	keyed     bool
	gops      [4]time.Duration
	gopN      int
	steps     [31]time.Duration
	stepN     int
	odd, seen int // of this window
	oddShare  float64
	oddOf     int
	oddAt     time.Duration
	ahead     [2]struct{ least, most time.Duration } // PTS − DTS of this 10 s and the last
	aheadAt   time.Duration

	bits   [rateWindow]float64
	second int64

	video              time.Duration // delay of pictures, smoothed
	behind, behindLast time.Duration // worst of these 10 s, and of the last
	batch, batchLast   int
	soundAt            time.Duration
	run                int
	runAt              time.Duration

	delays  [8]time.Duration // least of driftEvery each
	delayN  int
	delayAt time.Duration
}

// Observe takes a frame: its times on the encoder's clock, as the publisher sent them, and its Arrival.
func (m *Meter) Observe(f *media.Frame, dts, pts time.Duration) {
	if !m.begun {
		m.begun, m.zero = true, f.Arrival
	}
	at := f.Arrival.Sub(m.zero)
	if f.Codec.IsAudio() {
		m.sound(dts, at)
		return
	}
	if d := dts - m.last; m.seen+m.stepN > 0 && (d < 0 || d > jumpedAfter) {
		*m = Meter{begun: true, zero: m.zero}
	}
	m.picture(f, dts, pts, at)
}

func (m *Meter) picture(f *media.Frame, dts, pts, at time.Duration) {
	delay := at - dts
	if m.stepN == 0 {
		m.last, m.aheadAt, m.oddAt, m.delayAt, m.second = dts, at, at, at, int64(dts/time.Second)
		m.video, m.delays[0] = delay, delay
		m.ahead[0].least, m.ahead[0].most = pts-dts, pts-dts
		m.stepN = 1
		if f.Flags.Has(media.Key) {
			m.keyed, m.key = true, dts
		}
		m.rate(dts, len(f.Payload))
		return
	}
	step := dts - m.last
	m.last = dts
	if iv := m.interval(); iv > 0 {
		m.seen++
		if step*2 > iv*3 || step*2 < iv {
			m.odd++
		}
	}
	m.steps[m.stepN%len(m.steps)] = step
	if m.stepN++; m.stepN == 3*len(m.steps) {
		m.stepN = 2 * len(m.steps)
	}
	if at-m.oddAt > 10*time.Second {
		m.oddShare, m.oddOf = float64(m.odd)/float64(max(1, m.seen)), m.seen
		m.odd, m.seen, m.oddAt = 0, 0, at
	}
	if f.Flags.Has(media.Key) {
		if m.keyed {
			m.gops[m.gopN%len(m.gops)] = dts - m.key
			if m.gopN++; m.gopN == 2*len(m.gops) {
				m.gopN = len(m.gops)
			}
		}
		m.keyed, m.key = true, dts
	}
	if at-m.aheadAt > 10*time.Second {
		m.ahead[1], m.aheadAt = m.ahead[0], at
		m.ahead[0].least, m.ahead[0].most = pts-dts, pts-dts
	}
	m.ahead[0].least, m.ahead[0].most = min(m.ahead[0].least, pts-dts), max(m.ahead[0].most, pts-dts)
	m.rate(dts, len(f.Payload))
	m.video += (delay - m.video) / 16
	if at-m.delayAt > driftEvery {
		copy(m.delays[1:], m.delays[:])
		m.delays[0], m.delayAt, m.delayN = delay, at, min(m.delayN+1, len(m.delays)-1)
	}
	m.delays[0] = min(m.delays[0], delay)
}

func (m *Meter) rate(dts time.Duration, size int) {
	s := int64(dts / time.Second)
	for m.second < s {
		m.second++
		m.bits[m.second%rateWindow] = 0
	}
	if s >= 0 && s == m.second {
		m.bits[s%rateWindow] += float64(8 * size)
	}
}

// interval is the median step between pictures; 0: not known.
func (m *Meter) interval() time.Duration {
	n := min(m.stepN, len(m.steps))
	if n < 8 {
		return 0
	}
	// A mean without the outliers is near enough and needs no sorting.
	var sum time.Duration
	least := m.steps[1]
	for _, s := range m.steps[1:n] {
		if s > 0 {
			least = min(least, s)
		}
	}
	k := 0
	for _, s := range m.steps[1:n] {
		if s <= 2*least+time.Millisecond {
			sum += s
			k++
		}
	}
	return sum / time.Duration(max(1, k))
}

func (m *Meter) sound(dts, at time.Duration) {
	if at-m.runAt < 2*time.Millisecond {
		m.run++
	} else {
		m.run = 1
	}
	m.runAt = at
	m.batch = max(m.batch, m.run)
	if m.stepN > 0 {
		m.behind = max(m.behind, at-dts-m.video)
	}
	if at-m.soundAt > 10*time.Second {
		m.behindLast, m.batchLast, m.soundAt = m.behind, m.batch, at
		m.behind, m.batch = 0, 0
	}
}

// Shape says what is known.
func (m *Meter) Shape() Shape {
	s := Shape{Interval: m.interval(), AudioBehind: m.behindLast, AudioBatch: m.batchLast, Irregular: m.oddShare, Pictures: m.oddOf}
	for i := range min(m.gopN, len(m.gops)) {
		s.GOP = max(s.GOP, m.gops[i])
	}
	if m.keyed {
		s.GOP = max(s.GOP, m.last-m.key)
	}
	s.Reorder = max(m.ahead[0].most-m.ahead[0].least, m.ahead[1].most-m.ahead[1].least)
	n := 0
	for k := int64(1); k < rateWindow; k++ { // the newest second is not over
		if at := m.second - k; at > 0 {
			b := m.bits[at%rateWindow]
			s.Mean += b
			s.Peak = max(s.Peak, b)
			n++
		}
	}
	if n > 0 {
		s.Mean /= float64(n)
	}
	if back := int(driftOver / driftEvery); m.delayN >= back {
		// the newest bin is not full: the one before is compared
		d, half := m.delays[1]-m.delays[back], m.delays[1]-m.delays[back/2+1]
		if 3*half.Abs() > d.Abs() && 3*(d-half).Abs() > d.Abs() && (half > 0) == (d > 0) { // a step is no drift
			s.DriftPPM = float64(d) / float64(driftOver-driftEvery) * 1e6
		}
	}
	return s
}
