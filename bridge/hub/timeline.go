package hub

import (
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

const (
	// origin is where a stream's timeline begins: room for a second track whose first unit is a little earlier. Ours.
	origin = time.Second
	// Jumps of the source beyond these are a new timeline, not a gap (research figures of the CDN tiers: 0.25 to 3 s).
	jumpBack    = 500 * time.Millisecond
	jumpForward = 3 * time.Second
	// nominal stands for a frame duration where none is known.
	nominal = 33 * time.Millisecond
	// followWithin is how long after one track's jump another may still be on the old timeline. Ours.
	followWithin = 2 * time.Second
)

// timeline maps the times of one publisher after another onto one that continues. Exact: it only ever adds an offset,
// the same for all tracks.
type timeline struct {
	open    bool // an offset is set
	started bool // something came out already
	offset  time.Duration
	old     time.Duration // the offset before the last jump, for the other track's stragglers
	hasOld  bool
	jumpAt  time.Time
	last    time.Duration            // newest time given out
	lastAt  time.Time                // when it was
	track   [maxTracks]time.Duration // newest time given out per track
	jumps   uint64
	clamped uint64
}

// begin says that the next frame is from a new publisher.
func (t *timeline) begin() { t.open, t.hasOld = false, false }

// stamp rewrites the frame's times. A gap between publishers keeps its length on the wall clock.
func (t *timeline) stamp(f *media.Frame) {
	switch {
	case !t.open:
		t.open = true
		next := origin
		if t.started {
			next = t.last + max(nominal, f.Arrival.Sub(t.lastAt))
			f.Flags |= media.Discontinuity
		}
		t.offset = next - f.DTS
	case t.straggler(f):
		t.apply(f, t.old)
		return
	case t.jumped(f, t.offset):
		t.jumps++
		t.old, t.hasOld, t.jumpAt = t.offset, true, f.Arrival
		t.offset = t.last + nominal - f.DTS
		f.Flags |= media.Discontinuity
	}
	t.apply(f, t.offset)
}

// straggler reports whether a frame shortly after a jump is still on the timeline before it: the one closer to where
// its own track is.
func (t *timeline) straggler(f *media.Frame) bool {
	if !t.hasOld || f.Arrival.Sub(t.jumpAt) > followWithin {
		return false
	}
	at := t.track[f.Track]
	return (f.DTS + t.old - at).Abs() < (f.DTS + t.offset - at).Abs()
}

// jumped reports whether a frame under an offset is too far from where the stream is. A step forward that the wall
// clock took as well is a gap, not a jump.
func (t *timeline) jumped(f *media.Frame, offset time.Duration) bool {
	d := f.DTS + offset - t.last
	return d < -jumpBack && f.DTS+offset < t.track[f.Track]-jumpBack ||
		d > jumpForward && d-f.Arrival.Sub(t.lastAt) > jumpForward
}

func (t *timeline) apply(f *media.Frame, offset time.Duration) {
	f.DTS += offset
	f.PTS += offset
	if floor := t.track[f.Track]; f.DTS < floor {
		t.clamped++
		f.DTS = floor
	}
	f.PTS = max(f.PTS, f.DTS)
	t.track[f.Track] = f.DTS
	if f.DTS > t.last || !t.started {
		t.last, t.lastAt = f.DTS, f.Arrival
	}
	t.started = true
}
