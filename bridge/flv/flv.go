// Package flv reads and writes FLV (Adobe "Video File Format Specification" v10.1, annex E) and the tag bodies that RTMP
// messages share with it, Enhanced RTMP v2 (veovera, v2-2026-01-31) for the codecs FLV has no number for.
//
//	stream  "FLV" 01 flags(4 audio|1 video) 00000009, then 00000000, then tags
//	tag     type8 size24 timestamp24 timestampHigh8 stream24=0 | body | 11+size as 32 bits
//
//	video body, H264     frameType4|7  packetType8  compositionTime24  data
//	video body, others   1|frameType3|packetType4  FourCC32  [compositionTime24]  data
//	audio body, AAC      0xAF  packetType8  data          MP3   0x2F  data
//	audio body, others   9|packetType4  FourCC32  data
//	multitrack body      its packet type, then multitrack.go's; read only, and one track of each kind
//
// A body is a short header and the frame's payload as bridge/media keeps it, so a writer builds the header
// (AppendFrameHeader) and shares the payload; nothing is copied for each subscriber.
//
// What it leaves to others: chunking (rtmp), time rebasing (hub, rtmpout), transport.
package flv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-live/fairlead/bridge/amf"
	"github.com/fairlead-live/fairlead/bridge/media"
)

// TagType is the type of a tag, and of the RTMP message that carries its body.
type TagType byte

// Tag types (FLV E.4.1).
const (
	TagAudio  TagType = 8
	TagVideo  TagType = 9
	TagScript TagType = 18
)

// Sizes of the format.
const (
	TagHeaderSize  = 11
	TagTrailerSize = 4
	// MaxFrameHeader bounds what AppendFrameHeader appends: 1 + FourCC + composition time.
	MaxFrameHeader = 8
)

// ErrCodec says that FLV has no form for a codec.
var ErrCodec = errors.New("flv: no form for this codec")

// Values of the first byte of a body.
const (
	frameKey    = 1 << 4
	frameInter  = 2 << 4
	codecAVC    = 7
	codecHEVC12 = 12 // in no specification; Chinese CDNs and encoders use it
	exHeader    = 0x80
	soundAAC    = 0xaf // "If the SoundFormat indicates AAC, the SoundType should be 1 (stereo) and the SoundRate 3 (44 kHz)"
	soundMP3    = 0x2f
	soundEx     = 0x90
)

// Packet types: AVC/AAC packet type 0/1/2, and Enhanced RTMP's.
const (
	packetSequenceStart = 0
	packetCodedFrames   = 1
	packetSequenceEnd   = 2
	packetCodedFramesX  = 3 // composition time 0, not sent
	packetMetadata      = 4
	packetMultitrack    = 6
	packetModEx         = 7
	audioMultichannel   = 4
	audioMultitrack     = 5
)

// FourCC codes of Enhanced RTMP.
const (
	fourAVC1 = "avc1"
	fourHVC1 = "hvc1"
	fourAV01 = "av01"
	fourOpus = "Opus"
	fourMP4A = "mp4a"
	fourMP3  = ".mp3"
)

// Milliseconds converts a stream time to FLV's unit, rounded to the nearest.
func Milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond/2) / time.Millisecond)
}

// TypeOf returns the tag type that carries a codec.
func TypeOf(c media.Codec) TagType {
	if c.IsVideo() {
		return TagVideo
	}
	return TagAudio
}

// AppendFileHeader appends the 13 bytes that open a stream.
func AppendFileHeader(dst []byte, video, audio bool) []byte {
	var flags byte
	if video {
		flags |= 1
	}
	if audio {
		flags |= 4
	}
	return append(dst, 'F', 'L', 'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0)
}

// AppendTagHeader appends the 11 bytes before a body of size bytes; ms wraps at 32 bits.
func AppendTagHeader(dst []byte, typ TagType, size int, ms uint32) []byte {
	return append(dst, byte(typ), byte(size>>16), byte(size>>8), byte(size),
		byte(ms>>16), byte(ms>>8), byte(ms), byte(ms>>24), 0, 0, 0)
}

// AppendTagTrailer appends the 4 bytes after a body of size bytes.
func AppendTagTrailer(dst []byte, size int) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(TagHeaderSize+size))
}

// AppendTag appends a whole tag.
func AppendTag(dst []byte, typ TagType, ms uint32, body []byte) []byte {
	dst = AppendTagHeader(dst, typ, len(body), ms)
	dst = append(dst, body...)
	return AppendTagTrailer(dst, len(body))
}

// HasConfig reports whether a codec opens with a sequence header (AppendConfig).
func HasConfig(c media.Codec) bool { return c != media.MP3 && c != media.CodecNone }

// AppendConfig appends the body of a sequence header.
func AppendConfig(dst []byte, c *media.Config) ([]byte, error) {
	switch c.Codec {
	case media.H264:
		return media.AppendAVCRecord(append(dst, frameKey|codecAVC, packetSequenceStart, 0, 0, 0), c), nil
	case media.H265:
		return media.AppendHEVCRecord(append(append(dst, exHeader|frameKey|packetSequenceStart), fourHVC1...), c), nil
	case media.AV1:
		return media.AppendAV1Record(append(append(dst, exHeader|frameKey|packetSequenceStart), fourAV01...), c), nil
	case media.AAC:
		return append(append(dst, soundAAC, packetSequenceStart), c.ASC...), nil
	case media.Opus:
		return appendOpusHead(append(append(dst, soundEx|packetSequenceStart), fourOpus...), c), nil
	}
	return dst, fmt.Errorf("%w: %v has no sequence header", ErrCodec, c.Codec)
}

// appendOpusHead appends an identification header (RFC 7845 §5.1), which Enhanced RTMP uses as Opus' sequence start.
func appendOpusHead(dst []byte, c *media.Config) []byte {
	dst = append(dst, "OpusHead\x01"...)
	dst = append(dst, byte(c.Channels), 0, 0) // pre-skip 0: a live stream has none
	dst = binary.LittleEndian.AppendUint32(dst, uint32(c.SampleRate))
	return append(dst, 0, 0, 0) // gain 0, mapping family 0
}

// AppendFrameHeader appends what stands before a frame's payload in its body. The body is that and f.Payload.
func AppendFrameHeader(dst []byte, f *media.Frame) ([]byte, error) {
	cts := Milliseconds(f.PTS) - Milliseconds(f.DTS)
	first := byte(frameInter)
	if f.Flags.Has(media.Key) {
		first = frameKey
	}
	switch f.Codec {
	case media.H264:
		return appendAVCHeader(dst, codecAVC, f), nil
	case media.H265:
		if cts == 0 {
			return append(append(dst, exHeader|first|packetCodedFramesX), fourHVC1...), nil
		}
		dst = append(append(dst, exHeader|first|packetCodedFrames), fourHVC1...)
		return append(dst, byte(cts>>16), byte(cts>>8), byte(cts)), nil
	case media.AV1:
		return append(append(dst, exHeader|first|packetCodedFrames), fourAV01...), nil
	case media.AAC:
		return append(dst, soundAAC, packetCodedFrames), nil
	case media.MP3:
		return append(dst, soundMP3), nil
	case media.Opus:
		return append(append(dst, soundEx|packetCodedFrames), fourOpus...), nil
	}
	return dst, fmt.Errorf("%w: %v", ErrCodec, f.Codec)
}

// AppendFrame appends the whole body of a frame.
func AppendFrame(dst []byte, f *media.Frame) ([]byte, error) {
	dst, err := AppendFrameHeader(dst, f)
	if err != nil {
		return dst, err
	}
	return append(dst, f.Payload...), nil
}

// Metadata makes the properties of onMetaData from the configurations of a stream's tracks; nil ones are skipped.
func Metadata(configs ...*media.Config) amf.ECMAArray {
	m := amf.ECMAArray{{Key: "duration", Value: 0.0}, {Key: "filesize", Value: 0.0}}
	add := func(k string, v any) { m = append(m, amf.Pair{Key: k, Value: v}) }
	for _, c := range configs {
		if c == nil {
			continue
		}
		if c.Codec.IsVideo() {
			if c.Width > 0 && c.Height > 0 {
				add("width", c.Width)
				add("height", c.Height)
			}
			if c.FrameRate > 0 {
				add("framerate", c.FrameRate)
			}
			add("videocodecid", codecID(c.Codec))
			continue
		}
		add("audiocodecid", codecID(c.Codec))
		if c.SampleRate > 0 {
			add("audiosamplerate", c.SampleRate)
		}
		add("audiosamplesize", 16)
		if c.Channels > 0 {
			add("audiochannels", c.Channels)
			add("stereo", c.Channels > 1)
		}
	}
	add("encoder", "fairlead")
	return m
}

// codecID returns the number or FourCC value that onMetaData names a codec by.
func codecID(c media.Codec) int {
	four := func(s string) int { return int(binary.BigEndian.Uint32([]byte(s))) }
	switch c {
	case media.H264:
		return codecAVC
	case media.H265:
		return four(fourHVC1)
	case media.AV1:
		return four(fourAV01)
	case media.AAC:
		return 10
	case media.MP3:
		return 2
	default:
		return four(fourOpus)
	}
}

// AppendMetadata appends the body of an onMetaData script tag. RTMP publishing puts "@setDataFrame" before it.
func AppendMetadata(dst []byte, configs ...*media.Config) []byte {
	return amf.Append(dst, "onMetaData", Metadata(configs...))
}
