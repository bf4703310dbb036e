package wire

import (
	"encoding/binary"
	"time"
)

// Control messages. Each is a type byte, the length of the body (24 bits) and the body:
//
//	+---------------+-----------------------------------------------+
//	|     type      |               length of the body              |
//	+---------------+-----------------------------------------------+
//	|  body: numbers big endian; str16: 16-bit length, then UTF-8 …
//	+---------------------------------------------------------------+
//
//	 1 hello      publisher → relay, first     version, oldest (1+1), flags (2), session id (16), latency ms (2), name, token, agent (str16)
//	 2 welcome    relay → publisher, first     version (1), status (2), session id (16), path tag (4), latency ms, hold s (2+2), reason (str16)
//	 3 tracks     publisher → relay            n (1), n × {id, codec (1+1), bit/s (4), width, height (2+2), rate (4), channels (1), config (str16)}
//	 4 target     relay → publisher            bit/s (4), reason (1), n (1), n × {track (1), enabled (1), bit/s (4)}
//	 5 keyframe   relay → publisher            track (1)
//	 6 stats      both                         n (1), n × counter (8), in the order of StatsFields
//	 7 drain      relay → publisher            time left ms (4), other URL (str16)
//	 8 bye        both, last                   code (2), reason (str16)
//	 9 rekey      publisher → relay            epoch (4): keys of it are in use from the next packet on
//	10 path       both                         path id (1), flags (1), tag (4): a new path, and the relay's tag for it
//
// rate is frames per second × 1000 for video and samples per second for audio.
type Control uint8

// Types of control messages.
const (
	ControlHello    Control = 1
	ControlWelcome  Control = 2
	ControlTracks   Control = 3
	ControlTarget   Control = 4
	ControlKeyframe Control = 5
	ControlStats    Control = 6
	ControlDrain    Control = 7
	ControlBye      Control = 8
	ControlRekey    Control = 9
	ControlPath     Control = 10
)

// ControlHeaderSize is the size of a message before its body.
const ControlHeaderSize = 4

// MaxControl is the longest body accepted: ours; a hello with a long token and eight tracks fit ten times.
const MaxControl = 64 << 10

// Bounds of lists, ours.
const (
	MaxTracks = 16
	MaxLadder = 16
	MaxStats  = 64
)

// Hello opens a session. A publisher that comes back within the hold time repeats its session id.
type Hello struct {
	Version, Oldest uint8 // newest and oldest version of the format the publisher speaks
	Flags           HelloFlags
	SessionID       [16]byte
	Latency         time.Duration // of playout, in whole milliseconds, at most 65 s
	Name            string        // "app/key"
	Token           string
	Agent           string        // who wrote the publisher, for logs
	MaxLatency      time.Duration // up to which it may grow where the path carries less than the stream; 0: not, and not on the wire
}

// HelloFlags are options of the hello.
type HelloFlags uint16

// Hello flags.
const (
	HelloResume   HelloFlags = 1 << iota // continues the session with this id
	HelloDatagram                        // media comes in QUIC DATAGRAM frames
	HelloInOrder                         // frames may leave as soon as they are in order
)

// Welcome answers a hello. Status is 200 or an HTTP status that says why not.
type Welcome struct {
	Version   uint8
	Status    uint16
	SessionID [16]byte
	Tag       uint32        // of path 0
	Latency   time.Duration // granted
	Hold      time.Duration // how long the session outlives its connection, whole seconds
	Reason    string
	Flags     WelcomeFlags
	MTU       uint16 // bytes of UDP payload of the longest media datagram the relay takes
	// MaxLatency is granted; 0, and not on the wire: the latency does not grow.
	MaxLatency time.Duration
}

// WelcomeFlags say what the relay did.
type WelcomeFlags uint8

// Welcome flags.
const (
	// WelcomeResumed: the session goes on where it was: media sequence, frame numbers and clock continue. Without it a publisher
	// that asked to resume begins anew.
	WelcomeResumed WelcomeFlags = 1 << iota
	// WelcomeProbes: while media comes in DATAGRAM frames, sealed probes beside QUIC are reported on beside QUIC.
	WelcomeProbes
)

// Track describes one track and the configuration its decoder needs.
type Track struct {
	ID            uint8
	Codec         uint8
	Bitrate       uint32 // bits/s, 0 unknown
	Width, Height uint16
	Rate          uint32
	Channels      uint8
	Config        []byte // avcC, hvcC, av1C, AudioSpecificConfig or OpusHead; empty: none
}

// Rung is what the relay would like of one track.
type Rung struct {
	Track   uint8
	Enabled bool
	Bitrate uint32 // bits/s
}

// Target tells the encoder what the path carries, and the relay what the encoder has been told.
type Target struct {
	Bitrate uint32 // bits/s for all tracks together
	Reason  uint8  // of congestion.Reason
	Ladder  []Rung
	Path    *TargetPath // nil: it does not say
}

// TargetPath is what a target goes by.
type TargetPath struct {
	Queue time.Duration // at the bottleneck; up to 65 s, in ms
	Loss  float64       // usual loss ratio, 0..1, in 1/65535
}

// StatsFields names the counters of a stats message in their order.
var StatsFields = [...]string{
	"sent", "delivered", "recovered", "late", "lost", "frames_sent", "frames_delivered", "frames_lost",
	"bytes_sent", "bytes_received", "repairs", "dropped", "recovered_by_repair",
}

// Drain asks the publisher to move on, to another URL if one is given.
type Drain struct {
	Left time.Duration // whole milliseconds
	URL  string
}

// Bye ends a session.
type Bye struct {
	Code   uint16
	Reason string
}

// Path announces a further path of the session; the relay answers with its tag.
type Path struct {
	ID    uint8
	Reply bool
	Tag   uint32
}

// begin appends a header whose length end fills in.
func begin(dst []byte, t Control) []byte { return append(dst, byte(t), 0, 0, 0) }

func end(dst []byte, at int) []byte {
	n := len(dst) - at - ControlHeaderSize
	dst[at+1], dst[at+2], dst[at+3] = byte(n>>16), byte(n>>8), byte(n)
	return dst
}

func appendString[T ~string | ~[]byte](dst []byte, s T) []byte {
	s = s[:min(len(s), 1<<16-1)]
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

// NextControl takes one message off the front of b. n is how many bytes it took, 0 when b holds only
// a part of one. The body is a view into b. A body longer than MaxControl is malformed.
func NextControl(b []byte) (t Control, body []byte, n int, err error) {
	if len(b) < ControlHeaderSize {
		return 0, nil, 0, nil
	}
	size := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	if size > MaxControl {
		return 0, nil, 0, ErrMalformed
	}
	n = ControlHeaderSize + size
	if len(b) < n {
		return 0, nil, 0, nil
	}
	return Control(b[0]), b[ControlHeaderSize:n], n, nil
}
