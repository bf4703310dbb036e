package srt

import "encoding/binary"

// ACKInfo is the body of a full ACK, draft §3.2.4. A light ACK is the first word, a small one the first four.
type ACKInfo struct {
	Next      uint32 // the number after the last one received without a gap before it
	RTT       uint32 // µs
	RTTVar    uint32 // µs
	Available uint32 // free buffer, packets
	Rate      uint32 // received, packets/s
	Capacity  uint32 // of the link, packets/s, estimated
	ByteRate  uint32 // received, bytes/s
}

// Append writes a full body.
func (a *ACKInfo) Append(dst []byte) []byte {
	return appendWords(dst, a.Next, a.RTT, a.RTTVar, a.Available, a.Rate, a.Capacity, a.ByteRate)
}

// ParseACK reads a body of any of the three lengths; what is not there is 0.
func ParseACK(b []byte) (a ACKInfo, ok bool) {
	if len(b) < 4 {
		return a, false
	}
	for i, f := range []*uint32{&a.Next, &a.RTT, &a.RTTVar, &a.Available, &a.Rate, &a.Capacity, &a.ByteRate} {
		if len(b) >= 4*i+4 {
			*f = binary.BigEndian.Uint32(b[4*i:])
		}
	}
	return a, true
}

// AppendRange adds the numbers first..last to the body of a NAK, draft appendix A.
func AppendRange(dst []byte, first, last uint32) []byte {
	if first == last {
		return appendWords(dst, first&maxSeq)
	}
	return appendWords(dst, first|1<<31, last&maxSeq)
}

// NextRange takes the first range off the body of a NAK. ok is false at its end, and where it makes no sense.
func NextRange(b []byte) (first, last uint32, rest []byte, ok bool) {
	if len(b) < 4 {
		return 0, 0, nil, false
	}
	first = binary.BigEndian.Uint32(b)
	if first&(1<<31) == 0 {
		return first, first, b[4:], true
	}
	if len(b) < 8 {
		return 0, 0, nil, false
	}
	first, last = first&maxSeq, binary.BigEndian.Uint32(b[4:])
	if last > maxSeq || unwrap31(int64(first), last) < int64(first) {
		return 0, 0, nil, false
	}
	return first, last, b[8:], true
}

// parseDropReq reads the body of a DROPREQ, draft §3.2.9.
func parseDropReq(b []byte) (first, last uint32, ok bool) {
	if len(b) < 8 {
		return 0, 0, false
	}
	first, last = binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	return first, last, first <= maxSeq && last <= maxSeq && unwrap31(int64(first), last) >= int64(first)
}
