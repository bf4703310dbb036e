package hub

import (
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

const (
	// fillAfter is how long a stream stays silent before the hub speaks for the publisher that is gone. A reconnect takes less; the
	// strictest CDN tiers close a session after 5 s without media.
	fillAfter = 2 * time.Second
	// fillShown is how long a publisher whose connection lives may be silent before its last key frame is shown again: it must begin at a key
	// frame then, though an encoder that only paused would go on with what decodes. Ours: below RTMP's 10 s to the end of a silent connection.
	fillShown = 6 * time.Second
	// fillAlone is the same where there is no sound to make: then the picture has to do.
	fillAlone = 4 * time.Second
	// fillStep is how often held frames are made; fillPicture how often the last key frame is shown again.
	fillStep    = 100 * time.Millisecond
	fillPicture = time.Second
)

// filler makes what is sent while a publisher says nothing: silence on the clock, and once it is gone, or may as well be, its last
// key frame over and over, or Config.Slate, so that a session downstream stays alive and its timeline goes on. A publisher that is only late
// needs no new key frame: what it sends next still decodes. Every frame carries media.Held: a held second is a stalled second.
type filler struct {
	key     *media.Frame  // nil: no picture is shown
	next    time.Duration // the picture's
	showing *showing      // in place of the key frame, and of silence where it has sound
}

// until hands out the frames due up to a time of the stream. m: nil where there is no silence.
func (f *filler) until(at time.Duration, m *seam, emit func(*media.Frame)) {
	if f.showing != nil {
		f.showing.until(at, m, emit)
		return
	}
	for ; f.key != nil && f.next <= at; f.next += fillPicture {
		m.until(f.next, emit)
		k := *f.key
		k.Flags &^= media.Discontinuity
		k.DTS, k.PTS = f.next, f.next
		emit(&k)
	}
	m.until(at, emit)
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

// resume ends holding because there is a frame again. It is where its publisher's clock says, unless it was late; mu is held.
func (s *stream) resume(f *media.Frame) {
	if s.filler == nil {
		return
	}
	s.filler = nil
	s.time.loose = false
	if s.time.behind(f) {
		s.time.begin()
		s.time.late = true
	}
}

// fill sends what is due; mu is held.
func (s *stream) fill(now time.Time) {
	if !s.time.started || !s.settled {
		return
	}
	at := s.time.due(s.hub.sinceZero(now)) - heldBehind
	s.sew()
	if s.filler == nil {
		s.filler = &filler{}
	}
	if s.filler.key == nil && s.lastKey != nil && s.away(now.Sub(s.heard)) {
		if s.publisher != nil && !s.needKey {
			s.needKey, s.needSince = true, time.Time{}
		}
		s.filler.key, s.filler.next = s.lastKey.Clone(), at
		var audio *media.Config
		if s.seam != nil {
			audio = s.seam.Config
		}
		if pictures, sound := s.hub.cfg.Slate.fits(s.lastKey.Codec, audio); pictures {
			s.seam.until(at, s.held(now))
			s.filler.showing = &showing{slate: s.hub.cfg.Slate, sound: sound, round: at, track: s.lastKey.Track}
		}
	}
	s.filler.until(at, s.seam, s.held(now))
}

// away reports whether a publisher that has not been heard of for so long, at least fillAfter, is as good as gone. It is at once where its link is cut: a
// connection's own patience is 5 s (SRT) to 13 s (QUIC), and what is sent meanwhile is late and lost, since quiet begins a latency after the
// link's last packet. mu is held.
func (s *stream) away(quiet time.Duration) bool {
	return s.publisher == nil || s.silent >= fillAfter || quiet >= fillShown || s.seam == nil && quiet >= fillAlone
}

// held returns what shares a held frame; mu is held.
func (s *stream) held(now time.Time) func(*media.Frame) {
	return func(f *media.Frame) {
		f.Flags |= media.Held
		f.Arrival = now
		s.time.enter(f, 0)
		s.counts.Held++
		s.remember(f)
		s.share(f, now)
	}
}
