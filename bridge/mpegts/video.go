package mpegts

import (
	"bytes"
	"encoding/binary"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// video makes one frame of a PES packet.
func (d *Demuxer) video(s *stream, h pesHeader) {
	nals, ok := splitAnnexB(d.nals[:0], h.packet, h.data)
	d.nals = nals
	if !ok {
		d.drop(DropOversize)
		s.lost = true
		return
	}
	d.au.Reset()
	nals = nals[:0]
	for _, n := range d.nals {
		if d.au.Add(s.codec, h.packet[n.from:n.to]) {
			nals = append(nals, n)
		}
	}
	d.au.End()
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
	f := d.cfg.Memory.Frame(d.join(h.packet, nals))
	f.Track, f.Codec, f.Config, f.Arrival = s.index, s.codec, s.track.config, d.now
	f.Flags = d.au.Flags | s.flags(d.place(s.track, dts))
	f.DTS, f.PTS = media.FromTicks(dts), media.FromTicks(pts)
	d.emit(f)
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

// span is where a NAL unit lies in a PES packet.
type span struct{ from, to int }

// join makes the payload, which leaves with the frame and so is made to measure, of NAL units of b; each has its
// start code before it.
func (d *Demuxer) join(b []byte, nals []span) []byte {
	if len(nals) == 1 && d.cfg.Memory == nil {
		// The common case. Copying the start code and more with it, to be overwritten by the length, spares
		// clearing the memory first. Before the start code there is at least the PES header.
		n := nals[0]
		out := append([]byte(nil), b[n.from-4:n.to]...)
		binary.BigEndian.PutUint32(out, uint32(n.to-n.from))
		return out
	}
	size := 0
	for _, n := range nals {
		size += 4 + n.to - n.from
	}
	out := d.cfg.Memory.Buffer(size)
	for _, n := range nals {
		out = media.AppendNAL(out, b[n.from:n.to])
	}
	return out
}

var startCode = []byte{0, 0, 1}

// splitAnnexB appends to dst where the NAL units of the byte stream (ISO 14496-10 annex B) that begins at b[from] lie;
// false: there are more than maxNALs.
//
// Zeros before a start code belong to it or to trailing_zero_8bits: a NAL unit never ends in a zero byte.
func splitAnnexB(dst []span, b []byte, from int) (nals []span, ok bool) {
	i := bytes.Index(b[from:], startCode)
	if i < 0 {
		return dst, true
	}
	for from += i + 3; ; {
		next := bytes.Index(b[from:], startCode)
		end := len(b)
		if next >= 0 {
			end = from + next
		}
		to := end
		for to > from && b[to-1] == 0 {
			to--
		}
		if to > from {
			if len(dst) == maxNALs {
				return dst, false
			}
			dst = append(dst, span{from, to})
		}
		if next < 0 {
			return dst, true
		}
		from = end + 3
	}
}
