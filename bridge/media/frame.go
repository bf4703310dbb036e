// Package media is the frame model that everything in the bridge speaks: one
// encoded picture or audio unit with its times, its flags and the codec
// configuration in force.
//
// A parser (MPEG-TS, FLV, the uplink) makes frames; the hub shares each of them,
// by pointer, with every subscriber; a writer (FLV, RTMP, MPEG-TS) reads them.
// A frame is immutable once it has been handed on.
//
// What this package leaves to others: container formats (mpegts, flv, rtmp),
// time rebasing (hub) and decoding (nobody).
package media

import "time"

// Codec names what is inside a frame.
type Codec uint8

// The codecs fairlead carries.
const (
	CodecNone Codec = iota
	H264            // ISO/IEC 14496-10
	H265            // ISO/IEC 23008-2
	AV1             // AV1 bitstream
	AAC             // ISO/IEC 14496-3
	Opus            // RFC 6716
	MP3             // ISO/IEC 11172-3 / 13818-3 layer I to III
)

var codecNames = [...]string{"none", "H264", "H265", "AV1", "AAC", "Opus", "MP3"}

func (c Codec) String() string {
	if int(c) < len(codecNames) {
		return codecNames[c]
	}
	return "unknown"
}

// IsVideo reports whether c is a video codec.
func (c Codec) IsVideo() bool { return c == H264 || c == H265 || c == AV1 }

// IsAudio reports whether c is an audio codec.
func (c Codec) IsAudio() bool { return c == AAC || c == Opus || c == MP3 }

// Flags say what a frame is to its neighbours.
type Flags uint8

// Frame flags.
const (
	// Key: decoding can start here (IDR or other IRAP picture, AV1 key frame; every audio frame).
	Key Flags = 1 << iota
	// Droppable: no other frame refers to this one (H.264 nal_ref_idc 0, H.265 sub-layer non-reference).
	Droppable
	// Discontinuity: frames were lost, or the timeline broke, right before this one.
	Discontinuity
	// Held: not from a publisher but made by the hub while there is none; for a viewer the picture stands still.
	Held
)

// Has reports whether all flags of g are set in f.
func (f Flags) Has(g Flags) bool { return f&g == g }

// Frame is one access unit of video or one unit of audio.
//
// Payload, by codec:
//   - H264, H265: NAL units, each preceded by its length in 4 bytes big-endian (ISO 14496-15),
//     without access unit delimiters, filler data and parameter sets (those are in Config);
//   - AV1: a temporal unit of OBUs in low-overhead format without its temporal delimiter;
//   - AAC: one raw_data_block (no ADTS header); Opus: one packet; MP3: one frame with its header.
//
// Times are since the stream's own zero. 90 kHz ticks become durations where they are parsed; the
// rounding is Duration(ticks)*100000/9, and FromTicks/Ticks convert both ways without drift.
type Frame struct {
	Track   uint8         // index of the track in its stream: by convention 0 video, 1 audio, then extra tracks
	Codec   Codec         // what Payload is
	Flags   Flags         // key, droppable, discontinuity
	DTS     time.Duration // decoding time; never decreases within a track after the hub
	PTS     time.Duration // presentation time, ≥ DTS
	Arrival time.Time     // when its last byte reached this process; zero when unknown
	Config  *Config       // the configuration that decodes this frame; the pointer changes when it does
	Payload []byte        // immutable

	block *Block // what Payload is part of, and the frame itself; nil: the collector knows
}

// IsKeyVideo reports whether f is a video frame that decoding can start at.
func (f *Frame) IsKeyVideo() bool { return f.Codec.IsVideo() && f.Flags.Has(Key) }

// ticksPerSecond is the MPEG-TS and RTP video clock (ISO 13818-1 §2.4.2.2, system clock / 300).
const ticksPerSecond = 90000

// FromTicks converts 90 kHz ticks to a duration, rounded to the nearest nanosecond.
func FromTicks(t int64) time.Duration {
	s, r := t/ticksPerSecond, t%ticksPerSecond
	n := r * 100000
	if n >= 0 {
		n = (n + 4) / 9
	} else {
		n = (n - 4) / 9
	}
	return time.Duration(s)*time.Second + time.Duration(n)
}

// Ticks converts a duration to 90 kHz ticks, rounded to the nearest: Ticks(FromTicks(t)) == t.
func Ticks(d time.Duration) int64 {
	s, r := int64(d/time.Second), int64(d%time.Second)
	n := r * 9
	if n >= 0 {
		n = (n + 50000) / 100000
	} else {
		n = (n - 50000) / 100000
	}
	return s*ticksPerSecond + n
}
