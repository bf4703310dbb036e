package hub

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// ErrSlate is wrapped by the errors of NewSlate.
var ErrSlate = errors.New("hub: not a slate")

// slateBytes bounds a slate's payload: it is kept in memory and shared by all streams. Ours: 16 s at 8 Mbit/s.
const slateBytes = 16 << 20

// Slate is a clip that stands for a publisher that is gone, over and over. It is immutable.
type Slate struct {
	frames []*media.Frame // in order of DTS, the first a key frame at 0
	audio  *media.Config  // of its sound; nil: none
	length time.Duration  // of one round
}

// NewSlate makes a slate of a clip's frames, which it takes: one video track from its first key frame on, and one audio track or none.
func NewSlate(frames []*media.Frame) (*Slate, error) {
	frames = slices.Clone(frames)
	slices.SortStableFunc(frames, func(a, b *media.Frame) int { return int(a.DTS - b.DTS) })
	i := slices.IndexFunc(frames, (*media.Frame).IsKeyVideo)
	if i < 0 {
		return nil, fmt.Errorf("%w: no key frame in it", ErrSlate)
	}
	first := frames[i]
	s := &Slate{}
	bytes, pictures := 0, 0
	var last time.Duration
	for _, f := range frames[i:] {
		switch {
		case f.Config == nil || f.Codec.IsVideo() && f.Track != first.Track:
			continue
		case f.Codec.IsAudio() && s.audio == nil:
			s.audio = f.Config
		case f.Codec.IsAudio() && !s.audio.Equal(f.Config):
			continue
		}
		if f.Codec.IsVideo() {
			pictures++
			last = f.DTS - first.DTS
		}
		if bytes += len(f.Payload); bytes > slateBytes {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrSlate, slateBytes)
		}
		g := *f
		g.DTS, g.PTS = f.DTS-first.DTS, f.PTS-first.DTS
		g.Flags |= media.Held
		s.frames = append(s.frames, &g)
	}
	if pictures < 2 {
		return nil, fmt.Errorf("%w: %d pictures", ErrSlate, pictures)
	}
	s.length = last * time.Duration(pictures) / time.Duration(pictures-1)
	if s.length < 100*time.Millisecond {
		return nil, fmt.Errorf("%w: %v long", ErrSlate, s.length)
	}
	return s, nil
}

// fits reports whether the slate can go where a stream's pictures were, and its sound where that was: a decoder that is told of new parameter
// sets goes on with them, one of another codec does not.
func (s *Slate) fits(video media.Codec, audio *media.Config) (pictures, sound bool) {
	if s == nil || s.frames[0].Codec != video {
		return false, false
	}
	return true, audio != nil && s.audio != nil && audio.Codec == s.audio.Codec && audio.SampleRate == s.audio.SampleRate && audio.Channels == s.audio.Channels
}

// showing is a slate on a stream.
type showing struct {
	slate *Slate
	sound bool          // with its own
	round time.Duration // the stream's time at which the round began
	next  int
	track uint8 // of the stream's pictures
}

// until hands out the frames due up to a time of the stream. Its sound goes where the stream's next unit is due: where rounds meet a unit
// may be left out or silence put in.
func (s *showing) until(at time.Duration, m *seam, emit func(*media.Frame)) {
	for {
		f := s.slate.frames[s.next]
		if s.round+f.DTS > at {
			if !s.sound {
				m.until(at, emit)
			}
			return
		}
		switch {
		case f.Codec.IsVideo():
			if !s.sound {
				m.until(s.round+f.DTS, emit)
			}
			g := *f
			g.DTS, g.PTS, g.Track = s.round+f.DTS, s.round+f.PTS, s.track
			emit(&g)
		case s.sound:
			slack := m.Length() * 3 / 4
			m.until(s.round+f.DTS-slack, emit)
			if m.Due() <= s.round+f.DTS+slack {
				g := *f
				g.DTS, g.Track = m.Due(), m.Track
				g.PTS = g.DTS
				m.Pass()
				emit(&g)
			}
		}
		if s.next++; s.next == len(s.slate.frames) {
			s.next = 0
			s.round += s.slate.length
		}
	}
}
