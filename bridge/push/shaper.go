package push

import (
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// shaper decides how fast an RTMP publisher is read, so that an encoder that watches what waits in front of its own socket (OBS's
// "dynamic bitrate", HaishinKit, RootEncoder, StreamPack) makes what the path carries:
//
//	fits     the stream is below the target: a bucket lets key frames through
//	brake    it is above: it is read slower than the target, until the encoder has come down below it
//	drain    it is below again and late: it is read a little faster than the target, until it has caught up
//
// It is owned by its caller, who tells it the time.
type shaper struct {
	target congestion.Bitrate // 0: not known; nothing is held back
	bucket float64            // bytes that may be read now
	at     time.Time          // of bucket

	stamps []stamped // of the last second of the stream
	bytes  int       // in stamps
	base   time.Duration
	based  time.Time
	lag    time.Duration // of the newest message behind the fastest one
	state  shape
}

type stamped struct {
	at   time.Duration
	size int
}

type shape uint8

const (
	shapeFits shape = iota
	shapeBrake
	shapeDrain
)

func (s shape) String() string { return [...]string{"fits", "brake", "drain"}[s] }

// Ours: docs/push.md has what they cost; bridge/push TestShape measures it.
const (
	shapeWindow = time.Second            // of the stream, over which its rate is measured
	shapeOver   = 1.03                   // above the target: brake; measuring is that exact
	shapeSlow   = 0.85                   // of the target, while braking
	shapeFast   = 1.08                   // of the target, while draining: the controller's own reserve (congestion: share)
	shapeLate   = 80 * time.Millisecond  // is late; below it an encoder's own rhythm
	shapeBurst  = 300 * time.Millisecond // of the target, in the bucket: a key frame
	shapeForget = 1000                   // the fastest message counts a millisecond less each second: clocks drift
)

// media is told of a message that has been read.
func (s *shaper) media(now time.Time, stamp time.Duration, size int) {
	if n := len(s.stamps); n > 0 && (stamp-s.stamps[n-1].at).Abs() > jump {
		*s = shaper{target: s.target, bucket: s.bucket, at: s.at} // another timeline
	}
	s.stamps = append(s.stamps, stamped{stamp, size})
	s.bytes += size
	newest := stamp
	for i := range s.stamps {
		newest = max(newest, s.stamps[i].at)
	}
	for len(s.stamps) > 1 && newest-s.stamps[0].at > shapeWindow {
		s.bytes -= s.stamps[0].size
		s.stamps = s.stamps[1:]
	}
	if s.based.IsZero() {
		s.based, s.base = now, -stamp
	}
	late := now.Sub(s.based) - stamp - s.base
	if late < s.lagBase(now) {
		s.base += late
		s.based, s.base = now, -stamp
		late = 0
	} else {
		late -= s.lagBase(now)
	}
	s.lag = late
	s.judge(newest - s.stamps[0].at)
}

// lagBase is how much the fastest message has been forgotten.
func (s *shaper) lagBase(now time.Time) time.Duration { return now.Sub(s.based) / shapeForget }

// rate is the stream's own, by its stamps.
func (s *shaper) rate() float64 { return float64(s.bytes) * 8 / shapeWindow.Seconds() }

func (s *shaper) judge(span time.Duration) {
	if s.target == 0 || span < shapeWindow*9/10 {
		return
	}
	switch r := s.rate(); {
	case r > shapeOver*float64(s.target):
		s.state = shapeBrake
	case s.lag > shapeLate && r <= float64(s.target):
		s.state = shapeDrain
	case s.lag <= shapeLate/2:
		s.state = shapeFits
	}
}

// retarget says what the path carries: of all tracks.
func (s *shaper) retarget(rate congestion.Bitrate) { s.target = rate }

// pace is at what rate the bucket fills.
func (s *shaper) pace() float64 {
	switch s.state {
	case shapeBrake:
		return shapeSlow * float64(s.target)
	case shapeDrain:
		return shapeFast * float64(s.target)
	}
	return shapeOver * float64(s.target)
}

// take returns how many bytes may be read now, at most n. 0: none; ask again after wait.
func (s *shaper) take(now time.Time, n int) (got int, wait time.Duration) {
	if s.target == 0 {
		return n, 0
	}
	if s.at.IsZero() {
		s.at = now
	}
	rate := s.pace() / 8
	most := float64(s.target) / 8 * shapeBurst.Seconds()
	s.bucket = min(most, s.bucket+rate*now.Sub(s.at).Seconds())
	s.at = now
	if got = min(n, int(s.bucket)); got >= min(n, shapeLeast) {
		return got, 0
	}
	return 0, time.Duration((shapeLeast - s.bucket) / rate * float64(time.Second))
}

// read is told how many bytes were read.
func (s *shaper) read(n int) { s.bucket -= float64(n) }

// shapeLeast is what a read waits for: below it system calls cost more than smoothness is worth.
const shapeLeast = 1400
