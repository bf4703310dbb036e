package push

import (
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// shaper decides how fast an RTMP publisher is read, so that an encoder that watches what waits in front of its own socket (OBS's
// "dynamic bitrate", HaishinKit, RootEncoder, StreamPack) makes what the path carries:
//
//	fits     the stream is below the target: a bucket lets key frames through
//	brake    it is above: it is read at the target, until the encoder has come down below it
//	drain    it is below again and late: it is read a little faster than the target, until it has caught up
//	skip     the encoder does not come down, and pictures of the old rate wait: everything is read at once, sound is kept,
//	         pictures are dropped up to a key frame that is not late
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
	since  time.Time // of state
	mute   bool      // pictures are dropped up to a key frame

	skipped uint64 // pictures
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
	shapeSkip
)

func (s shape) String() string { return [...]string{"fits", "brake", "drain", "skip"}[s] }

// Ours: docs/push.md has what they cost; bridge/push TestShape measures it.
const (
	shapeWindow  = time.Second             // of the stream, over which its rate is measured
	shapeOver    = 1.03                    // above the target: brake; measuring is that exact
	shapeFast    = 1.08                    // of the target, while draining: the controller's own reserve (congestion: share)
	shapeLate    = 80 * time.Millisecond   // is late; below it an encoder's own rhythm
	shapeBurst   = 300 * time.Millisecond  // of the target, in the bucket: a key frame
	shapeLearnt  = 3500 * time.Millisecond // of the stream: OBS fills 240 kB, waits 200 ms, and measures for 1 s twice or three times
	shapeHigh    = 1.3                     // of the target, after that: the encoder does not follow
	shapeOld     = 2 * time.Second         // pictures this late, kernel's buffers aside, are not worth sending slowly
	shapeLost    = 5 * time.Second         // and these are not, however little of the stream has been seen
	shapeSkipped = 1500 * time.Millisecond // is enough to read what waits: it is on this machine or near
	shapeHidden  = 240_000                 // bytes in the kernel's buffers, of which the encoder knows nothing: shapeReceive
	shapeForget  = 1000                    // the fastest message counts a millisecond less each second: clocks drift
)

// media is told of a message that has been read.
func (s *shaper) media(now time.Time, stamp time.Duration, size int) {
	if n := len(s.stamps); n > 0 && (stamp-s.stamps[n-1].at).Abs() > jump {
		*s = shaper{target: s.target, bucket: s.bucket, at: s.at, skipped: s.skipped} // another timeline
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
	late := now.Sub(s.based) - stamp // of any message: a constant and its lag
	if fast := s.base + now.Sub(s.based)/shapeForget; s.based.IsZero() || late < fast {
		s.based, s.base = now, -stamp
		late = s.base
	}
	s.lag = late - s.base
	was := s.state
	s.judge(now, newest-s.stamps[0].at)
	if s.state != was {
		s.since = now
	}
}

// rate is the stream's own, by its stamps.
func (s *shaper) rate() float64 { return float64(s.bytes) * 8 / shapeWindow.Seconds() }

func (s *shaper) judge(now time.Time, span time.Duration) {
	if s.target == 0 || span < shapeWindow*9/10 {
		return
	}
	switch r := s.rate(); {
	case s.state == shapeSkip && s.lag > shapeLate && now.Sub(s.since) < shapeSkipped: // until it has caught up
	case s.state == shapeSkip: // what is late now though everything was read is the encoder's own doing
		s.state = shapeFits
		s.base += s.lag
		s.lag = 0
	case s.state == shapeBrake && r > shapeHigh*float64(s.target) && s.deaf(now, r):
		s.state, s.mute = shapeSkip, true
	case r > shapeOver*float64(s.target):
		s.state = shapeBrake
	case s.lag > shapeLate && r <= float64(s.target):
		s.state = shapeDrain
	case s.lag <= shapeLate/2:
		s.state = shapeFits
	}
}

// deaf reports whether braking has not moved the encoder, though it must have noticed. What is read while it is late was made long ago:
// what counts is how much of the stream has been read since braking began, not how long that took.
func (s *shaper) deaf(now time.Time, rate float64) bool {
	return s.lag-hiddenTime(rate) > shapeOld && (now.Sub(s.since)-s.lag > shapeLearnt || s.lag > shapeLost)
}

// hiddenTime is how late a message is at a rate by the kernel's buffers alone.
func hiddenTime(rate float64) time.Duration {
	return time.Duration(shapeHidden * 8 / rate * float64(time.Second))
}

// keep says whether a picture is to be handed on.
func (s *shaper) keep(key bool) bool {
	if s.mute && (!key || s.state == shapeSkip && s.lag > shapeOld/4) {
		s.skipped++
		return false
	}
	s.mute = false
	return true
}

// retarget says what the path carries: of all tracks.
func (s *shaper) retarget(rate congestion.Bitrate) { s.target = rate }

// pace is at what rate the bucket fills.
func (s *shaper) pace() float64 {
	switch s.state {
	case shapeBrake:
		return float64(s.target)
	case shapeDrain:
		return shapeFast * float64(s.target)
	}
	return shapeOver * float64(s.target)
}

// take returns how many bytes may be read now, at most n. 0: none; ask again after wait.
func (s *shaper) take(now time.Time, n int) (got int, wait time.Duration) {
	if s.target == 0 || s.state == shapeSkip {
		s.at, s.bucket = now, 0
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
func (s *shaper) read(n int) {
	if s.state != shapeSkip {
		s.bucket -= float64(n)
	}
}

// shapeLeast is what a read waits for: below it system calls cost more than smoothness is worth.
const shapeLeast = 1400
