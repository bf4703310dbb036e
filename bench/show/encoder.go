package show

import (
	"math/rand/v2"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// Encoder says what the model of an encoder does. The zero value of a field means its default.
type Encoder struct {
	Kind      Kind
	Rate      congestion.Bitrate // of the pictures at full quality, and the most it makes; 4 Mbit/s
	Min       congestion.Bitrate // the least it makes; 150 kbit/s
	Droppable int                // every so many-th picture, nothing refers to it; 0: none
}

// Kind is what moves an encoder.
type Kind uint8

// Kinds.
const (
	Fixed    Kind = iota // nothing
	Keys                 // it makes key frames when asked to
	Adaptive             // and follows the bitrate it is told
)

var kindNames = [...]string{"fixed", "keys", "adaptive"}

func (k Kind) String() string { return kindNames[k] }

// ParseKind finds a kind by its name.
func ParseKind(s string) (Kind, bool) {
	for i, n := range kindNames {
		if n == s {
			return Kind(i), true
		}
	}
	return 0, false
}

// The model: issue 4's stream (30 frames/s, a key frame of four times the mean every 2 s) and quic_cc.md §4.4's reaction
// of three frames. Spread and rate control are ours.
const (
	pictureEvery  = time.Second / 30
	keyEvery      = 60 // pictures
	keyRatio      = 4.0
	spread        = 0.2                    // relative standard deviation of the size of a picture
	reaction      = 3                      // pictures
	keyGap        = 200 * time.Millisecond // as quiclink asks
	smoothing     = 1.5                    // s in which the rate control makes up for a key frame
	soundEvery    = 1024 * time.Second / 48000
	soundBitrate  = 128 * congestion.Kbps
	encoderMinDef = 150 * congestion.Kbps
)

// source makes pictures.
type source struct {
	Encoder
	rng   *rand.Rand
	n     int64
	since int // pictures since the key frame
	keyAt time.Duration
	told  [reaction + 1]congestion.Bitrate
	asked [reaction + 1]bool
	next  congestion.Bitrate
	want  bool
	debt  float64 // bytes made beyond the rate
}

func newSource(e Encoder, rng *rand.Rand) *source {
	if e.Rate == 0 {
		e.Rate = 4 * congestion.Mbps
	}
	if e.Min == 0 {
		e.Min = encoderMinDef
	}
	m := &source{Encoder: e, rng: rng, next: e.Rate, since: keyEvery}
	for i := range m.told {
		m.told[i] = e.Rate
	}
	// the rate control is in its steady state, as that of a stream that has been going on
	m.debt = -(keyRatio - 1) / 2 * float64(e.Rate) / 8 * pictureEvery.Seconds()
	return m
}

// tell is the bitrate from outside; 0: no opinion.
func (e *source) tell(rate congestion.Bitrate) {
	if e.Kind == Adaptive && rate > 0 {
		e.next = max(e.Min, min(e.Rate, rate))
	}
}

func (e *source) ask() { e.want = e.want || e.Kind != Fixed }

// picture makes the next one.
func (e *source) picture(now time.Duration) Frame {
	copy(e.told[1:], e.told[:])
	copy(e.asked[1:], e.asked[:])
	e.told[0], e.asked[0] = e.next, e.want
	e.want = false
	rate := e.told[reaction]
	mean := float64(rate) / 8 * pictureEvery.Seconds()
	if e.asked[reaction] && now-e.keyAt < keyGap { // too soon: the next one may
		e.asked[reaction-1] = true
		e.asked[reaction] = false
	}
	f := Frame{Seq: e.n, Capture: now, Key: e.since >= keyEvery || e.asked[reaction]}
	size := mean * keyRatio
	if f.Key {
		e.since, e.keyAt = 0, now
	} else {
		rest := max(0.3, 1-e.debt/(float64(rate)/8*smoothing)) * mean
		size = rest * (1 + spread*max(-2, min(2, e.rng.NormFloat64())))
		f.Droppable = e.Droppable > 0 && e.since%e.Droppable == e.Droppable-1
	}
	f.Size = max(64, int(size))
	e.debt += float64(f.Size) - mean
	e.n++
	e.since++
	return f
}
