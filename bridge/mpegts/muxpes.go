package mpegts

import (
	"github.com/fairlead-live/fairlead/bridge/media"
)

// Access unit delimiters with any slice type allowed behind (H.264 §7.3.2.4, H.265 §7.3.2.5).
var (
	h264AUD = []byte{0, 0, 0, 1, 9, 0xf0}
	h265AUD = []byte{0, 0, 0, 1, 0x46, 0x01, 0x50}
)

// makePES makes m.pes of a frame; false: it cannot be written.
func (m *Muxer) makePES(t *muxTrack, f *media.Frame, dts, pts int64) bool {
	b := append(m.pes[:0], 0, 0, 1, t.streamID, 0, 0, 0x84, 0x80, 5) // '10', data_alignment_indicator; PTS
	if pts != dts {
		b[7], b[8] = 0xc0, 10
		b = appendTimestamp(b, 3, pts)
		b = appendTimestamp(b, 1, dts)
	} else {
		b = appendTimestamp(b, 2, pts)
	}
	b, ok := appendData(b, f)
	m.pes = b
	return ok
}

// seal gives the PES packet its length and makes sure that its last transport packet has stuffing, when its first one
// has an adaptation field of n bytes.
//
// One that fills its last packet exactly has no stuffing to be seen as its end: a stuffing byte in its own
// header, of which there may be 32 (§2.4.3.7), moves one byte on into another packet.
func (m *Muxer) seal(n int, video bool) {
	b := m.pes
	if (len(b)+n)%(PacketSize-4) == 0 {
		head := 9 + int(b[8])
		b = append(b, 0)
		copy(b[head+1:], b[head:])
		b[head] = 0xff
		b[8]++
	}
	if n := len(b) - 6; !video && n <= 0xffff {
		b[4], b[5] = byte(n>>8), byte(n)
	}
	m.pes = b
}

func appendTimestamp(b []byte, mark byte, t int64) []byte {
	return append(b, mark<<4|byte(t>>29)&0xe|1, byte(t>>22), byte(t>>14)|1, byte(t>>7), byte(t<<1)|1)
}

// appendData appends a frame as its elementary stream.
func appendData(b []byte, f *media.Frame) ([]byte, bool) {
	switch f.Codec {
	case media.H264, media.H265:
		return appendPicture(b, f)
	case media.AAC:
		if f.Config == nil || len(f.Config.ASC) < 2 || len(f.Payload) == 0 || len(f.Payload)+7 > 8191 {
			return b, false
		}
		var ok bool
		if b, ok = appendADTS(b, f.Config.ASC, len(f.Payload)); !ok {
			return b, false
		}
		return append(b, f.Payload...), true
	case media.Opus:
		if len(f.Payload) == 0 {
			return b, false
		}
		b = append(b, 0x7f, 0xe0)
		n := len(f.Payload)
		for ; n >= 255; n -= 255 {
			b = append(b, 255)
		}
		return append(append(b, byte(n)), f.Payload...), true
	default:
		return append(b, f.Payload...), len(f.Payload) > 0
	}
}

// appendPicture appends an access unit as a byte stream: delimiter, parameter sets before a keyframe, NAL units.
//
// "zero_byte … shall be present when nal_unit_type is 7 or 8, or for the first NAL unit of an access unit" (H.264 §B.1.2).
func appendPicture(b []byte, f *media.Frame) ([]byte, bool) {
	if !media.ValidNALs(f.Payload) {
		return b, false
	}
	if f.Codec == media.H264 {
		b = append(b, h264AUD...)
	} else {
		b = append(b, h265AUD...)
	}
	if c := f.Config; c != nil && f.Flags.Has(media.Key) {
		for _, sets := range [...][][]byte{c.VPS, c.SPS, c.PPS} {
			for _, n := range sets {
				b = append(append(b, 0, 0, 0, 1), n...)
			}
		}
	}
	for n := range media.NALs(f.Payload) {
		b = append(append(b, 0, 0, 1), n...)
	}
	return b, true
}

// appendADTS appends the header of a frame of n bytes with the configuration in asc, which has at least
// 2 bytes; false: ADTS cannot say it. See findADTS for the layout.
//
// HE-AAC with explicit signalling (object type 5 or 29) is written as the AAC LC below it; a decoder finds the rest in the frames.
func appendADTS(dst, asc []byte, n int) ([]byte, bool) {
	object, freq := int(bitField(asc, 0, 5)), int(bitField(asc, 5, 4))
	channels := int(bitField(asc, 9, 4))
	if object == 5 || object == 29 {
		// extensionSamplingFrequencyIndex, then the object type below (§1.6.2.1)
		if bitField(asc, 13, 4) == 15 {
			return dst, false
		}
		object = int(bitField(asc, 17, 5))
	}
	if object < 1 || object > 4 || aacRates[freq] == 0 || channels == 0 || channels > 7 {
		return dst, false
	}
	size := n + 7
	return append(dst, 0xff, 0xf1,
		byte(object-1)<<6|byte(freq)<<2|byte(channels>>2),
		byte(channels)<<6|byte(size>>11),
		byte(size>>3),
		byte(size<<5)|0x1f, // fullness 0x7ff: variable rate
		0xfc), true
}
