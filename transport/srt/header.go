package srt

import "encoding/binary"

// HeaderLen is the length of the header of every packet, draft §3.
const HeaderLen = 16

// MaxPayload is the largest payload: 1500 - IPv4, UDP and SRT headers, as libsrt has it.
const MaxPayload = 1456

// maxDatagram is what a slot holds: a payload and the 16-byte tag of AES-GCM.
const maxDatagram = MaxPayload + 16

// ControlType is the type of a control packet, draft §3.2 table 1.
type ControlType uint16

// Control types.
const (
	Handshake  ControlType = 0
	Keepalive  ControlType = 1
	ACK        ControlType = 2
	NAK        ControlType = 3
	Congestion ControlType = 4
	Shutdown   ControlType = 5
	ACKACK     ControlType = 6
	DropReq    ControlType = 7
	PeerError  ControlType = 8
	User       ControlType = 0x7FFF // the subtype is an extension type: key refresh
)

var controlNames = [...]string{"HANDSHAKE", "KEEPALIVE", "ACK", "NAK", "CONGESTION", "SHUTDOWN", "ACKACK", "DROPREQ", "PEERERROR"}

func (t ControlType) String() string {
	switch {
	case int(t) < len(controlNames):
		return controlNames[t]
	case t == User:
		return "USER"
	}
	return "UNKNOWN"
}

// Header is a parsed packet header. Control says which half of the fields counts.
type Header struct {
	Control bool

	Seq       uint32 // 31 bits
	Position  uint8  // PP: 3 is a message of its own
	Order     bool
	Key       uint8 // KK: 0 clear, 1 even, 2 odd
	Resent    bool
	MessageNo uint32 // 26 bits

	Type    ControlType
	Subtype uint16
	Info    uint32

	Timestamp uint32 // µs since the sender's socket start; wraps after 71.6 minutes
	Dest      uint32 // socket id of who it is for; 0: a listener
}

// ParseHeader reads a packet. The body is a view into b; ok is false when b is shorter than a header.
func ParseHeader(b []byte) (h Header, body []byte, ok bool) {
	if len(b) < HeaderLen {
		return h, nil, false
	}
	w0, w1 := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	h.Timestamp, h.Dest = binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])
	if h.Control = w0&(1<<31) != 0; h.Control {
		h.Type, h.Subtype, h.Info = ControlType(w0>>16&0x7FFF), uint16(w0), w1
	} else {
		h.Seq = w0
		h.Position, h.Order, h.Key, h.Resent = uint8(w1>>30), w1&(1<<29) != 0, uint8(w1>>27&3), w1&(1<<26) != 0
		h.MessageNo = w1 & maxMessageNo
	}
	return h, b[HeaderLen:], true
}

const (
	maxSeq       = 1<<31 - 1
	maxMessageNo = 1<<26 - 1
)

// Append writes the header.
func (h *Header) Append(dst []byte) []byte {
	var w0, w1 uint32
	if h.Control {
		w0, w1 = 1<<31|uint32(h.Type)<<16|uint32(h.Subtype), h.Info
	} else {
		w0 = h.Seq & maxSeq
		w1 = uint32(h.Position)<<30 | uint32(h.Key&3)<<27 | h.MessageNo&maxMessageNo
		if h.Order {
			w1 |= 1 << 29
		}
		if h.Resent {
			w1 |= 1 << 26
		}
	}
	return appendWords(dst, w0, w1, h.Timestamp, h.Dest)
}

func appendWords(dst []byte, words ...uint32) []byte {
	for _, w := range words {
		dst = binary.BigEndian.AppendUint32(dst, w)
	}
	return dst
}

// unwrap31 returns the number nearest to near whose low 31 bits are s.
func unwrap31(near int64, s uint32) int64 {
	return near + int64(int32((s-uint32(near))<<1)>>1)
}
