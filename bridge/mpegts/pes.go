package mpegts

import (
	"bytes"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// stream puts the PES packets of one PID together.
type stream struct {
	entry
	index uint8
	track *track
	limit int // of buf

	cc   uint8
	ccOK bool

	buf  []byte // the PES packet in progress with its header, or the last one
	open bool   // buf is in progress
	want int    // its whole length; 0: header not here yet; below 0: unknown until it ends
	lost bool   // something was lost before the next frame

	// Early end, video only.
	sent     ending // how buf was delivered before the next start was seen; 0: it was not
	stuffing bool   // buf had stuffing in its last packet so far
	proven   int    // pictures in a row with stuffing at their end and nowhere else
	off      bool   // stuffing is no end in this stream
	noLength bool   // the length in the header is no end either

	// Audio only.
	rest    []byte // a frame whose end is in the next PES packet
	base    int64  // ticks: time of the frame from which samples counts
	samples int64  // from base to the next frame
	rate    int64  // of samples
	timed   bool   // base is known

	// LATM only.
	latm0    *mpeg4audio.StreamMuxConfig // in force for elements that say "the same"
	latmASC  []byte
	latmKey  uint64
	latmRate int
}

// trustAfter is how many pictures must have ended in stuffing until a picture that did is taken as whole though what
// follows is lost. Ours: fewer than for delivering early, because the alternative is to drop it.
const trustAfter = 3

// ending says what told us that a PES packet is whole.
type ending uint8

const (
	endNext     ending = iota + 1 // the next one starts, and no packet is missing in between
	endLength                     // its header says so
	endStuffing                   // see Config.EarlyAfter
	endStream                     // nothing more comes
)

// pes takes a packet of an elementary stream.
func (d *Demuxer) pes(s *stream, p *packet) DropReason {
	b := p.payload
	if len(b) == 0 {
		return dropNone // a clock only: continuity_counter does not count it
	}
	if s.ccOK && p.cc != (s.cc+1)&15 {
		// "Duplicate packets: each byte shall be the same but for the PCR" (§2.4.3.3).
		if p.cc == s.cc && bytes.HasSuffix(s.buf, b) && !p.discontinuity {
			return DropDuplicate
		}
		if p.discontinuity && p.start { // a splice between two pictures, told beforehand
			s.lost = true
		} else {
			d.stats.Discontinuities++
			d.damage(s, DropDamaged)
		}
	}
	s.cc, s.ccOK = p.cc, true

	if p.start {
		d.end(s, endNext)
		s.buf = s.buf[:0]
		s.sent, s.stuffing, s.want = 0, false, 0
		if s.open = bytes.HasPrefix(b, []byte{0, 0, 1}) || len(b) < 3 && bytes.HasPrefix([]byte{0, 0, 1}, b); !s.open {
			d.drop(DropBadPES)
			s.lost = true
			return dropNone
		}
	} else if !s.open {
		if s.sent == 0 {
			return DropNoStart
		}
		d.reopen(s)
	} else if s.stuffing { // in the midst: it means nothing here
		d.noEarly(s)
	}
	if len(s.buf)+len(b) > s.limit {
		d.damage(s, DropOversize)
		s.buf = nil
		return dropNone
	}
	s.buf = append(s.buf, b...)
	s.stuffing = p.stuffed

	if s.want == 0 && len(s.buf) >= 6 {
		// "A value of 0 indicates that the length is neither specified nor bounded and is allowed only
		// in PES packets whose payload consists of bytes from a video elementary stream."
		if s.want = int(s.buf[4])<<8 | int(s.buf[5]); s.want == 0 || s.noLength {
			s.want = -1
		} else {
			s.want += 6
		}
	}
	switch {
	case s.want > 0 && len(s.buf) >= s.want:
		d.finish(s, endLength)
	case s.want < 0 && p.stuffed && s.codec.IsVideo() && !s.off && d.cfg.EarlyAfter > 0 && s.proven >= d.cfg.EarlyAfter:
		d.finish(s, endStuffing)
	}
	return dropNone
}

// end ends the PES packet in progress, if any, because another one starts or nothing more comes. Where pictures end in stuffing, one that does not
// when nothing more comes was cut off: a decoder shows garbage for it, or gives up.
func (d *Demuxer) end(s *stream, how ending) {
	switch {
	case !s.open:
	case how == endStream && s.want < 0 && !s.stuffing && d.trusted(s):
		d.damage(s, DropDamaged)
	default:
		d.finish(s, how)
	}
}

// trusted reports whether pictures of a stream end in stuffing.
func (d *Demuxer) trusted(s *stream) bool {
	return s.codec.IsVideo() && !s.off && d.cfg.EarlyAfter > 0 && s.proven >= min(d.cfg.EarlyAfter, trustAfter)
}

// reopen takes back an end that was none: the picture is delivered again when it is whole.
func (d *Demuxer) reopen(s *stream) {
	d.stats.Glued++
	if s.sent == endLength {
		s.noLength = true
		s.want = -1
	} else {
		d.noEarly(s)
	}
	s.open, s.sent = true, 0
}

func (d *Demuxer) noEarly(s *stream) {
	if !s.off && s.codec.IsVideo() {
		s.off = true
		d.stats.EarlyOff++
	}
}

// damage gives up the PES packet in progress, if any, and remembers that something is missing.
func (d *Demuxer) damage(s *stream, r DropReason) {
	if s.open && r == DropDamaged && s.want < 0 && s.stuffing && d.trusted(s) {
		d.finish(s, endNext) // what is missing came after its end
	}
	if s.open {
		if s.codec.IsAudio() && r == DropDamaged {
			if h, ok := parsePES(s.buf); ok {
				d.audio(s, h, false)
			}
		}
		d.drop(r)
	}
	s.open, s.sent, s.lost, s.timed = false, 0, true, false
	s.buf, s.rest = s.buf[:0], s.rest[:0]
}

// finish makes frames of the PES packet in progress.
func (d *Demuxer) finish(s *stream, how ending) {
	s.open = false
	whole := true
	b := s.buf
	switch {
	case s.want > 0 && len(b) >= s.want:
		b = b[:s.want]
	case s.want > 0 && how == endNext:
		d.stats.ShortPES++ // nothing is missing, so it is the length that is wrong
	case s.want >= 0:
		whole = false
	}
	if s.codec.IsVideo() {
		switch how {
		case endStuffing:
			d.stats.Early++
		case endLength:
			d.stats.ByLength++
		default:
			d.stats.ByNext++
			if s.stuffing && s.want < 0 {
				s.proven++
			}
		}
		if how == endStuffing || how == endLength {
			s.sent = how
		}
	}
	h, ok := parsePES(b)
	switch {
	case !ok:
		d.drop(DropBadPES)
		s.lost = true
	case h.scrambled:
		d.drop(DropEncrypted)
		s.lost = true
	case s.codec.IsAudio():
		d.audio(s, h, whole)
		if !whole {
			d.drop(DropTruncated)
			s.lost = true
		}
	case !whole:
		d.drop(DropTruncated)
		s.lost = true
	default:
		d.video(s, h)
	}
}

// pesHeader is what a PES packet says of its data.
type pesHeader struct {
	packet         []byte // all of it
	data           int    // where its data begin, at least 9
	pts, dts       int64  // 33 bits
	hasPTS, hasDTS bool
	scrambled      bool
}

// parsePES reads a PES packet (§2.4.3.6), lent.
func parsePES(b []byte) (h pesHeader, ok bool) {
	if len(b) < 9 || b[0] != 0 || b[1] != 0 || b[2] != 1 || b[6]&0xc0 != 0x80 {
		return h, false
	}
	n := 9 + int(b[8])
	if n > len(b) {
		return h, false
	}
	h.scrambled = b[6]&0x30 != 0
	h.packet, h.data = b, n
	switch head := b[9:n]; b[7] >> 6 { // PTS_DTS_flags
	case 2:
		if len(head) >= 5 {
			h.pts, h.hasPTS = timestamp(head)
		}
	case 3:
		if len(head) >= 10 {
			h.pts, h.hasPTS = timestamp(head)
			h.dts, h.hasDTS = timestamp(head[5:])
			h.hasDTS = h.hasDTS && h.hasPTS
		}
	}
	return h, true
}

// timestamp reads 33 bits cut into 3, 15 and 15, each with a marker bit behind.
func timestamp(b []byte) (int64, bool) {
	t := int64(b[0]>>1&7)<<30 | int64(b[1])<<22 | int64(b[2]>>1)<<15 | int64(b[3])<<7 | int64(b[4]>>1)
	return t, b[0]&1 == 1 && b[2]&1 == 1 && b[4]&1 == 1
}

// place gives the next frame of a track its time in ticks, and reports whether it breaks the timeline:
// over 10 s on or 1 s back (ours; what to do about it is the hub's).
func (d *Demuxer) place(t *track, dts int64) (jump bool) {
	if t.frames > 0 {
		step := dts - t.last
		if jump = step > 10*90000 || step < -90000; jump {
			d.stats.TimeJumps++
		} else if step > 0 {
			t.step = step
		}
	}
	t.last = dts
	t.frames++
	return jump
}

// flags returns what the next frame of s carries besides what it is, and forgets it.
func (s *stream) flags(jump bool) media.Flags {
	lost := s.lost
	s.lost = false
	if lost || jump {
		return media.Discontinuity
	}
	return 0
}
