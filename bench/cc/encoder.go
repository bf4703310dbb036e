package cc

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// encoder is the model of a live encoder: quic_cc.md §4.4, 30 fps, 3x key frame every 2 s, 15 % noise, 3 frames late.
type encoder struct {
	rand   *rand.Rand
	frame  int
	told   [encoderDelay + 1]congestion.Bitrate
	max    congestion.Bitrate
	latest congestion.Bitrate
	still  [2]int // frames
}

const (
	frameEvery   = time.Second / 30
	keyEvery     = 60 // frames
	keySize      = 3.0
	encoderNoise = 0.15
	encoderDelay = 3 // frames
)

// next is the size of the next frame, bytes.
func (e *encoder) next() int {
	copy(e.told[1:], e.told[:])
	e.told[0] = e.latest
	rate := float64(e.told[encoderDelay])
	if e.max > 0 {
		rate = min(rate, float64(e.max))
	}
	if e.frame >= e.still[0] && e.frame < e.still[1] {
		rate /= 10
	}
	mean := rate / 8 * frameEvery.Seconds()
	size := mean * keyEvery / (keyEvery - 1 + keySize)
	if e.frame%keyEvery == 0 {
		size *= keySize
	}
	e.frame++
	return max(100, int(size*math.Exp(encoderNoise*e.rand.NormFloat64()-encoderNoise*encoderNoise/2)))
}
