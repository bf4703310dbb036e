package quiclink

import "github.com/fairlead-live/fairlead/transport"

// write takes a frame into the session. Pictures wait for a key frame after a connection was lost.
func (s *sending) write(f *frame) {
	picture := !f.Codec.IsAudio() && f.Codec != transport.Passthrough
	if s.next != nil && (picture && f.Flags.Has(transport.Key) || s.now.After(s.switchBy)) {
		s.leave(f)
		return
	}
	defer framePool.Put(f)
	if picture && s.needKey && !f.Flags.Has(transport.Key) && !f.Flags.Has(transport.Config) {
		s.client.unsent()
		return
	}
	s.sendTracks()
	if s.began.IsZero() {
		s.began = s.now
	}
	if picture && f.Flags.Has(transport.Key) || f.Codec.IsAudio() && s.now.Sub(s.configAt[f.Track]) >= audioConfigEvery {
		s.writeConfig(&f.Frame)
	}
	if err := s.tx.WriteFrame(s.now, &f.Frame); err != nil {
		s.client.unsent()
		return
	}
	if picture {
		s.needKey = false
	}
}

// gaveUp asks for a key frame: the session has given up a picture that others refer to.
func (s *sending) gaveUp() {
	if s.now.Sub(s.askedAt) >= targetEvery {
		s.askedAt = s.now
		s.askKeyframe(0)
	}
}

// writeConfig sends a track's configuration in band, before the frame it decodes.
func (s *sending) writeConfig(f *transport.Frame) {
	for i := range s.tracks {
		t := &s.tracks[i]
		if t.ID != f.Track || len(t.Config) == 0 {
			continue
		}
		s.configAt[f.Track] = s.now
		c := *f
		c.Flags = transport.Config | f.Flags&transport.Key
		c.Data = t.Config
		_ = s.tx.WriteFrame(s.now, &c) // no room: the frame behind it has none either, and is counted
	}
}
