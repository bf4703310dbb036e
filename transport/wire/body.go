package wire

import "encoding/binary"

// Type is the first byte of a packet's body.
type Type uint8

// Types of bodies.
const (
	TypeSource  Type = 1
	TypeResend  Type = 2
	TypeRepair  Type = 3
	TypeProbe   Type = 4
	TypeAbandon Type = 5
)

// Sizes of bodies, the type byte included.
const (
	SourceHeaderSize = 7
	FrameHeaderSize  = 16
	RepairHeaderSize = 11
	ProbeSize        = 5
	AbandonSize      = 8
)

// Flags of a source packet, see the package comment.
type Flags uint8

// Source flags.
const (
	Start         Flags = 0x80
	End           Flags = 0x40
	Key           Flags = 0x20
	Droppable     Flags = 0x10
	Config        Flags = 0x08
	Discontinuity Flags = 0x04
)

// Has reports whether all flags of g are set.
func (f Flags) Has(g Flags) bool { return f&g == g }

// FrameHeader describes a frame, in its first packet. Times are in µs.
type FrameHeader struct {
	Codec   uint8
	Number  uint16 // of the frame in its session, low 16 bits
	Capture uint32 // sender's clock, low 32 bits
	DTS     int64  // -2^47..2^47-1
	CTS     int32  // PTS - DTS, -2^23..2^23-1
}

// Source is a piece of a frame.
type Source struct {
	Sequence uint32
	Flags    Flags
	Track    uint8
	Frame    FrameHeader // when Flags has Start
	Data     []byte
}

// AppendSource appends the symbol of a source packet: its body without the type byte, which is what
// the first sending, a resend and a repair have in common.
func AppendSource(dst []byte, s *Source) []byte {
	dst = binary.BigEndian.AppendUint32(dst, s.Sequence)
	dst = append(dst, byte(s.Flags), s.Track)
	if s.Flags.Has(Start) {
		f := &s.Frame
		dst = append(dst, f.Codec)
		dst = binary.BigEndian.AppendUint16(dst, f.Number)
		dst = binary.BigEndian.AppendUint32(dst, f.Capture)
		dst = binary.BigEndian.AppendUint16(dst, uint16(f.DTS>>32))
		dst = binary.BigEndian.AppendUint32(dst, uint32(f.DTS))
		dst = append(dst, byte(f.CTS>>16), byte(f.CTS>>8), byte(f.CTS))
	}
	return append(dst, s.Data...)
}

// ParseSource parses what AppendSource wrote. Data is a view into b. Unknown flag bits are ignored.
func ParseSource(b []byte) (s Source, err error) {
	if len(b) < SourceHeaderSize-1 {
		return s, ErrMalformed
	}
	s.Sequence = binary.BigEndian.Uint32(b)
	s.Flags, s.Track = Flags(b[4])&0xfc, b[5]
	b = b[6:]
	if s.Flags.Has(Start) {
		if len(b) < FrameHeaderSize {
			return s, ErrMalformed
		}
		s.Frame = FrameHeader{
			Codec:   b[0],
			Number:  binary.BigEndian.Uint16(b[1:]),
			Capture: binary.BigEndian.Uint32(b[3:]),
			DTS:     int64(int16(binary.BigEndian.Uint16(b[7:])))<<32 | int64(binary.BigEndian.Uint32(b[9:])),
			CTS:     int32(int8(b[13]))<<16 | int32(b[14])<<8 | int32(b[15]),
		}
		b = b[FrameHeaderSize:]
	}
	s.Data = b
	return s, nil
}

// RepairFlags say what a repair symbol is for.
type RepairFlags uint8

// Repair flags.
const (
	RepairKey     RepairFlags = 0x80
	RepairAudio   RepairFlags = 0x40
	RepairSliding RepairFlags = 0x20
	RepairLast    RepairFlags = 0x10
)

// Repair is one repair symbol over the media packets Base..Base+Count-1.
type Repair struct {
	Base     uint32
	Count    int // 1..128
	Row      int // 0..127
	Round    uint8
	Flags    RepairFlags
	Deadline uint16 // milliseconds left when it was sent
	Symbol   []byte
}

// AppendRepairHeader appends all of a repair's body up to its symbol.
func AppendRepairHeader(dst []byte, r *Repair) []byte {
	dst = append(dst, byte(TypeRepair))
	dst = binary.BigEndian.AppendUint32(dst, r.Base)
	dst = append(dst, byte(r.Count-1)&0x7f, byte(r.Row)&0x7f, r.Round, byte(r.Flags))
	return binary.BigEndian.AppendUint16(dst, r.Deadline)
}

// ParseRepair parses the body of a repair after its type byte. Symbol is a view into b.
func ParseRepair(b []byte) (r Repair, err error) {
	if len(b) < RepairHeaderSize-1+1 || b[4]&0x80 != 0 || b[5]&0x80 != 0 {
		return r, ErrMalformed
	}
	return Repair{
		Base:     binary.BigEndian.Uint32(b),
		Count:    int(b[4]) + 1,
		Row:      int(b[5]),
		Round:    b[6],
		Flags:    RepairFlags(b[7]) & 0xf0,
		Deadline: binary.BigEndian.Uint16(b[8:]),
		Symbol:   b[10:],
	}, nil
}

// AppendProbe appends a probe; next is the media sequence number after the newest one sent.
func AppendProbe(dst []byte, next uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, byte(TypeProbe)), next)
}

// ParseProbe parses the body of a probe after its type byte.
func ParseProbe(b []byte) (next uint32, err error) {
	if len(b) < ProbeSize-1 {
		return 0, ErrMalformed
	}
	return binary.BigEndian.Uint32(b), nil
}

// AbandonReason says why a sender gave packets up.
type AbandonReason uint8

// Reasons to give up.
const (
	AbandonDeadline AbandonReason = 0 // no time left to send them again
	AbandonCapacity AbandonReason = 1 // the path carries less than the encoder makes
)

// Abandon is a run of media packets the receiver need not wait for.
type Abandon struct {
	Base   uint32
	Count  uint16
	Reason AbandonReason
}

// AppendAbandon appends the body.
func AppendAbandon(dst []byte, a Abandon) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, byte(TypeAbandon)), a.Base)
	return append(binary.BigEndian.AppendUint16(dst, a.Count), byte(a.Reason))
}

// ParseAbandon parses the body after its type byte.
func ParseAbandon(b []byte) (a Abandon, err error) {
	if len(b) < AbandonSize-1 {
		return a, ErrMalformed
	}
	return Abandon{binary.BigEndian.Uint32(b), binary.BigEndian.Uint16(b[4:]), AbandonReason(b[6])}, nil
}
