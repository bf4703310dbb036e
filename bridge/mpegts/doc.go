// Package mpegts takes frames out of an MPEG transport stream and puts them into one.
//
// A transport stream (ISO 13818-1 §2.4.3) is a row of packets of 188 bytes:
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+---------------+-+-+-+-------------------------+---+---+-------+
//	| sync 0x47     |E|S|P| PID                     |scr|af | cc    |
//	+---------------+-+-+-+-------------------------+---+---+-------+
//	| adaptation field, if af & 2: length, flags, PCR …, stuffing    |
//	| payload, if af & 1: a piece of a PES packet or of a section    |
//	+----------------------------------------------------------------+
//
// E transport error, S a PES packet or section starts here, cc counts packets with payload per PID.
// Sections (PAT, PMT) say which PID carries what; a PES packet carries one picture, or some audio
// frames, behind a header with its PTS and DTS on a clock of 90 kHz and 33 bits.
//
// The Demuxer is pushed: Write it bytes as they come, in any pieces, then drain Next. It delivers a
// picture as soon as its last transport packet is here, which is one frame time sooner than waiting
// for the next picture's first: see Config.EarlyAfter. The Muxer is its mirror.
//
// # Times
//
// Times are those of the stream, unwrapped to any length on one clock for all PIDs: the first
// timestamp keeps its value, later ones count on from it, and audio against video is exact to the
// nanosecond of media.FromTicks. Times may be below zero where a stream starts right at a wrap.
//
// # Damage
//
// A gap in a continuity counter, a packet marked as damaged, a short PES packet: the access unit it
// belongs to is dropped and counted, and the next frame of that PID carries media.Discontinuity.
// Whole audio frames before the gap are kept.
//
// # Memory
//
// A demuxer follows at most 8 elementary streams, of which at most 4 are video. It holds one PES
// packet of each: at most Config.MaxAccessUnit (4 MiB) for video and 256 KiB for audio, and as
// buffers grow by doubling at most twice that: 34 MiB when every stream of a hostile sender is at its
// bound, around 0.3 MB for a 4 Mbit/s stream. Frames that wait for Next are at most 4096.
//
// What this package leaves to others: jumps and rebasing of times, decoding, and what to do with a
// stream that starts without a keyframe (hub).
package mpegts

// Figures of ISO 13818-1.
const (
	// PacketSize is the length of a transport packet (§2.4.3.2).
	PacketSize = 188

	syncByte = 0x47   // §2.4.3.3
	pidNull  = 0x1fff // table 2-3
	pidFirst = 0x10   // table 2-3: 0..15 are PAT, CAT and reserved
)

// Bounds, ours.
const (
	// maxStreams is how many elementary streams of the program are followed at once.
	maxStreams = 8
	// maxVideo of them may be video, because only these have large buffers.
	maxVideo = 4
	// defaultMaxAccessUnit is a keyframe of 1 s of a 32 Mbit/s stream.
	defaultMaxAccessUnit = 4 << 20
	// maxAudioPES: 65,541 is the most a PES packet of known length can have.
	maxAudioPES = 256 << 10
	// maxReady frames wait for Next; a caller that drains after each Write stays far below.
	maxReady = 4096
	// maxNALs of one access unit: H.264 table A-1 allows 8,192 macroblocks, thus slices, at level 4.
	maxNALs = 8192
)
