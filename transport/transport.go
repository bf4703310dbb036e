// Package transport is the contract between what carries media to the relay and
// what does something with it: the frames that go in, the payloads that come
// out, the counters that explain both, and the reasons why bytes are dropped.
//
// A session (packages session and srt) is a pure object. It is told the time,
// takes datagrams and gives datagrams and payloads back. One driving rule holds
// for all: after every input, drain AppendDatagram and PopPayload, then sleep
// until NextTimeout.
//
// What this package leaves to others: sockets (udp, quiclink, srtlink), formats
// (bridge) and every protocol decision (wire, arq, playout, session, srt).
package transport

import (
	"errors"
	"time"
)

// Codec names what a frame holds. The values are part of the wire format.
type Codec uint8

// The codecs of the uplink. Passthrough is a run of whole 188-byte MPEG-TS packets.
const (
	CodecNone   Codec = 0
	H264        Codec = 1
	H265        Codec = 2
	AV1         Codec = 3
	AAC         Codec = 4
	Opus        Codec = 5
	MP3         Codec = 6
	Passthrough Codec = 16
)

func (c Codec) String() string {
	switch c {
	case H264:
		return "H264"
	case H265:
		return "H265"
	case AV1:
		return "AV1"
	case AAC:
		return "AAC"
	case Opus:
		return "Opus"
	case MP3:
		return "MP3"
	case Passthrough:
		return "MPEG-TS"
	}
	return "none"
}

// IsAudio reports whether c is an audio codec.
func (c Codec) IsAudio() bool { return c == AAC || c == Opus || c == MP3 }

// Flags say what a frame is to its neighbours.
type Flags uint8

// Frame flags.
const (
	Key           Flags = 1 << iota // decoding can start here
	Droppable                       // no other frame refers to this one
	Config                          // the data is the codec's configuration record, not a picture or sound
	Discontinuity                   // the stream broke, or frames were lost, right before this one
)

// Has reports whether all flags of g are set in f.
func (f Flags) Has(g Flags) bool { return f&g == g }

// Frame is what an application sends: one picture, one audio unit, one
// configuration record, or some MPEG-TS packets.
type Frame struct {
	Track    uint8
	Codec    Codec
	Flags    Flags
	PTS, DTS time.Duration // since the stream's own zero; carried in whole microseconds
	Capture  time.Time     // when it was captured: the deadline counts from here; zero: when it is written
	Data     []byte
}

// Payload is a frame that arrived. Frames of a session come out in the order
// they were written, each at most once.
//
// Data is lent: it is valid until the next call to the session.
type Payload struct {
	Track    uint8
	Codec    Codec
	Flags    Flags
	PTS, DTS time.Duration
	Capture  time.Duration // sender's clock, since the session's zero
	Arrival  time.Time     // when the frame became complete
	Deadline time.Time     // when it is due: first packet's least delay + latency
	Repaired bool          // at least one of its packets had to be recovered
	Data     []byte
}

// Session is the side of a sender or a receiver that faces the network.
type Session interface {
	HandleDatagram(now time.Time, b []byte)                         // borrows b
	AppendDatagram(dst []byte, now time.Time) (out []byte, ok bool) // ok false: nothing to send now
	NextTimeout() time.Time                                         // zero: nothing scheduled
	Stats() Stats
}

// Errors a caller can act on.
var (
	ErrClosed      = errors.New("transport: session closed")
	ErrFrameTooBig = errors.New("transport: frame too big for the send buffer")
	ErrQueueFull   = errors.New("transport: send queue full, frame dropped")
)
