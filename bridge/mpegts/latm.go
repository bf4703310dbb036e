package mpegts

import (
	"bytes"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
)

// findLATM parses an AudioSyncStream (ISO 14496-3 §1.7.2): syncword 0x2b7, 11 | length 13 | AudioMuxElement.
//
// It is rare on live uplinks, so mediacommon takes the element apart, at a few allocations a frame.
// Carried is what broadcasters send: one program, one layer, one subframe an element.
func (s *stream) findLATM(b []byte) found {
	if b[0] != 0x56 || len(b) > 1 && b[1]&0xe0 != 0xe0 {
		return found{}
	}
	if len(b) < 3 {
		return found{size: 3}
	}
	f := found{size: 3 + (int(b[1]&0x1f)<<8 | int(b[2])), samples: 1024, rate: s.latmRate}
	if f.rate == 0 {
		f.rate = opusRate // nothing better is known, and no frame will come of it
	}
	if f.size == 3 {
		return found{}
	}
	if f.size > len(b) {
		return f
	}
	e := mpeg4audio.AudioMuxElement{MuxConfigPresent: true, StreamMuxConfig: s.latm0}
	if err := e.Unmarshal(b[3:f.size]); err != nil {
		f.drop = DropBadAudio
		return f
	}
	if e.StreamMuxConfig != s.latm0 {
		c := e.StreamMuxConfig
		if len(c.Programs) != 1 || len(c.Programs[0].Layers) != 1 || c.Programs[0].Layers[0].AudioSpecificConfig == nil {
			f.drop = DropUnsupported
			return f
		}
		a := c.Programs[0].Layers[0].AudioSpecificConfig
		if a.SampleRate <= 0 {
			f.drop = DropBadAudio
			return f
		}
		asc, err := a.Marshal()
		if err != nil {
			f.drop = DropBadAudio
			return f
		}
		s.latm0, s.latmRate = c, a.SampleRate
		if !bytes.Equal(asc, s.latmASC) {
			s.latmASC = asc
			s.latmKey++
		}
	}
	if len(e.Payloads) != 1 || len(e.Payloads[0]) != 1 || len(e.Payloads[0][0]) != 1 || len(e.Payloads[0][0][0]) == 0 {
		f.drop = DropUnsupported
		return f
	}
	f.data, f.key, f.rate = e.Payloads[0][0][0], s.latmKey, s.latmRate
	return f
}
