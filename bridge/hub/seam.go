package hub

import (
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

const (
	// heldBehind is how far what is held stays behind what is due: the first frames of a publisher that is back are a little later than
	// others, and find room. Under the 250 ms that SRS takes for a step between any two messages.
	heldBehind = 200 * time.Millisecond
	// mutedFor is how far silence stays behind the pictures of a publisher that is back and has no sound yet. Ours.
	mutedFor = 2 * time.Second
	// holeFrom is how long sound of a living publisher may be missing before silence takes its place, once there is sound again. SRS's step.
	holeFrom = 250 * time.Millisecond
	// snapSlack is how much earlier than its place in the row of units a unit of sound may be. RTMP's times are rounded to milliseconds.
	snapSlack = 2 * time.Millisecond
)

// seam is where a stream's sound is sewn together, from the end of a publisher's to the next one's first unit, or across a hole in it: silence is counted in units
// from the last one that came, and the next publisher's offset moves by less than one, so that its units go on with the count.
type seam struct {
	media.Quiet
	filled bool // up to the first frame of who is back
}

// sew begins a seam, or goes on with the one there is; mu is held.
func (s *stream) sew() {
	if s.seam != nil {
		s.seam.filled = false
		return
	}
	if !s.time.started || !s.settled {
		return
	}
	for i, c := range s.tracks {
		if c == nil || !c.Codec.IsAudio() {
			continue
		}
		if q, ok := media.NewQuiet(c, uint8(i), s.time.track[i]); ok && s.time.track[i] > 0 {
			q.Pass() // the last one that came
			s.seam = &seam{Quiet: q}
		}
		return
	}
}

// until hands out the units due up to a time of the stream. m may be nil.
func (m *seam) until(at time.Duration, emit func(*media.Frame)) {
	for m != nil && m.Due() <= at {
		emit(m.Next())
	}
}

// join reports whether a publisher's frame that would come at a time of the stream comes at all, and moves the offset. Silence that is due
// before it is shared here. mu is held.
func (s *stream) join(f *media.Frame, offset *time.Duration, now time.Time) bool {
	t, dts := &s.time, f.DTS+*offset
	if s.seam == nil && f.Codec.IsAudio() && dts > t.track[f.Track]+holeFrom {
		if s.sew(); s.seam != nil && s.seam.Track != f.Track {
			s.seam = nil
		}
	}
	m := s.seam
	if m == nil {
		return true
	}
	if c := s.tracks[f.Track]; !f.Codec.IsAudio() || f.Track != m.Track && c != nil && c.Codec.IsAudio() { // a picture, or another track of sound
		if !m.filled {
			m.filled = true
			m.until(dts, s.held(now))
		}
		m.until(dts-mutedFor, s.held(now))
		return true
	}
	unit := m.Length()
	if t.loose && *offset == t.offset {
		t.loose = false
		n := int64((dts - m.Due()) / unit)
		for m.At(n) < dts-snapSlack {
			n++
		}
		for m.At(n-1) >= dts-snapSlack {
			n--
		}
		move := m.At(n) - dts
		t.offset += move
		*offset += move
		dts += move
	}
	if dts < m.Due()-unit/2 { // silence is there already
		return false
	}
	m.until(dts-unit/2, s.held(now))
	s.seam = nil
	return true
}
