package rtmp

import (
	"encoding/binary"
	"iter"
)

// Message types (RTMP 1.0 §5.4, §6.1.1, §7.1).
const (
	TypeSetChunkSize     = 1
	TypeAbort            = 2
	TypeAcknowledgement  = 3
	TypeUserControl      = 4
	TypeWindowAckSize    = 5
	TypeSetPeerBandwidth = 6
	TypeAudio            = 8
	TypeVideo            = 9
	TypeDataAMF3         = 15
	TypeCommandAMF3      = 17
	TypeDataAMF0         = 18
	TypeCommandAMF0      = 20
	TypeAggregate        = 22
)

// Message is one RTMP message: what the chunk layer carries.
type Message struct {
	ChunkStream uint32 // 2..65599 (RTMP 1.0 §5.3.1.1)
	Type        uint8  // Type…
	Stream      uint32 // message stream id: 0 the connection, else what createStream returned
	Timestamp   uint32 // milliseconds, modulo 2^32
	Payload     []byte
}

// IsMedia reports whether m is audio, video, data (metadata) or an aggregate of these.
func (m *Message) IsMedia() bool {
	switch m.Type {
	case TypeAudio, TypeVideo, TypeDataAMF0, TypeDataAMF3, TypeAggregate:
		return true
	}
	return false
}

// Parts walks the messages inside m: m itself, or the FLV tags of an aggregate message (RTMP 1.0 §7.1.6),
// their times moved so that the first has the aggregate's. It lends from m and stops at the first malformed tag.
func (m Message) Parts() iter.Seq[Message] {
	return func(yield func(Message) bool) {
		if m.Type != TypeAggregate {
			yield(m)
			return
		}
		const tagHeader, tagTrailer = 11, 4
		var base uint32
		for b, first := m.Payload, true; len(b) >= tagHeader; first = false {
			n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
			ts := uint32(b[7])<<24 | uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6])
			if first {
				base = ts
			}
			if len(b)-tagHeader < n {
				return
			}
			part := Message{
				ChunkStream: m.ChunkStream, Type: b[0] & 0x1f, Stream: m.Stream,
				Timestamp: m.Timestamp + ts - base, Payload: b[tagHeader : tagHeader+n],
			}
			if part.Type != TypeAggregate && !yield(part) {
				return
			}
			b = b[tagHeader+n:]
			if len(b) < tagTrailer {
				return
			}
			b = b[tagTrailer:]
		}
	}
}

// Chunk streams this package sends on. Any number from 3 is free to choose; these are what encoders use.
const (
	chunkControl = 2 // RTMP 1.0 §5.4: protocol control messages
	chunkCommand = 3
	chunkAudio   = 4
	chunkData    = 5
	chunkVideo   = 6
)

// User control event types (RTMP 1.0 §7.1.7).
const (
	userStreamBegin      = 0
	userStreamEOF        = 1
	userStreamDry        = 2
	userSetBufferLength  = 3
	userStreamIsRecorded = 4
	userPingRequest      = 6
	userPingResponse     = 7
)

// control builds a protocol control message of big-endian 32-bit values, written to scratch.
func control(typ uint8, scratch []byte, values ...uint32) Message {
	for _, v := range values {
		scratch = binary.BigEndian.AppendUint32(scratch, v)
	}
	return Message{ChunkStream: chunkControl, Type: typ, Payload: scratch}
}

// userControl builds a user control message, written to scratch.
func userControl(event uint16, scratch []byte, values ...uint32) Message {
	return control(TypeUserControl, binary.BigEndian.AppendUint16(scratch, event), values...)
}
