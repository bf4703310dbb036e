package mpegts

// packet is one transport packet taken apart; payload is a view into it.
type packet struct {
	payload       []byte // nil: none
	pid           uint16
	cc            uint8
	start         bool // payload_unit_start_indicator
	stuffed       bool // the adaptation field is longer than its fields need
	discontinuity bool // discontinuity_indicator
}

// parse reads one packet of PacketSize bytes, which begins with the sync byte, and says why it is of no use.
// The PID is set in any case.
func (p *packet) parse(b []byte) DropReason {
	_ = b[PacketSize-1]
	p.pid = uint16(b[1]&0x1f)<<8 | uint16(b[2])
	p.cc = b[3] & 0x0f
	p.start = b[1]&0x40 != 0
	p.stuffed, p.discontinuity, p.payload = false, false, nil
	if b[1]&0x80 != 0 {
		return DropTransportError
	}
	if p.pid == pidNull {
		return DropNull
	}
	at := 4
	control := b[3] >> 4 & 3
	if control&2 != 0 {
		n := int(b[4])
		at = 5 + n
		// "In the case of '11' the value shall be in the range 0 to 182, of '10' it shall be 183."
		if at > PacketSize || control == 3 && at >= PacketSize {
			return DropBadHeader
		}
		p.adaptation(b[5:at])
	}
	if b[3]&0xc0 != 0 { // "'00': not scrambled", the other values are
		return DropScrambled
	}
	switch control {
	case 0:
		return DropBadHeader // reserved
	case 1, 3:
		p.payload = b[at:PacketSize:PacketSize]
	}
	return dropNone
}

// adaptation reads an adaptation field behind its length (§2.4.3.4).
//
// A field with flags but without bytes to spare is not stuffed: muxers put the PCR and the random
// access flag into the midst of pictures. An empty field is one byte of stuffing, its own length.
func (p *packet) adaptation(b []byte) {
	if len(b) == 0 {
		p.stuffed = true
		return
	}
	flags := b[0]
	p.discontinuity = flags&0x80 != 0
	n := 1
	if flags&0x10 != 0 { // PCR
		n += 6
	}
	if flags&0x08 != 0 { // OPCR
		n += 6
	}
	if flags&0x04 != 0 { // splice_countdown
		n++
	}
	if flags&0x02 != 0 { // transport_private_data
		if n >= len(b) {
			return
		}
		n += 1 + int(b[n])
	}
	if flags&0x01 != 0 { // extension
		if n >= len(b) {
			return
		}
		n += 1 + int(b[n])
	}
	// Two bytes, the length and empty flags, are there for nothing else than to fill.
	p.stuffed = n < len(b) || n == len(b) && flags == 0
}
