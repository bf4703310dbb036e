package mpegts

import "encoding/binary"

// build makes transport packets by hand, so that tests can make any mistake.
type build struct {
	b  []byte
	cc map[uint16]uint8
}

func newBuild() *build { return &build{cc: map[uint16]uint8{}} }

// packet appends one packet. af: adaptation field without its length, nil for none; it is padded with stuffing where
// the payload is too short to fill the packet.
func (w *build) packet(pid uint16, start bool, af, payload []byte) {
	head := []byte{syncByte, byte(pid >> 8), byte(pid), 0x10 | w.cc[pid]}
	if start {
		head[1] |= 0x40
	}
	if len(payload) > 0 {
		w.cc[pid] = (w.cc[pid] + 1) & 15
	} else {
		head[3] &^= 0x10
		head[3] = head[3]&0xf0 | (w.cc[pid]-1)&15
	}
	room := PacketSize - 4 - len(payload)
	if af != nil || room > 0 {
		head[3] |= 0x20
		head = append(head, byte(room-1))
		if room--; room > 0 && af == nil {
			af = []byte{0}
		}
		head = append(head, af...)
		for range room - len(af) {
			head = append(head, 0xff)
		}
	}
	w.b = append(append(w.b, head...), payload...)
}

// section appends a section in as many packets as it takes; body is what follows section_length, without the CRC.
func (w *build) section(pid uint16, table byte, body []byte) {
	n := len(body) + 4
	s := append([]byte{table, 0xb0 | byte(n>>8), byte(n)}, body...)
	s = binary.BigEndian.AppendUint32(s, crc32(s))
	s = append([]byte{0}, s...) // pointer_field
	for start := true; len(s) > 0; start = false {
		k := min(len(s), PacketSize-4)
		p := append([]byte(nil), s[:k]...)
		for len(p) < PacketSize-4 {
			p = append(p, 0xff)
		}
		w.packet(pid, start, nil, p)
		s = s[k:]
	}
}

func (w *build) pat(version byte, pmt uint16) {
	w.section(0, 0, []byte{0, 1, 0xc1 | version<<1, 0, 0, 0, 1, 0xe0 | byte(pmt>>8), byte(pmt)})
}

// es is one entry of a PMT.
type es struct {
	typ  byte
	pid  uint16
	desc []byte
}

func (w *build) pmt(pid uint16, version byte, list ...es) {
	b := []byte{0, 1, 0xc1 | version<<1, 0, 0, 0xe1, 0, 0xf0, 0}
	for _, e := range list {
		b = append(b, e.typ, 0xe0|byte(e.pid>>8), byte(e.pid), 0xf0|byte(len(e.desc)>>8), byte(len(e.desc)))
		b = append(b, e.desc...)
	}
	w.section(pid, 2, b)
}

// pesBytes makes a PES packet; pts or dts below 0: absent; length: as it stands in the header, below 0 the true one.
func pesBytes(id byte, pts, dts int64, length int, data []byte) []byte {
	var head []byte
	flags := byte(0)
	stamp := func(mark byte, t int64) {
		head = append(head, mark<<4|byte(t>>29)&0xe|1, byte(t>>22), byte(t>>14)|1, byte(t>>7), byte(t<<1)|1)
	}
	switch {
	case pts >= 0 && dts >= 0:
		flags = 0xc0
		stamp(3, pts)
		stamp(1, dts)
	case pts >= 0:
		flags = 0x80
		stamp(2, pts)
	}
	if length < 0 {
		length = 3 + len(head) + len(data)
	}
	b := append([]byte{0, 0, 1, id, byte(length >> 8), byte(length), 0x80, flags, byte(len(head))}, head...)
	return append(b, data...)
}

// pes appends a PES packet, the last packet stuffed as it comes.
func (w *build) pes(pid uint16, b []byte) {
	for start := true; len(b) > 0; start = false {
		k := min(len(b), PacketSize-4)
		w.packet(pid, start, nil, b[:k])
		b = b[k:]
	}
}

// annexB joins NAL units.
func annexB(nals ...[]byte) (b []byte) {
	for _, n := range nals {
		b = append(append(b, 0, 0, 0, 1), n...)
	}
	return b
}

// Parameter sets of a 320x180 stream of x264.
var (
	testSPS = []byte{0x67, 0x42, 0xc0, 0x0c, 0xd9, 0x01, 0x41, 0x8c, 0xfb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x42, 0xa4, 0x80}
	testPPS = []byte{0x68, 0xcb, 0x83, 0xcb, 0x20}
)

// slice makes a NAL unit of n bytes that looks like a slice and has no start code inside.
func slice(head byte, n int) []byte {
	b := []byte{head}
	for i := range n - 1 {
		b = append(b, byte(i*7)|0x10)
	}
	return b
}

// adts makes an ADTS frame of AAC LC, 48 kHz, stereo.
func adts(payload []byte) []byte {
	n := len(payload) + 7
	return append([]byte{0xff, 0xf1, 0x4c, 0x80 | byte(n>>11), byte(n >> 3), byte(n<<5) | 0x1f, 0xfc}, payload...)
}

const (
	pidPMT   = 0x1000
	pidVideo = 0x100
	pidAudio = 0x101
)

// small makes a short stream: n pictures of H264 and as many AAC frames.
func small(n int) []byte {
	w := newBuild()
	w.pat(0, pidPMT)
	w.pmt(pidPMT, 0, es{typ: typeH264, pid: pidVideo}, es{typ: typeADTS, pid: pidAudio})
	for i := range n {
		t := int64(90000 + 3000*i)
		au := annexB(slice(0x41, 700))
		if i%5 == 0 {
			au = annexB([]byte{9, 0xf0}, testSPS, testPPS, slice(0x65, 900))
		}
		w.pes(pidVideo, pesBytes(0xe0, t+3000, t, 0, au))
		w.pes(pidAudio, pesBytes(0xc0, t, -1, -1, adts(slice(0x21, 100))))
	}
	return w.b
}

// seeds are the streams that fuzzing starts from.
func seeds() [][]byte {
	clean := small(6)
	torn := append(append([]byte(nil), clean[:1000]...), clean[1100:]...)
	lost := append(append([]byte(nil), clean[:5*PacketSize]...), clean[6*PacketSize:]...)
	all := newBuild()
	all.pat(0, pidPMT)
	all.pmt(pidPMT, 0, es{typ: typeH265, pid: pidVideo}, es{typ: typeLATM, pid: pidAudio}, es{typ: typeMPEG1Audio, pid: 0x102},
		es{typ: typePrivate, pid: 0x103, desc: []byte{5, 4, 'O', 'p', 'u', 's', 0x7f, 2, 0x80, 2}}, es{typ: 0x81, pid: 0x104})
	all.pes(pidVideo, pesBytes(0xe0, 9000, 3000, 0, annexB(testVPS265, testSPS265, testPPS265, slice(0x26, 300))))
	all.pes(pidAudio, pesBytes(0xc0, 9000, -1, -1, append([]byte{0x56, 0xe0, 20}, slice(0x20, 20)...)))
	all.pes(0x102, pesBytes(0xc0, 9000, -1, -1, append([]byte{0xff, 0xfb, 0x14, 0xc4}, slice(0x21, 92)...)))
	all.pes(0x103, pesBytes(0xbd, 9000, -1, -1, append([]byte{0x7f, 0xe0, 10, 0xfc}, slice(0x21, 9)...)))
	return [][]byte{clean, torn, lost, all.b, {}, make([]byte, 600)}
}

// Parameter sets of a 320x180 stream of x265.
var (
	testVPS265 = []byte{0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x95, 0x94, 0x09}
	testSPS265 = []byte{0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3c, 0xa0, 0x0a, 0x08, 0x0c, 0x1f, 0x3e, 0x59, 0x59, 0x52, 0x93, 0x0b, 0xc0, 0x5a, 0x02, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x10}
	testPPS265 = []byte{0x44, 0x01, 0xc0, 0x73, 0xc1, 0x89}
)
