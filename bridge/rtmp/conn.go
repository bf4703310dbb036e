package rtmp

import (
	"encoding/binary"
)

// DropReason says why a message from the peer had no effect.
type DropReason uint8

// Why a message had no effect.
const (
	DropUnknownType    DropReason = iota // a message type this package does not know
	DropUnknownCommand                   // a command nobody here answers
	DropMalformed                        // too short, or not AMF
	DropUnexpected                       // media or a command in a state that has no use for it
	numDropReasons
)

func (r DropReason) String() string {
	if r < numDropReasons {
		return [...]string{"unknown_type", "unknown_command", "malformed", "unexpected"}[r]
	}
	return "unknown"
}

// Stats counts what a connection has read.
type Stats struct {
	ReceivedBytes uint64 // behind the handshake
	Messages      uint64
	Drops         [numDropReasons]uint64
}

// Dropped returns one of the drop counters.
func (s Stats) Dropped(r DropReason) uint64 { return s.Drops[r] }

// EventKind says what a Client or Server has to report.
type EventKind uint8

// Events.
const (
	EventNone      EventKind = iota // all bytes were used, nothing to report
	EventMedia                      // Message: audio, video, data or an aggregate
	EventReady                      // client: media may be sent (publish) or will come (play)
	EventReconnect                  // client: the server asks to move to TCURL ("": the same address)
	EventPublish                    // server: Request wants to publish; answer with Accept or Reject
	EventPlay                       // server: Request wants to play; answer with Accept or Reject
	EventStop                       // server: the peer ended what was accepted
)

// Event is one thing to act on.
type Event struct {
	Kind    EventKind
	Message Message  // EventMedia; its payload is lent until the next call
	Request *Request // EventPublish, EventPlay
	TCURL   string   // EventReconnect
}

// ourWindow is the acknowledgement window asked for and announced; 2,500,000 is FMS's, and everyone's since.
const ourWindow = 2500000

// conn is what both ends share: handshake bytes, chunk streams, protocol control, output.
type conn struct {
	shake  []byte // collects the handshake; nil when that is done
	want   int    // bytes of shake to wait for
	reader *Reader
	writer *Writer // commands and control only: chunk streams 2 and 3
	out    []byte
	stats  Stats
	window uint32 // the peer's window: acknowledge each time so many bytes came; 0 never
	acked  uint64
	told   bool // our window was announced
}

func newConn(l Limits, firstWant int) conn {
	return conn{shake: make([]byte, 0, firstWant), want: firstWant, reader: NewReader(l), writer: NewWriter(0)}
}

// Output returns what must be sent to the peer, in order, and forgets it. It is lent until the next call of any method.
func (c *conn) Output() []byte {
	out := c.out
	c.out = c.out[:0]
	return out
}

// Stats returns the counters.
func (c *conn) Stats() Stats { return c.stats }

// Handshaken reports whether the handshake is done.
func (c *conn) Handshaken() bool { return c.shake == nil }

// collect takes handshake bytes from b: full says that want of them are there.
func (c *conn) collect(b []byte) (n int, full bool) {
	n = min(len(b), c.want-len(c.shake))
	c.shake = append(c.shake, b[:n]...)
	return n, len(c.shake) == c.want
}

// next reads one message from b that is not protocol control.
func (c *conn) next(b []byte) (m Message, n int, ok bool, err error) {
	for {
		msg, k, ok, err := c.reader.Consume(b[n:])
		n += k
		c.stats.ReceivedBytes += uint64(k)
		c.acknowledge()
		if err != nil || !ok {
			return Message{}, n, false, err
		}
		c.stats.Messages++
		if !c.control(msg) {
			return msg, n, true, nil
		}
	}
}

// acknowledge answers each window of bytes (RTMP 1.0 §5.4.3).
func (c *conn) acknowledge() {
	if c.window == 0 || c.stats.ReceivedBytes-c.acked < uint64(c.window) {
		return
	}
	c.acked = c.stats.ReceivedBytes
	var scratch [4]byte
	c.send(control(TypeAcknowledgement, scratch[:0], uint32(c.acked)))
}

// control handles protocol and user control messages (RTMP 1.0 §5.4, §7.1.7) and says whether m was one.
func (c *conn) control(m Message) bool {
	var scratch [16]byte
	p := m.Payload
	switch m.Type {
	case TypeSetChunkSize, TypeAbort, TypeAcknowledgement: // the first two took effect in the reader
		if len(p) < 4 {
			c.drop(DropMalformed)
		}
	case TypeWindowAckSize:
		if len(p) < 4 {
			c.drop(DropMalformed)
			break
		}
		c.window = binary.BigEndian.Uint32(p)
	case TypeSetPeerBandwidth:
		if len(p) < 4 {
			c.drop(DropMalformed)
			break
		}
		// §5.4.5: "the peer receiving this message SHOULD respond with a Window Acknowledgement Size message".
		if !c.told {
			c.told = true
			c.send(control(TypeWindowAckSize, scratch[:0], binary.BigEndian.Uint32(p)))
		}
	case TypeUserControl:
		switch {
		case len(p) < 2:
			c.drop(DropMalformed)
		case binary.BigEndian.Uint16(p) == userPingRequest && len(p) >= 6:
			c.send(userControl(userPingResponse, scratch[:0], binary.BigEndian.Uint32(p[2:])))
		}
	default:
		return false
	}
	return true
}

func (c *conn) drop(r DropReason) { c.stats.Drops[r]++ }

func (c *conn) send(m Message) { c.out = c.writer.Append(c.out, m) }

// command queues a command on message stream id.
func (c *conn) command(stream uint32, name string, transaction float64, args ...any) {
	c.send(Message{
		ChunkStream: chunkCommand, Type: TypeCommandAMF0, Stream: stream,
		Payload: Command{name, transaction, args}.AppendPayload(nil),
	})
}
