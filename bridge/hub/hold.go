package hub

import (
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

const (
	// fillAfter is how long a stream stays silent before the hub speaks for the publisher that is gone. A reconnect takes less; the
	// strictest CDN tiers close a session after 5 s without media.
	fillAfter = 2 * time.Second
	// fillStep is how often held frames are made; fillPicture how often the last key frame is shown again.
	fillStep    = 100 * time.Millisecond
	fillPicture = time.Second
)

// filler makes what is sent while a publisher says nothing: silence on the clock, and once it is gone for good its last key frame over
// and over, or Config.Slate, so that a session downstream stays alive and its timeline goes on. A publisher that is only late needs no new
// key frame: what it sends next still decodes. Every frame carries media.Held: a held second is a stalled second.
type filler struct {
	key     *media.Frame // nil: no picture is shown
	audio   *media.Config
	track   uint8
	silence []byte
	unit    time.Duration // duration of one frame of silence

	nextVideo, nextAudio time.Duration
	showing              *showing // in place of the key frame, and of silence where it has sound
}

// newFiller begins at a time of the stream, with sound alone.
func newFiller(audio *media.Config, audioTrack uint8, at time.Duration) *filler {
	f := &filler{audio: audio, track: audioTrack, nextAudio: at}
	if audio != nil {
		f.silence, f.unit = media.Silence(audio)
	}
	return f
}

// until hands out the frames due up to a time of the stream.
func (f *filler) until(at time.Duration, emit func(*media.Frame)) {
	if f.showing != nil {
		f.showing.until(at, f.track, emit)
		if f.showing.sound {
			f.nextAudio = at
			return
		}
	}
	for f.silence != nil && f.nextAudio <= at {
		emit(&media.Frame{Track: f.track, Codec: f.audio.Codec, Flags: media.Key | media.Held, DTS: f.nextAudio, PTS: f.nextAudio,
			Config: f.audio, Payload: f.silence})
		f.nextAudio += f.unit
	}
	for f.key != nil && f.showing == nil && f.nextVideo <= at {
		k := *f.key
		k.Flags = k.Flags&^media.Discontinuity | media.Held
		k.DTS, k.PTS = f.nextVideo, f.nextVideo
		emit(&k)
		f.nextVideo += fillPicture
	}
}

// startFill watches over a stream's silence from its first publisher on; mu is held.
func (s *stream) startFill() {
	if s.fillTimer != nil {
		return
	}
	s.fillTimer = time.AfterFunc(fillAfter, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.gone {
			return
		}
		now := s.hub.cfg.Now()
		if quiet := now.Sub(s.heard); quiet < fillAfter {
			s.fillTimer.Reset(fillAfter - quiet)
			return
		}
		s.fill(now)
		s.fillTimer.Reset(fillStep)
	})
}

// resume ends holding because there is a frame again. Its publisher's times go on where the held ones end; mu is held.
func (s *stream) resume() {
	if s.filler == nil {
		return
	}
	s.filler = nil
	s.time.begin()
}

// fill sends what is due; mu is held.
func (s *stream) fill(now time.Time) {
	t := &s.time
	if !t.started || !s.settled {
		return
	}
	at := t.last + now.Sub(t.lastAt)
	if s.filler == nil {
		var audio *media.Config
		var track uint8
		for i, c := range s.tracks {
			if c != nil && c.Codec.IsAudio() {
				audio, track = c, uint8(i)
				break
			}
		}
		s.filler = newFiller(audio, track, at)
	}
	if s.publisher == nil && s.filler.key == nil && s.lastKey != nil {
		if pictures, sound := s.hub.cfg.Slate.fits(s.lastKey.Codec, s.filler.audio); pictures {
			s.filler.until(at, s.held(now)) // silence up to here
			s.filler.showing = &showing{slate: s.hub.cfg.Slate, sound: sound, round: at, track: s.lastKey.Track}
		}
		s.filler.key, s.filler.nextVideo = s.lastKey.Clone(), at
	}
	s.filler.until(at, s.held(now))
}

// held returns what shares a held frame; mu is held.
func (s *stream) held(now time.Time) func(*media.Frame) {
	t := &s.time
	return func(f *media.Frame) {
		f.Arrival = now
		ahead := f.PTS - f.DTS
		t.track[f.Track] = max(t.track[f.Track], f.DTS)
		f.DTS = t.track[f.Track]
		f.PTS = f.DTS + ahead
		if f.DTS > t.last {
			t.lastAt = t.lastAt.Add(f.DTS - t.last)
			t.last = f.DTS
		}
		s.counts.Held++
		s.remember(f)
		s.share(f, now)
	}
}
