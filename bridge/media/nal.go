package media

import (
	"encoding/binary"
	"iter"
)

// H.264 NAL unit types (ISO 14496-10 table 7-1).
const (
	H264NALIDR    = 5
	H264NALSEI    = 6
	H264NALSPS    = 7
	H264NALPPS    = 8
	H264NALAUD    = 9
	H264NALFiller = 12
)

// H.265 NAL unit types (ISO 23008-2 table 7-1).
const (
	H265NALBLAWLP = 16 // first IRAP type
	H265NALCRA    = 21 // last IRAP type in use
	H265NALVPS    = 32
	H265NALSPS    = 33
	H265NALPPS    = 34
	H265NALAUD    = 35
	H265NALFiller = 38
)

// H264NALType returns nal_unit_type; n must not be empty.
func H264NALType(n []byte) int { return int(n[0] & 0x1f) }

// H264NALRefIDC returns nal_ref_idc: 0 means no other picture refers to it; n must not be empty.
func H264NALRefIDC(n []byte) int { return int(n[0]>>5) & 3 }

// H265NALType returns nal_unit_type; n must not be empty.
func H265NALType(n []byte) int { return int(n[0]>>1) & 0x3f }

// AppendNAL appends one NAL unit behind its 4-byte length.
func AppendNAL(dst, nal []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(nal)))
	return append(dst, nal...)
}

// NALs walks a payload of length-prefixed NAL units (lends them) and stops at the first malformed length.
func NALs(payload []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(payload) >= 4 {
			n := binary.BigEndian.Uint32(payload)
			payload = payload[4:]
			if uint64(n) > uint64(len(payload)) {
				return
			}
			if !yield(payload[:n]) {
				return
			}
			payload = payload[n:]
		}
	}
}

// ValidNALs reports whether payload is nothing but whole, non-empty length-prefixed NAL units.
func ValidNALs(payload []byte) bool {
	if len(payload) == 0 {
		return false
	}
	for len(payload) > 0 {
		if len(payload) < 4 {
			return false
		}
		n := binary.BigEndian.Uint32(payload)
		if n == 0 || uint64(n) > uint64(len(payload)-4) {
			return false
		}
		payload = payload[4+n:]
	}
	return true
}

// AccessUnit is an access unit taken apart: what goes into a Frame, and the parameter sets that go into its Config.
type AccessUnit struct {
	Payload       []byte   // length-prefixed NAL units without AUD, filler and parameter sets
	VPS, SPS, PPS [][]byte // lent from the input
	Flags         Flags    // Key and Droppable as the NAL units say
	VCL           bool     // at least one slice
}

// SplitAccessUnit sorts the NAL units of one access unit; codec is H264 or H265.
//
// nals: raw NAL units, empty ones are skipped (borrows them; VPS, SPS and PPS of the result lend them).
// dst: where Payload is appended.
func SplitAccessUnit(dst []byte, codec Codec, nals iter.Seq[[]byte]) AccessUnit {
	var au AccessUnit
	au.Reset()
	for n := range nals {
		if au.Add(codec, n) {
			dst = AppendNAL(dst, n)
		}
	}
	au.End()
	au.Payload = dst
	return au
}

// Reset, Add and End are SplitAccessUnit step by step, for callers that keep au, and so allocate nothing, or make
// the payload in their own way.
func (au *AccessUnit) Reset() {
	*au = AccessUnit{VPS: au.VPS[:0], SPS: au.SPS[:0], PPS: au.PPS[:0], Flags: Droppable}
}

// Add sorts the next NAL unit in, and reports whether it belongs into the payload. It keeps n if that is a parameter set.
func (au *AccessUnit) Add(codec Codec, n []byte) bool {
	switch {
	case len(n) == 0:
		return false
	case codec == H264:
		return au.addH264(n)
	default:
		return au.addH265(n)
	}
}

// End settles the flags after the last Add.
func (au *AccessUnit) End() {
	if !au.VCL || au.Flags.Has(Key) {
		au.Flags &^= Droppable
	}
}

func (au *AccessUnit) addH264(n []byte) bool {
	switch typ := H264NALType(n); typ {
	case H264NALAUD, H264NALFiller:
		return false
	case H264NALSPS:
		au.SPS = append(au.SPS, n)
		return false
	case H264NALPPS:
		au.PPS = append(au.PPS, n)
		return false
	case 1, 2, 3, 4, H264NALIDR: // slices and data partitions
		au.VCL = true
		if typ == H264NALIDR {
			au.Flags |= Key
		}
		if H264NALRefIDC(n) != 0 {
			au.Flags &^= Droppable
		}
	}
	return true
}

func (au *AccessUnit) addH265(n []byte) bool {
	switch typ := H265NALType(n); {
	case typ == H265NALAUD || typ == H265NALFiller:
		return false
	case typ == H265NALVPS:
		au.VPS = append(au.VPS, n)
		return false
	case typ == H265NALSPS:
		au.SPS = append(au.SPS, n)
		return false
	case typ == H265NALPPS:
		au.PPS = append(au.PPS, n)
		return false
	case typ < 32: // VCL
		au.VCL = true
		if typ >= H265NALBLAWLP && typ <= H265NALCRA {
			au.Flags |= Key
		}
		// "sub-layer non-reference picture": the even types below 16 (table 7-1).
		if typ >= 16 || typ%2 == 1 {
			au.Flags &^= Droppable
		}
	}
	return true
}
