package mpegts

import (
	"encoding/binary"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// appendField appends an adaptation field with its length: flags and, if pcr is not nil, the clock in ticks.
// It has no stuffing.
func appendField(b []byte, pcr *int64, discontinuity, random bool) []byte {
	var flags byte
	if discontinuity {
		flags |= 0x80
	}
	if random {
		flags |= 0x40 // random_access_indicator
	}
	if pcr == nil {
		return append(b, 1, flags)
	}
	// program_clock_reference_base 33 bits, reserved 6, extension 9 (0: our clock has no 27 MHz part)
	t := uint64(*pcr) & (wrap33 - 1)
	b = append(b, 7, flags|0x10)
	b = binary.BigEndian.AppendUint32(b, uint32(t>>1))
	return append(b, byte(t<<7)|0x7e, 0)
}

// appendPacket appends one transport packet. field: an adaptation field, or empty; it is lengthened by stuffing to fill
// the packet. field and payload together fit.
func appendPacket(dst []byte, pid uint16, cc uint8, start bool, field, payload []byte) []byte {
	head := [4]byte{syncByte, byte(pid >> 8), byte(pid), cc}
	if start {
		head[1] |= 0x40
	}
	if len(payload) > 0 {
		head[3] |= 0x10
	}
	stuffing := PacketSize - 4 - len(field) - len(payload)
	if len(field) > 0 || stuffing > 0 {
		head[3] |= 0x20
	}
	dst = append(dst, head[:]...)
	switch {
	case len(field) > 0:
		at := len(dst)
		dst = append(dst, field...)
		dst[at] += byte(stuffing)
	case stuffing == 1:
		dst = append(dst, 0)
		stuffing = 0
	case stuffing > 1:
		dst = append(dst, byte(stuffing-1), 0)
		stuffing -= 2
	}
	for range stuffing {
		dst = append(dst, 0xff)
	}
	return append(dst, payload...)
}

// appendPackets cuts the PES packet into transport packets, the first with the given adaptation field.
func (m *Muxer) appendPackets(dst []byte, t *muxTrack, field []byte) []byte {
	b := m.pes
	for start := true; len(b) > 0; start = false {
		n := min(len(b), PacketSize-4-len(field))
		dst = appendPacket(dst, t.PID, t.cc, start, field, b[:n])
		t.cc = (t.cc + 1) & 15
		b, field = b[n:], nil
	}
	return dst
}

// appendTables appends PAT and PMT.
func (m *Muxer) appendTables(dst []byte) []byte {
	for _, table := range [...]struct {
		b  []byte
		cc *uint8
	}{{m.pat, &m.patCC}, {m.pmt, &m.pmtCC}} {
		at := len(dst)
		dst = append(dst, table.b...)
		for ; at < len(dst); at += PacketSize {
			dst[at+3] |= *table.cc
			*table.cc = (*table.cc + 1) & 15
		}
	}
	return dst
}

// makeTables makes PAT and PMT once for all.
func (m *Muxer) makeTables() {
	m.pat = tablePackets(0, 0x00, []byte{0, 1, 0xe0 | pmtPID>>8, pmtPID & 0xff}) // program 1
	clock := m.tracks[m.clock].PID
	body := []byte{0xe0 | byte(clock>>8), byte(clock), 0xf0, 0}
	for _, t := range m.tracks {
		var typ byte
		var info []byte
		switch t.Codec {
		case media.H264:
			typ = typeH264
		case media.H265:
			typ = typeH265
			info = []byte{5, 4, 'H', 'E', 'V', 'C'}
		case media.AAC:
			typ = typeADTS
		case media.MP3:
			typ = typeMPEG1Audio
			if t.Config != nil && t.Config.SampleRate > 0 && t.Config.SampleRate < 32000 {
				typ = typeMPEG2Audio
			}
		case media.Opus:
			typ = typePrivate
			channels := byte(2)
			if t.Config != nil && t.Config.Channels >= 1 && t.Config.Channels <= 8 {
				channels = byte(t.Config.Channels)
			}
			info = []byte{5, 4, 'O', 'p', 'u', 's', 0x7f, 2, 0x80, channels}
		}
		body = append(body, typ, 0xe0|byte(t.PID>>8), byte(t.PID), 0xf0, byte(len(info)))
		body = append(body, info...)
	}
	m.pmt = tablePackets(pmtPID, 0x02, body)
}

// tablePackets makes the one packet of a table of version 0, table_id_extension 1. With maxStreams tracks it fits.
func tablePackets(pid uint16, id byte, body []byte) []byte {
	n := len(body) + 9
	s := append([]byte{id, 0xb0 | byte(n>>8), byte(n), 0, 1, 0xc1, 0, 0}, body...)
	s = binary.BigEndian.AppendUint32(s, crc32(s))
	s = append([]byte{0}, s...) // pointer_field
	for len(s) < PacketSize-4 {
		s = append(s, 0xff)
	}
	return appendPacket(nil, pid, 0, true, nil, s)
}
