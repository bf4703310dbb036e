package mpegts

import (
	"bytes"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// video makes one frame of a PES packet.
func (d *Demuxer) video(s *stream, h pesHeader) {
	nals, size, ok := splitAnnexB(d.nals[:0], h.data)
	d.nals = nals
	if !ok {
		d.drop(DropOversize)
		s.lost = true
		return
	}
	// The payload leaves with the frame, so it is made to measure; what Config keeps is not in it.
	d.au.Reset(make([]byte, 0, size))
	for _, n := range nals {
		d.au.Add(s.codec, n)
	}
	d.au.End()
	clear(d.nals)
	if len(d.au.SPS)+len(d.au.PPS)+len(d.au.VPS) > 0 {
		s.track.parameters(&d.au)
	}
	if !d.au.VCL {
		d.drop(DropNoPicture)
		return
	}
	if s.track.config == nil {
		d.drop(DropNoConfig)
		s.lost = true
		return
	}
	dts, pts, ok := d.times(s, h)
	if !ok {
		d.drop(DropNoTimestamp)
		s.lost = true
		return
	}
	d.stats.Units++
	d.emit(&media.Frame{
		Track:   s.index,
		Codec:   s.codec,
		Flags:   d.au.Flags | s.flags(d.place(s.track, dts)),
		DTS:     media.FromTicks(dts),
		PTS:     media.FromTicks(pts),
		Arrival: d.now,
		Config:  s.track.config,
		Payload: d.au.Payload,
	})
	d.au.Payload = nil
}

// times finds the times of a picture in ticks. DTS without PTS does not exist, PTS alone is both, and
// without any the picture follows the one before at the last distance.
func (d *Demuxer) times(s *stream, h pesHeader) (dts, pts int64, ok bool) {
	switch {
	case h.hasDTS:
		dts = d.clock.unwrap(h.dts)
		pts = dts + max(delta33(h.pts-h.dts), 0)
	case h.hasPTS:
		dts = d.clock.unwrap(h.pts)
		pts = dts
	case s.track.step > 0:
		dts = s.track.last + s.track.step
		pts = dts
		d.stats.Untimed++
	default:
		return 0, 0, false
	}
	return dts, pts, true
}

var startCode = []byte{0, 0, 1}

// splitAnnexB appends the NAL units of a byte stream (ISO 14496-10 annex B) to dst, as views into b, and
// returns how long they are together with a length of 4 bytes before each; false: more than maxNALs.
//
// Zeros before a start code belong to it or to trailing_zero_8bits: a NAL unit never ends in a zero byte.
func splitAnnexB(dst [][]byte, b []byte) (nals [][]byte, size int, ok bool) {
	i := bytes.Index(b, startCode)
	if i < 0 {
		return dst, 0, true
	}
	for b = b[i+3:]; ; {
		next := bytes.Index(b, startCode)
		end := next
		if next < 0 {
			end = len(b)
		}
		for end > 0 && b[end-1] == 0 {
			end--
		}
		if end > 0 {
			if len(dst) == maxNALs {
				return dst, 0, false
			}
			dst = append(dst, b[:end:end])
			size += 4 + end
		}
		if next < 0 {
			return dst, size, true
		}
		b = b[next+3:]
	}
}
