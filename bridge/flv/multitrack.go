package flv

import "encoding/binary"

// Kinds of track a Parser takes one of.
const (
	kindVideo = iota
	kindAudio
	kinds
)

// Multitrack types (E-RTMP v2 "AvMultitrackType").
const (
	oneTrack = iota
	manyTracks
	manyTracksManyCodecs
)

// taken is the track that a Parser takes of one kind: the first that comes, and track 0 before all others, which is what every message
// without a track number is about.
type taken struct {
	known bool
	id    byte
}

func (t *taken) is(id byte) bool {
	if !t.known || id == 0 {
		t.known, t.id = true, id
	}
	return t.id == id
}

// multitrack picks the track that is taken out of a multitrack body, from behind its packet type on:
//
//	multitrackType4|packetType4  [FourCC32, unless many codecs]
//	for each track: [FourCC32 if many codecs]  trackId8  [size24 unless one track]  data
//
// data begins where a body without tracks goes on behind its FourCC. The others are counted.
func (p *Parser) multitrack(kind int, b []byte) (packet byte, four string, data []byte, drop dropError) {
	if len(b) < 1 {
		return 0, "", nil, dropError(DropTruncated)
	}
	typ, packet := b[0]>>4, b[0]&0x0f
	if typ > manyTracksManyCodecs {
		return 0, "", nil, dropError(DropUnsupported)
	}
	b = b[1:]
	next := func(n int) []byte {
		if len(b) < n {
			return nil
		}
		v := b[:n]
		b = b[n:]
		return v
	}
	var codec []byte
	if typ != manyTracksManyCodecs {
		if codec = next(4); codec == nil {
			return 0, "", nil, dropError(DropTruncated)
		}
	}
	for len(b) > 0 {
		if typ == manyTracksManyCodecs {
			if codec = next(4); codec == nil {
				return 0, "", nil, dropError(DropTruncated)
			}
		}
		id := next(1)
		size := len(b)
		if typ != oneTrack {
			n := next(3)
			if n == nil {
				return 0, "", nil, dropError(DropTruncated)
			}
			size = int(binary.BigEndian.Uint32([]byte{0, n[0], n[1], n[2]}))
		}
		if id == nil || size > len(b) {
			return 0, "", nil, dropError(DropTruncated)
		}
		body := next(size)
		if four != "" || !p.taken[kind].is(id[0]) {
			p.stats.ExtraTracks++
			continue
		}
		four, data = string(codec), body
	}
	if four == "" {
		return 0, "", nil, dropError(DropExtraTrack)
	}
	return packet, four, data, 0
}
