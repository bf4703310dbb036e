package adapt

import (
	"math"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// steps are what tells belacoder's rule and Moblin's form of it apart.
type steps struct {
	up         congestion.Bitrate // and a thirtieth of the bitrate
	upEvery    time.Duration
	followed   bool // never far above what is sent
	wholeMilli bool // the round trip in whole ms
	coarse     congestion.Bitrate
}

const (
	down          = 100 * congestion.Kbps // and, where it is urgent, a tenth of the bitrate
	downEvery     = 200 * time.Millisecond
	downFastEvery = 250 * time.Millisecond
	packet        = 1316 // bytes
)

// Belacoder is belacoder's rule: to the minimum where the round trip takes a third of the latency or the buffer jumps, down
// fast at a fifth, down where either leaves what is usual, and slowly up while the round trip is near its least.
type Belacoder struct {
	Range
	steps

	bitrate             congestion.Bitrate
	buffer, bufferJump  float64 // mean, and decaying greatest rise
	rtt, slope, rttJump float64 // ms
	least               float64
	lastRTT             float64
	lastBuffer          int
	throughput          float64 // bits/ms, as belacoder has it: of 1024
	nextUp, nextDown    time.Duration
}

// NewBelacoder is the rule as belacoder has it.
func NewBelacoder(r Range) *Belacoder {
	return newBelacoder(r, r.Min, steps{up: 30 * congestion.Kbps, upEvery: 500 * time.Millisecond, wholeMilli: true, coarse: 100 * congestion.Kbps})
}

// NewMoblinBelabox is the rule as Moblin has it: it begins at 1 Mbit/s, rises faster, and stays near what is sent.
func NewMoblinBelabox(r Range) *Belacoder {
	return newBelacoder(r, moblinStart, steps{up: 100 * congestion.Kbps, upEvery: 400 * time.Millisecond, followed: true})
}

func newBelacoder(r Range, start congestion.Bitrate, s steps) *Belacoder {
	if r.Start > 0 {
		start = r.Start
	}
	return &Belacoder{Range: r, steps: s, bitrate: r.clamp(start), lastRTT: 300, least: 200}
}

// Every is 20 ms.
func (b *Belacoder) Every() time.Duration { return 20 * time.Millisecond }

// Update takes a sample.
func (b *Belacoder) Update(now time.Duration, s Sample) congestion.Bitrate {
	rtt, latency := float64(s.RTT)/1e6, float64(s.Latency)/1e6
	third, fifth := latency/3, latency/5
	if b.wholeMilli {
		rtt, third, fifth = math.Floor(rtt), math.Floor(third), math.Floor(fifth)
	}
	rise := b.learn(rtt, s)
	n, mean := float64(s.Buffered), b.buffer
	jump := (mean + b.bufferJump) * 4
	high := min(max(50, mean+max(3*b.bufferJump, mean)), b.throughput/8*latency/2/packet)
	above := max(50, mean+2.5*b.bufferJump)
	switch {
	case b.bitrate > b.Min && (rtt >= third || n > jump):
		b.bitrate = b.Min
		b.nextDown = now + downEvery
	case now > b.nextDown && (rtt > fifth || n > high):
		b.bitrate -= down + b.bitrate/10
		b.nextDown = now + downFastEvery
	case now > b.nextDown && (rtt > b.rtt+max(4*b.rttJump, 0.15*b.rtt) || n > above):
		b.bitrate -= down
		b.nextDown = now + downEvery
	case now > b.nextUp && rtt < b.least+max(1, 2*b.rttJump) && rise < 0.01:
		b.bitrate += b.up + b.bitrate/30
		b.nextUp = now + b.upEvery
	}
	if b.followed {
		b.bitrate = follow(b.bitrate, congestion.Bitrate(b.throughput*1024))
	}
	b.bitrate = b.clamp(b.bitrate)
	if b.coarse > 0 {
		return b.bitrate / b.coarse * b.coarse
	}
	return b.bitrate
}

// learn keeps the averages, and returns the round trip's slope.
func (b *Belacoder) learn(rtt float64, s Sample) float64 {
	b.buffer += (float64(s.Buffered) - b.buffer) * 0.01
	b.bufferJump = max(0.99*b.bufferJump, float64(s.Buffered-b.lastBuffer))
	b.lastBuffer = s.Buffered
	if b.rtt == 0 {
		b.rtt = rtt
	}
	b.rtt += (rtt - b.rtt) * 0.01
	change := rtt - b.lastRTT
	b.lastRTT = rtt
	b.slope = 0.8*b.slope + 0.2*change
	const unsampled = 100 // what libsrt says before it has measured
	if b.least *= 1.001; rtt != unsampled && rtt < b.least && b.slope < 1 {
		b.least = rtt
	}
	b.rttJump = max(0.99*b.rttJump, change)
	b.throughput = 0.97*b.throughput + 0.03*float64(s.SendRate)/1024
	return b.slope
}
