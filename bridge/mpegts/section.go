package mpegts

import "bytes"

const (
	maxSection  = 1024 // §2.4.4.3: PAT and PMT have at most 1021 bytes behind section_length
	maxSections = 4    // of one table, ours: a PMT has one by the standard
)

// section joins the sections of one PID and remembers those in force.
type section struct {
	buf   []byte // at most maxSection and one payload
	open  bool
	cc    uint8
	ccOK  bool
	inUse [maxSections][]byte // the last accepted of each section_number, whole
}

// reset forgets all, for a table that moves to another PID.
func (s *section) reset() { *s = section{buf: s.buf[:0]} }

// sections takes a packet of the PAT or the PMT.
func (d *Demuxer) sections(s *section, p *packet) DropReason {
	b := p.payload
	if len(b) == 0 {
		return dropNone
	}
	if s.ccOK && p.cc != (s.cc+1)&15 && !p.discontinuity {
		if p.cc == s.cc {
			return DropDuplicate
		}
		d.stats.Discontinuities++
		if s.open {
			s.open = false
			d.stats.Drops[DropBadSection]++
		}
	}
	s.cc, s.ccOK = p.cc, true
	if p.start {
		pointer := int(b[0])
		b = b[1:]
		if pointer > len(b) {
			s.open = false
			return DropBadHeader
		}
		if s.open {
			s.buf = append(s.buf, b[:pointer]...)
			d.takeSections(s)
		}
		b = b[pointer:]
		s.buf, s.open = s.buf[:0], true
	} else if !s.open {
		return DropNoStart
	}
	s.buf = append(s.buf, b...)
	d.takeSections(s)
	return dropNone
}

// takeSections handles the whole sections in the buffer. Afterwards it holds less than one.
func (d *Demuxer) takeSections(s *section) {
	b := s.buf
	for len(b) >= 3 && s.open {
		if b[0] == 0xff { // "stuffing bytes of value 0xFF", §2.4.4
			s.open = false
			break
		}
		n := 3 + (int(b[1]&0x0f)<<8 | int(b[2]))
		if n > maxSection {
			s.open = false
			d.stats.Drops[DropBadSection]++
			break
		}
		if len(b) < n {
			break
		}
		d.table(s, b[:n])
		b = b[n:]
		s.open = len(b) > 0
	}
	s.buf = s.buf[:copy(s.buf, b)]
}

// table handles one whole section (borrows it): the syntax common to PAT and PMT, then its contents.
func (d *Demuxer) table(s *section, b []byte) {
	want := byte(0x00) // program_association_section
	if s == &d.pmt {
		want = 0x02 // TS_program_map_section
	}
	if b[0] != want {
		return // other tables may share the PID
	}
	for _, in := range s.inUse {
		if bytes.Equal(in, b) {
			return // the common case: repeated as it was
		}
	}
	// table_id to last_section_number are 8 bytes, the CRC 4; the syntax indicator is 1.
	if len(b) < 12 || b[1]&0x80 == 0 || crc32(b) != 0 {
		d.stats.Drops[DropBadSection]++
		return
	}
	if b[5]&1 == 0 { // current_next_indicator: not yet applicable
		return
	}
	number, last := int(b[6]), int(b[7])
	if number > last || last >= maxSections && want == 0x02 {
		d.stats.Drops[DropBadSection]++
		return
	}
	if want == 0x00 {
		if number < maxSections {
			s.inUse[number] = append(s.inUse[number][:0], b...)
		}
		d.setPAT(b[8:len(b)-4], number)
		return
	}
	if b[3] != byte(d.program.number>>8) || b[4] != byte(d.program.number) {
		return // the map of another program on the same PID
	}
	s.inUse[number] = append(s.inUse[number][:0], b...)
	for i := range s.inUse {
		switch in := s.inUse[i]; {
		case i > last:
			s.inUse[i] = nil
		case len(in) == 0 || in[5] != b[5] || in[7] != b[7]: // another version: wait for its new one
			return
		}
	}
	d.setPMT(s.inUse[:last+1])
}

// crcTable of the CRC of annex A: x^32+x^26+x^23+x^22+x^16+x^12+x^11+x^10+x^8+x^7+x^5+x^4+x^2+x+1, high bit first.
var crcTable = func() (t [256]uint32) {
	for i := range t {
		c := uint32(i) << 24
		for range 8 {
			if c&0x80000000 != 0 {
				c = c<<1 ^ 0x04c11db7
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return t
}()

// crc32 of a section together with its own CRC is 0.
func crc32(b []byte) uint32 {
	c := ^uint32(0)
	for _, v := range b {
		c = c<<8 ^ crcTable[byte(c>>24)^v]
	}
	return c
}
