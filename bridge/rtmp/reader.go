package rtmp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrProtocol is wrapped by every error that ends a connection because the peer's bytes make no sense.
var ErrProtocol = errors.New("rtmp: protocol error")

const (
	defaultChunkSize = 128      // RTMP 1.0 §5.4.1
	maxTimestamp24   = 0xffffff // this value in a header announces an extended timestamp (RTMP 1.0 §5.3.1.3)
	maxChunkSize     = 0xffffff // RTMP 1.0 §5.4.1: no message is longer than 16777215 bytes
)

// Limits bound what a peer can make a Reader hold. Zero fields mean the defaults.
type Limits struct {
	MessageSize  int // bytes of one message; default 8 MiB: the GOP cache's bound, a 60 Mbit/s keyframe is 1 MB
	Buffered     int // bytes of all messages begun and kept buffers together; default 2 × MessageSize
	ChunkStreams int // default 64; encoders use 3 to 6
}

func (l Limits) withDefaults() Limits {
	if l.MessageSize <= 0 {
		l.MessageSize = 8 << 20
	}
	if l.Buffered <= 0 {
		l.Buffered = 2 * l.MessageSize
	}
	if l.ChunkStreams <= 0 {
		l.ChunkStreams = 64
	}
	return l
}

// extMode is what a Reader knows about the peer's extended timestamps in type 3 chunks.
type extMode uint8

const (
	extUnknown extMode = iota // look at each
	extRepeats                // as RTMP 1.0 §5.3.1.3 says: every type 3 chunk repeats it
	extOmits                  // as some old senders do
)

// readStream is the reader's half of one chunk stream.
type readStream struct {
	id     uint32
	ts     uint32 // of the message begun or read last
	delta  uint32 // what a type 3 chunk that begins a message adds
	ext    bool   // the last type 0, 1 or 2 header had an extended timestamp
	extRaw uint32 // its value
	length int
	typ    uint8
	stream uint32
	seen   bool // a type 0 header came
	open   bool // a message has begun and is not complete
	buf    []byte
}

type readState uint8

const (
	readBasic readState = iota
	readHeader
	readExtended
	readPayload
)

// Reader turns bytes into messages. It is owned by one goroutine. Memory: Limits.Buffered, plus 100 bytes a chunk stream.
type Reader struct {
	limits    Limits
	chunkSize int
	streams   []*readStream
	buffered  int // sum of cap(buf)
	ext       extMode

	state   readState
	need    int // bytes hdr needs in this state
	hdr     [11]byte
	hdrLen  int
	format  uint8
	cur     *readStream
	left    int // payload bytes left in the chunk
	pushed  [4]byte
	nPushed int
	err     error
}

// NewReader returns a reader at the start of the chunk stream, right behind the handshake.
func NewReader(l Limits) *Reader {
	return &Reader{limits: l.withDefaults(), chunkSize: defaultChunkSize, need: 1}
}

// Consume reads from b, which it borrows, up to the end of one message: n bytes were used. With ok, m is that
// message; its payload is lent until the next call. Without ok and without an error all of b was used.
//
// Set Chunk Size and Abort take effect inside and are returned as well. An error is final and wraps ErrProtocol.
func (r *Reader) Consume(b []byte) (m Message, n int, ok bool, err error) {
	if r.err != nil {
		return Message{}, 0, false, r.err
	}
	for r.nPushed > 0 && !ok && err == nil {
		back, k := r.pushed, r.nPushed
		r.nPushed = 0
		var used int
		m, used, ok, err = r.consume(back[:k])
		if rest := back[used:k]; len(rest) > 0 {
			r.nPushed = copy(r.pushed[:], rest)
		}
	}
	if !ok && err == nil {
		m, n, ok, err = r.consume(b)
		for r.nPushed > 0 && !ok && err == nil { // the last bytes of b were looked at in vain
			var more int
			m, more, ok, err = r.Consume(b[n:])
			n += more
		}
	}
	r.err = err
	return m, n, ok, err
}

func (r *Reader) consume(b []byte) (m Message, n int, ok bool, err error) {
	for n < len(b) && r.nPushed == 0 {
		if r.state == readPayload {
			k := min(len(b)-n, r.left)
			if err := r.appendPayload(b[n : n+k]); err != nil {
				return Message{}, n, false, err
			}
			n += k
			if r.left -= k; r.left > 0 {
				continue
			}
			if m, ok, err = r.endChunk(); ok || err != nil {
				return m, n, ok, err
			}
			continue
		}
		k := copy(r.hdr[r.hdrLen:r.need], b[n:])
		r.hdrLen += k
		n += k
		if r.hdrLen < r.need {
			continue
		}
		if m, ok, err = r.header(); ok || err != nil {
			return m, n, ok, err
		}
	}
	return Message{}, n, false, nil
}

// header handles one complete piece of a chunk header. ok: it ended a message (of length 0).
func (r *Reader) header() (m Message, ok bool, err error) {
	switch r.state {
	case readBasic:
		id := uint32(r.hdr[0] & 0x3f)
		switch { // RTMP 1.0 §5.3.1.1: 0 and 1 announce one and two more bytes
		case id < 2 && r.hdrLen == 1:
			r.need = 2 + int(id)
			return Message{}, false, nil
		case id == 0:
			id = uint32(r.hdr[1]) + 64
		case id == 1:
			id = uint32(r.hdr[2])<<8 + uint32(r.hdr[1]) + 64
		}
		r.format = r.hdr[0] >> 6
		if r.cur, err = r.stream(id); err != nil {
			return Message{}, false, err
		}
		if r.format < 3 {
			r.expect(readHeader, [...]int{11, 7, 3}[r.format])
			return Message{}, false, nil
		}
		if !r.cur.seen {
			return Message{}, false, fmt.Errorf("%w: chunk stream %d begins with a type 3 chunk", ErrProtocol, id)
		}
		if r.cur.ext && r.ext != extOmits {
			r.expect(readExtended, 4)
			return Message{}, false, nil
		}
		return r.beginChunk()
	case readHeader:
		if err := r.messageHeader(); err != nil {
			return Message{}, false, err
		}
		if r.cur.ext {
			r.expect(readExtended, 4)
			return Message{}, false, nil
		}
		return r.beginChunk()
	default: // readExtended
		return r.extended(binary.BigEndian.Uint32(r.hdr[:4]))
	}
}

func (r *Reader) expect(s readState, n int) { r.state, r.need, r.hdrLen = s, n, 0 }

// messageHeader handles the 11, 7 or 3 bytes of a type 0, 1 or 2 chunk.
func (r *Reader) messageHeader() error {
	c := r.cur
	if c.open { // a new message before the old one ended: the sender gave that up without an Abort
		c.open, c.buf = false, c.buf[:0]
	}
	if r.format != 0 && !c.seen {
		// RTMP 1.0 §5.3.1.2.1 wants type 0 first; librtmp and others begin with type 1 (SRS, nginx-rtmp take it as well).
		c.ts, c.stream = 0, 0
		if r.format == 2 {
			return fmt.Errorf("%w: chunk stream %d begins with a type 2 chunk", ErrProtocol, c.id)
		}
	}
	ts := uint32(r.hdr[0])<<16 | uint32(r.hdr[1])<<8 | uint32(r.hdr[2])
	if c.ext = ts == maxTimestamp24; !c.ext {
		r.setTime(ts)
	}
	if r.format < 2 {
		c.length = int(r.hdr[3])<<16 | int(r.hdr[4])<<8 | int(r.hdr[5])
		c.typ = r.hdr[6]
		if c.length > r.limits.MessageSize {
			return fmt.Errorf("%w: message of %d bytes, limit %d", ErrProtocol, c.length, r.limits.MessageSize)
		}
	}
	if r.format == 0 {
		c.stream = binary.LittleEndian.Uint32(r.hdr[7:]) // RTMP 1.0 §5.3.1.2.5: "stored in little-endian format"
	}
	c.seen = true
	return nil
}

// setTime takes the timestamp (type 0) or the delta (1, 2) of a header.
func (r *Reader) setTime(v uint32) {
	// RTMP 1.0 §5.3.1.2.4: "If a Type 3 chunk follows a Type 0 chunk, then the timestamp delta for this Type 3
	// chunk is the same as the timestamp of the Type 0 chunk."
	if c := r.cur; r.format == 0 {
		c.ts, c.delta = v, v
	} else {
		c.ts, c.delta = c.ts+v, v
	}
}

// extended handles the four bytes where an extended timestamp may stand.
func (r *Reader) extended(v uint32) (Message, bool, error) {
	c := r.cur
	if r.format < 3 {
		c.extRaw = v
		r.setTime(v)
		return r.beginChunk()
	}
	if r.ext == extUnknown {
		switch {
		case v == c.extRaw || v == c.ts:
			r.ext = extRepeats
		case v == 0:
			// gortmplib 1.0.2 writes four zero bytes. Four bytes of payload may be zero too: decide nothing for later.
		default:
			r.ext = extOmits
			r.pushed, r.nPushed = [4]byte(r.hdr[:4]), 4
		}
	}
	return r.beginChunk()
}

// beginChunk starts a chunk's payload, and a message when none is open.
func (r *Reader) beginChunk() (m Message, ok bool, err error) {
	c := r.cur
	if !c.open {
		if r.format == 3 {
			c.ts += c.delta
		}
		c.open, c.buf = true, c.buf[:0]
	}
	r.left = min(r.chunkSize, c.length-len(c.buf))
	if r.left == 0 {
		return r.endChunk()
	}
	r.expect(readPayload, 0)
	return Message{}, false, nil
}

func (r *Reader) endChunk() (m Message, ok bool, err error) {
	c := r.cur
	r.expect(readBasic, 1)
	if len(c.buf) < c.length {
		return Message{}, false, nil
	}
	c.open = false
	m = Message{ChunkStream: c.id, Type: c.typ, Stream: c.stream, Timestamp: c.ts, Payload: c.buf}
	switch {
	case m.Type == TypeSetChunkSize && len(m.Payload) >= 4:
		n := binary.BigEndian.Uint32(m.Payload) & 0x7fffffff // §5.4.1: "the most significant bit MUST be zero"
		if n == 0 {
			return Message{}, false, fmt.Errorf("%w: chunk size 0", ErrProtocol)
		}
		r.chunkSize = int(min(n, maxChunkSize))
	case m.Type == TypeAbort && len(m.Payload) >= 4:
		id := binary.BigEndian.Uint32(m.Payload)
		for _, s := range r.streams {
			if s.id == id {
				s.open, s.buf = false, s.buf[:0]
			}
		}
	}
	return m, true, nil
}

// appendPayload grows the message's buffer as bytes come, not as the header promises.
func (r *Reader) appendPayload(b []byte) error {
	c := r.cur
	if want := len(c.buf) + len(b); want > cap(c.buf) {
		grown := min(max(want, 4*cap(c.buf), 1024), max(want, c.length))
		if r.buffered+grown > r.limits.Buffered {
			r.release()
		}
		if r.buffered-cap(c.buf)+grown > r.limits.Buffered {
			return fmt.Errorf("%w: unfinished messages hold more than %d bytes", ErrProtocol, r.limits.Buffered)
		}
		r.buffered += grown - cap(c.buf)
		buf := make([]byte, len(c.buf), grown)
		copy(buf, c.buf)
		c.buf = buf
	}
	c.buf = append(c.buf, b...)
	return nil
}

// release gives up the buffers of chunk streams that have no message open.
func (r *Reader) release() {
	for _, s := range r.streams {
		if !s.open {
			r.buffered -= cap(s.buf)
			s.buf = nil
		}
	}
}

func (r *Reader) stream(id uint32) (*readStream, error) {
	for _, s := range r.streams {
		if s.id == id {
			return s, nil
		}
	}
	if len(r.streams) >= r.limits.ChunkStreams {
		return nil, fmt.Errorf("%w: more than %d chunk streams", ErrProtocol, r.limits.ChunkStreams)
	}
	s := &readStream{id: id}
	r.streams = append(r.streams, s)
	return s, nil
}

// setLimits changes what later messages may hold.
func (r *Reader) setLimits(l Limits) { r.limits = l.withDefaults() }
