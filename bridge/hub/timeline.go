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
	// leadOver is how long a frame that came early counts for where the stream is, at least. Ours.
	leadOver = 5 * time.Second
)

// timeline maps the times of one publisher after another onto one that continues. Exact: it only ever adds an offset,
// the same for all tracks. Times named at are the hub's clock, when a frame is shared.
type timeline struct {
	open    bool // an offset is set
	late    bool // what comes without one is a publisher's that was late, not of one that is new
	started bool // something came out already
	broken  bool // the next frame has media.Discontinuity, since the one that did was left out
	loose   bool // the offset may still move by less than a unit of sound, so that no step is heard
	offset  time.Duration
	old     time.Duration // the offset before the last jump, for the other track's stragglers
	hasOld  bool
	jumpAt  time.Duration
	last    time.Duration            // newest time given out
	track   [maxTracks]time.Duration // newest DTS given out per track
	shown   [maxTracks]time.Duration // newest PTS
	lead    lead
	jumps   uint64
	clamped uint64
}

// begin says that the next frame is from a new publisher.
func (t *timeline) begin() { t.open, t.hasOld, t.late = false, false, false }

// lead is how far a stream's time is ahead of the hub's clock when a frame is shared on time: the most of the last seconds, since
// frames come late and never early.
type lead struct {
	now, before time.Duration // of this window and the one before
	since       time.Duration
	known       bool
}

func (l *lead) observe(dts, at time.Duration) {
	switch d := dts - at; {
	case !l.known:
		*l = lead{d, d, at, true}
	case at-l.since > leadOver:
		l.before, l.now, l.since = l.now, d, at
	default:
		l.now = max(l.now, d)
	}
}

// due is the time of the stream that is due at a moment.
func (t *timeline) due(at time.Duration) time.Duration { return at + max(t.lead.now, t.lead.before) }

// stamp rewrites the frame's times. A gap between publishers keeps its length on the wall clock.
func (t *timeline) stamp(f *media.Frame, at time.Duration) { t.apply(f, t.place(f, at), at) }

// place returns the offset of a frame, and flags it where times do not go on.
func (t *timeline) place(f *media.Frame, at time.Duration) time.Duration {
	switch {
	case !t.open:
		t.open = true
		next := origin
		if t.started {
			if next = t.last + nominal; !t.late {
				next = max(next, t.due(at))
			}
			next = max(next, t.shown[f.Track]+time.Millisecond-(f.PTS-f.DTS)) // pictures of before are shown before it
			f.Flags |= media.Discontinuity
			t.loose = true
		}
		t.offset = next - f.DTS
	case t.straggler(f, at):
		return t.old
	case t.jumped(f, t.offset, at):
		t.jumps++
		t.old, t.hasOld, t.jumpAt = t.offset, true, at
		t.offset = t.last + nominal - f.DTS
		f.Flags |= media.Discontinuity
	}
	return t.offset
}

// behind reports whether a frame of a publisher that was silent would be so far behind what was made in its place that its times
// have to be new ones.
func (t *timeline) behind(f *media.Frame) bool { return t.open && f.DTS+t.offset < t.last-jumpBack }

// straggler reports whether a frame shortly after a jump is still on the timeline before it: the one closer to where
// its own track is.
func (t *timeline) straggler(f *media.Frame, at time.Duration) bool {
	if !t.hasOld || at-t.jumpAt > followWithin {
		return false
	}
	here := t.track[f.Track]
	return (f.DTS + t.old - here).Abs() < (f.DTS + t.offset - here).Abs()
}

// jumped reports whether a frame under an offset is too far from where the stream is. A step forward that the wall
// clock took as well is a gap, not a jump.
func (t *timeline) jumped(f *media.Frame, offset, at time.Duration) bool {
	d := f.DTS + offset
	return d < t.last-jumpBack && d < t.track[f.Track]-jumpBack || d > t.last+jumpForward && d > t.due(at)+jumpForward
}

// apply gives the frame its times.
func (t *timeline) apply(f *media.Frame, offset, at time.Duration) {
	if t.broken {
		f.Flags, t.broken = f.Flags|media.Discontinuity, false
	}
	t.enter(f, offset)
	t.lead.observe(f.DTS, at)
}

// enter is apply for a frame that says nothing about how far the stream is.
func (t *timeline) enter(f *media.Frame, offset time.Duration) {
	f.DTS += offset
	f.PTS += offset
	if floor := t.track[f.Track]; f.DTS < floor {
		t.clamped++
		f.DTS = floor
	}
	f.PTS = max(f.PTS, f.DTS)
	t.track[f.Track] = f.DTS
	t.shown[f.Track] = max(t.shown[f.Track], f.PTS)
	t.last = max(t.last, f.DTS)
	t.started = true
}
