package flv

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// DropReason says why a body made no frame.
type DropReason uint8

// Drop reasons.
const (
	DropNone        DropReason = iota
	DropTruncated              // shorter than its own header says
	DropUnsupported            // a codec or packet type fairlead does not carry
	DropNoConfig               // a frame before its sequence header
	DropBadConfig              // a sequence header that cannot be parsed
	DropBadNAL                 // NAL lengths that do not add up
	DropEmpty                  // nothing inside (a keep-alive, an end-of-sequence mark, metadata)
	DropExtraTrack             // of a further video or audio track: one of each kind is taken
	dropReasons
)

var dropNames = [dropReasons]string{"none", "truncated", "unsupported", "no_config", "bad_config", "bad_nal", "empty", "extra_track"}

func (r DropReason) String() string {
	if r < dropReasons {
		return dropNames[r]
	}
	return "unknown"
}

// Stats counts what went through a Parser: Bodies = Frames + Configs + the sum of Drops.
type Stats struct {
	Bodies  uint64
	Frames  uint64
	Configs uint64
	Drops   [dropReasons]uint64

	ExtraTracks uint64 // parts of bodies that were of a further track, beside one that was taken or not
}

// Dropped returns the count of one reason.
func (s Stats) Dropped(r DropReason) uint64 { return s.Drops[r] }

// Parser turns tag bodies into frames. It holds one configuration a track and nothing else.
// The video track is 0, the audio track 1; of the tracks of Enhanced RTMP's multitrack messages the first of each kind is taken, and track 0
// before all others. It is owned by one goroutine.
type Parser struct {
	// Memory is where frames are made; nil: the collector's.
	Memory *media.Arena

	video, audio *media.Config
	nalSize      int
	taken        [kinds]taken
	au           media.AccessUnit // the last one's; not its payload
	stats        Stats
}

// Stats returns a snapshot.
func (p *Parser) Stats() Stats { return p.stats }

// Video returns the configuration of the video track, nil before its sequence header.
func (p *Parser) Video() *media.Config { return p.video }

// Audio returns the configuration of the audio track, nil before its sequence header.
func (p *Parser) Audio() *media.Config { return p.audio }

// Parse reads one body. It returns nil where the body is not a frame: a sequence header (kept), or a drop (counted).
// dts is the tag's time, unwrapped. The frame is a copy, held once (media.Frame.Release); nothing refers to body afterwards.
func (p *Parser) Parse(typ TagType, dts time.Duration, body []byte) *media.Frame {
	p.stats.Bodies++
	var f *media.Frame
	var err dropError
	switch {
	case len(body) == 0:
		err = dropError(DropEmpty)
	case typ == TagVideo:
		f, err = p.parseVideo(dts, body)
	case typ == TagAudio:
		f, err = p.parseAudio(dts, body)
	default:
		err = dropError(DropUnsupported)
	}
	switch {
	case err != 0:
		p.stats.Drops[err]++
		return nil
	case f == nil:
		p.stats.Configs++
	default:
		p.stats.Frames++
	}
	return f
}

type dropError DropReason

func (p *Parser) parseVideo(dts time.Duration, body []byte) (*media.Frame, dropError) {
	codec, packet, rest, drop := p.videoHeader(body)
	if drop != 0 {
		return nil, drop
	}
	var cts time.Duration
	switch packet {
	case packetSequenceStart:
		return nil, p.setVideo(codec, rest)
	case packetCodedFrames:
		if codec != media.AV1 {
			if len(rest) < 3 {
				return nil, dropError(DropTruncated)
			}
			cts = time.Duration(int32(uint32(rest[0])<<24|uint32(rest[1])<<16|uint32(rest[2])<<8)>>8) * time.Millisecond
			rest = rest[3:]
		}
	case packetCodedFramesX:
	case packetSequenceEnd, packetMetadata:
		return nil, dropError(DropEmpty)
	default:
		return nil, dropError(DropUnsupported)
	}
	if p.video == nil || p.video.Codec != codec {
		return nil, dropError(DropNoConfig)
	}
	if len(rest) == 0 {
		return nil, dropError(DropEmpty)
	}
	var flags media.Flags
	var payload []byte
	if codec == media.AV1 {
		if body[0]>>4&7 == 1 {
			flags |= media.Key
		}
		payload = append(p.Memory.Buffer(len(rest)), rest...)
	} else if payload, flags, drop = p.accessUnit(codec, rest); drop != 0 {
		return nil, drop
	}
	f := p.Memory.Frame(payload)
	f.Track, f.Codec, f.Flags, f.DTS, f.PTS, f.Config = 0, codec, flags, dts, dts+max(cts, 0), p.video
	return f, 0
}

// videoHeader reads the bytes before the data; packet is Enhanced RTMP's type, which AVC's own types agree with.
func (p *Parser) videoHeader(body []byte) (codec media.Codec, packet byte, rest []byte, drop dropError) {
	if body[0]&exHeader == 0 {
		if len(body) < 5 {
			return 0, 0, nil, dropError(DropTruncated)
		}
		switch body[0] & 0x0f {
		case codecAVC:
			codec = media.H264
		case codecHEVC12:
			codec = media.H265
		default:
			return 0, 0, nil, dropError(DropUnsupported)
		}
		if body[0]>>4 == 5 { // "video info/command frame"
			return 0, 0, nil, dropError(DropEmpty)
		}
		p.taken[kindVideo].is(0)
		packet, rest = body[1], body[5:]
		if packet == packetCodedFrames {
			rest = body[2:]
		}
		return codec, packet, rest, 0
	}
	packet, rest, drop = exPacket(body[0]&0x0f, body[1:])
	if drop != 0 {
		return 0, 0, nil, drop
	}
	var four string
	switch {
	case packet == packetMultitrack:
		if packet, four, rest, drop = p.multitrack(kindVideo, rest); drop != 0 {
			return 0, 0, nil, drop
		}
	case len(rest) < 4:
		return 0, 0, nil, dropError(DropTruncated)
	default:
		p.taken[kindVideo].is(0)
		four, rest = string(rest[:4]), rest[4:]
	}
	switch four {
	case fourAVC1:
		codec = media.H264
	case fourHVC1:
		codec = media.H265
	case fourAV01:
		codec = media.AV1
	default:
		return 0, 0, nil, dropError(DropUnsupported)
	}
	return codec, packet, rest, 0
}

// exPacket skips ModEx prefixes (E-RTMP v2 "ModEx": size8 or 0xff and size16, data, type4|packetType4).
func exPacket(packet byte, b []byte) (byte, []byte, dropError) {
	for packet == packetModEx {
		if len(b) < 1 {
			return 0, nil, dropError(DropTruncated)
		}
		n := int(b[0]) + 1
		b = b[1:]
		if n == 256 {
			if len(b) < 2 {
				return 0, nil, dropError(DropTruncated)
			}
			n = int(binary.BigEndian.Uint16(b)) + 1
			b = b[2:]
		}
		if len(b) < n+1 {
			return 0, nil, dropError(DropTruncated)
		}
		packet = b[n] & 0x0f
		b = b[n+1:]
	}
	return packet, b, 0
}

func (p *Parser) setVideo(codec media.Codec, b []byte) dropError {
	var c *media.Config
	var err error
	size := 4
	switch codec {
	case media.H264:
		c, size, err = media.ParseAVCRecord(b)
	case media.H265:
		c, size, err = media.ParseHEVCRecord(b)
	default:
		c, err = media.ParseAV1Record(b)
	}
	if err != nil {
		return dropError(DropBadConfig)
	}
	p.nalSize = size
	if !p.video.Equal(c) {
		p.video = c
	}
	return 0
}

// accessUnit returns payload and flags, and follows parameter sets that come in band.
func (p *Parser) accessUnit(codec media.Codec, b []byte) ([]byte, media.Flags, dropError) {
	au := &p.au
	au.Reset()
	dst := p.Memory.Buffer(len(b) + 16)
	for len(b) > 0 { // not over an iterator: what its body keeps would be allocated
		n, rest, ok := nal(b, p.nalSize)
		if !ok {
			return nil, 0, dropError(DropBadNAL)
		}
		b = rest
		if au.Add(codec, n) {
			dst = media.AppendNAL(dst, n)
		}
	}
	au.End()
	if len(au.SPS) > 0 && len(au.PPS) > 0 {
		if c, err := configOf(codec, au); err == nil && !p.video.Equal(c) {
			p.video = c
		}
	}
	if len(dst) == 0 {
		return nil, 0, dropError(DropEmpty)
	}
	return dst, au.Flags, 0
}

func configOf(codec media.Codec, au *media.AccessUnit) (*media.Config, error) {
	if codec == media.H264 {
		return media.NewH264Config(clone(au.SPS), clone(au.PPS))
	}
	return media.NewH265Config(clone(au.VPS), clone(au.SPS), clone(au.PPS))
}

func clone(in [][]byte) [][]byte {
	out := make([][]byte, len(in))
	for i, b := range in {
		out[i] = append([]byte(nil), b...)
	}
	return out
}

// nal returns the first NAL unit of b, behind its length in size bytes, and what follows it.
func nal(b []byte, size int) (n, rest []byte, ok bool) {
	if len(b) < size {
		return nil, nil, false
	}
	length := uint64(0)
	for _, c := range b[:size] {
		length = length<<8 | uint64(c)
	}
	b = b[size:]
	if length > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:length], b[length:], true
}

func (p *Parser) parseAudio(dts time.Duration, body []byte) (*media.Frame, dropError) {
	var codec media.Codec
	rest := body[1:]
	if body[0]>>4 != soundEx>>4 {
		p.taken[kindAudio].is(0)
	}
	switch body[0] >> 4 {
	case 10:
		if len(rest) < 1 {
			return nil, dropError(DropTruncated)
		}
		packet := rest[0]
		rest = rest[1:]
		if packet == packetSequenceStart {
			return nil, p.setAudio(media.AAC, rest)
		}
		codec = media.AAC
	case 2, 14: // MP3, and MP3 at 8 kHz
		if c, err := mp3Config(rest); err == nil && !p.audio.Equal(c) {
			p.audio = c
		}
		codec = media.MP3
	case 9:
		packet, b, drop := exPacket(body[0]&0x0f, rest)
		if drop != 0 {
			return nil, drop
		}
		var four string
		switch {
		case packet == audioMultichannel:
			return nil, dropError(DropUnsupported)
		case packet == audioMultitrack:
			if packet, four, b, drop = p.multitrack(kindAudio, b); drop != 0 {
				return nil, drop
			}
		case len(b) < 4:
			return nil, dropError(DropTruncated)
		default:
			p.taken[kindAudio].is(0)
			four, b = string(b[:4]), b[4:]
		}
		switch four {
		case fourOpus:
			codec = media.Opus
		case fourMP4A:
			codec = media.AAC
		case fourMP3:
			codec = media.MP3
			if c, err := mp3Config(b); err == nil && !p.audio.Equal(c) {
				p.audio = c
			}
		default:
			return nil, dropError(DropUnsupported)
		}
		rest = b
		switch packet {
		case packetSequenceStart:
			return nil, p.setAudio(codec, rest)
		case packetCodedFrames:
		default:
			return nil, dropError(DropEmpty)
		}
	default:
		return nil, dropError(DropUnsupported)
	}
	if p.audio == nil || p.audio.Codec != codec {
		return nil, dropError(DropNoConfig)
	}
	if len(rest) == 0 {
		return nil, dropError(DropEmpty)
	}
	f := p.Memory.Frame(append(p.Memory.Buffer(len(rest)), rest...))
	f.Track, f.Codec, f.Flags, f.DTS, f.PTS, f.Config = 1, codec, media.Key, dts, dts, p.audio
	return f, 0
}

func (p *Parser) setAudio(codec media.Codec, b []byte) dropError {
	var c *media.Config
	var err error
	switch codec {
	case media.AAC:
		c, err = media.NewAACConfig(append([]byte(nil), b...))
	case media.Opus:
		if len(b) < 10 || string(b[:8]) != "OpusHead" {
			return dropError(DropBadConfig)
		}
		c, err = media.NewOpusConfig(int(b[9]))
	default:
		return dropError(DropEmpty)
	}
	if err != nil {
		return dropError(DropBadConfig)
	}
	if !p.audio.Equal(c) {
		p.audio = c
	}
	return 0
}

// mp3Config reads sampling frequency and mode of an MPEG audio frame header (ISO 11172-3 §2.4.2.3).
func mp3Config(b []byte) (*media.Config, error) {
	if len(b) < 4 || b[0] != 0xff || b[1]&0xe0 != 0xe0 {
		return nil, fmt.Errorf("%w: not an MPEG audio frame", media.ErrConfig)
	}
	rate := [...]int{44100, 48000, 32000, 0}[b[2]>>2&3]
	switch b[1] >> 3 & 3 {
	case 2: // MPEG-2
		rate /= 2
	case 0: // MPEG-2.5
		rate /= 4
	}
	channels := 2
	if b[3]>>6 == 3 {
		channels = 1
	}
	return media.NewMP3Config(rate, channels)
}
