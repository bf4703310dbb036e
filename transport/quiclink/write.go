package quiclink

import (
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport"
)

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
	s.measure(len(f.Data))
	if err := s.tx.WriteFrame(s.now, &f.Frame); err != nil {
		s.client.unsent()
		return
	}
	if picture {
		s.needKey = false
	}
	if picture && f.Flags.Has(transport.Key) {
		s.keyAt = s.now
	}
}

// gaveUp acts on a picture that could not be sent in time and others refer to: what follows it up to the next key frame cannot be
// decoded. Where the path is full that is not sent, so that the key frame is in time (design.md §3, "when the encoder
// cannot be moved"). Was a key frame written since, as far as one can tell, its pictures can.
func (s *sending) gaveUp() {
	if s.floor != nil && s.floor.Crowded() && s.now.Sub(s.keyAt) > s.latency {
		s.needKey = true
	}
	if s.now.Sub(s.askedAt) >= targetEvery {
		s.askedAt = s.now
		s.askKeyframe(0)
	}
}

// needEvery is how long the stream's rate is measured over: ours, a usual GOP, so that one key frame is in it.
const needEvery = 2 * time.Second

// measure tells the controller what the stream takes.
func (s *sending) measure(n int) {
	s.written += n + perFrame
	d := s.now.Sub(s.needAt)
	switch {
	case s.floor == nil:
	case s.needAt.IsZero():
		s.needAt = s.now
	case d >= needEvery:
		s.floor.Need(congestion.Bitrate(float64(s.written) * 8 * wireShare / d.Seconds()))
		s.needAt, s.written = s.now, 0
	}
}

// Ours: a packet of 1200 bytes carries 1130 of media; and each frame has a header, and a packet that is not full.
const (
	wireShare = 1.09
	perFrame  = 100
)

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
