package srt

import (
	"encoding/binary"
	"errors"
)

// Handshake types, draft §3.2.1. A type of 1000 and more is a rejection.
const (
	typeInduction  = 1
	typeConclusion = 0xFFFFFFFF
)

// magic in the extension field of an induction response says that version 5 is spoken here, draft §4.3.1.1.
const magic = 0x4A17

// Extension types, draft §3.2.1.1 table 6; Filter by libsrt.
const (
	extHSReq      = 1
	extHSRsp      = 2
	extKMReq      = 3
	extKMRsp      = 4
	extStreamID   = 5
	extCongestion = 6
	extFilter     = 7
	extGroup      = 8
)

// Bits of the extension field of a conclusion, draft table 3.
const (
	hasHS     = 1
	hasKM     = 2
	hasConfig = 4
)

// Flags of HSREQ and HSRSP, draft §3.2.1.1.1.
const (
	flagTSBPDSnd  = 0x01
	flagTSBPDRcv  = 0x02
	flagCrypt     = 0x04
	flagTLPktDrop = 0x08
	flagNAKReport = 0x10
	flagRexmit    = 0x20
	flagStream    = 0x40
	flagFilter    = 0x80 // libsrt: FILTERCAP
)

const handshakeLen = 48

// maxStreamID is the longest stream id, bytes: libsrt, access-control.md.
const maxStreamID = 512

// errHandshake is a body that does not parse.
var errHandshake = errors.New("srt: malformed handshake")

// handshake is the body of a handshake packet. Byte fields are views into what was parsed.
type handshake struct {
	version   uint32
	keyLen    uint16 // the encryption field: key length / 8, or 0
	extension uint16
	isn       uint32
	mtu       uint32
	window    uint32
	kind      uint32
	id        uint32
	cookie    uint32
	ip        [16]byte

	hs                     bool
	srtVersion, flags      uint32
	recvDelay, sendDelay   uint16 // ms
	km                     []byte
	streamID               []byte // in order, without padding
	congestion, filter     []byte
	group                  []byte
	storage                [maxStreamID + 3*64]byte // of the swapped strings
	kmType, hsType, extras int
}

// parse reads a body. Extensions of unknown types are skipped.
func (h *handshake) parse(b []byte) error {
	if len(b) < handshakeLen {
		return errHandshake
	}
	u32 := binary.BigEndian.Uint32
	*h = handshake{
		version: u32(b), keyLen: binary.BigEndian.Uint16(b[4:]), extension: binary.BigEndian.Uint16(b[6:]), isn: u32(b[8:]), mtu: u32(b[12:]),
		window: u32(b[16:]), kind: u32(b[20:]), id: u32(b[24:]), cookie: u32(b[28:]), ip: [16]byte(b[32:]),
	}
	if h.isn > maxSeq {
		return errHandshake
	}
	if h.version != 5 || h.kind != typeConclusion {
		return nil // no extensions; an induction has only its padding
	}
	room := h.storage[:0]
	for b = b[handshakeLen:]; len(b) >= 4; {
		kind, n := int(binary.BigEndian.Uint16(b)), 4*int(binary.BigEndian.Uint16(b[2:]))
		if b = b[4:]; n > len(b) {
			return errHandshake
		}
		body := b[:n]
		b = b[n:]
		var text *[]byte
		limit := 64
		switch kind {
		case extHSReq, extHSRsp:
			if n < 12 {
				return errHandshake
			}
			h.hs, h.hsType, h.srtVersion, h.flags = true, kind, u32(body), u32(body[4:])
			h.recvDelay, h.sendDelay = binary.BigEndian.Uint16(body[8:]), binary.BigEndian.Uint16(body[10:])
		case extKMReq, extKMRsp:
			h.km, h.kmType = body, kind
		case extStreamID:
			text, limit = &h.streamID, maxStreamID
		case extCongestion:
			text = &h.congestion
		case extFilter:
			text = &h.filter
		case extGroup:
			h.group = body
		default:
			h.extras++
		}
		if text == nil {
			continue
		}
		if n > limit || len(*text) > 0 {
			return errHandshake
		}
		at := len(room)
		room = appendSwapped(room, body)
		for len(room) > at && room[len(room)-1] == 0 {
			room = room[:len(room)-1]
		}
		*text = room[at:]
	}
	return nil
}

// append writes the body with the extensions that are set, in libsrt's order.
func (h *handshake) append(dst []byte) []byte {
	dst = appendWords(dst, h.version, uint32(h.keyLen)<<16|uint32(h.extension), h.isn, h.mtu, h.window, h.kind, h.id, h.cookie)
	dst = append(dst, h.ip[:]...)
	if h.hs {
		dst = appendWords(dst, uint32(h.hsType)<<16|3, h.srtVersion, h.flags, uint32(h.recvDelay)<<16|uint32(h.sendDelay))
	}
	for _, s := range [...]struct {
		kind uint32
		text []byte
	}{{extStreamID, h.streamID}, {extCongestion, h.congestion}, {extFilter, h.filter}} {
		if len(s.text) > 0 {
			words := (len(s.text) + 3) / 4
			dst = appendWords(dst, s.kind<<16|uint32(words))
			dst = appendSwapped(dst, append(append(make([]byte, 0, 4*words), s.text...), 0, 0, 0)[:4*words])
		}
	}
	if len(h.group) > 0 {
		dst = append(appendWords(dst, extGroup<<16|uint32(len(h.group)/4)), h.group...)
	}
	if len(h.km) > 0 {
		dst = appendWords(dst, uint32(h.kmType)<<16|uint32(len(h.km)/4))
		dst = append(dst, h.km...)
	}
	return dst
}

// appendSwapped appends words of 4 bytes, each in the other byte order: strings travel so, draft §3.2.1.3.
func appendSwapped(dst, b []byte) []byte {
	for ; len(b) >= 4; b = b[4:] {
		dst = append(dst, b[3], b[2], b[1], b[0])
	}
	return dst
}
