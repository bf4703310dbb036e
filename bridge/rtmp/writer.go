package rtmp

import "encoding/binary"

// writeStream is the writer's half of one chunk stream: the header it sent last.
type writeStream struct {
	id, ts, delta, stream uint32
	length                int
	typ                   uint8
	afterZero             bool // the last header was type 0: its "delta" would be the whole timestamp
}

// Writer turns messages into chunks. It is owned by one goroutine.
//
// It is strict: type 0 where the timestamp is lower than the last or the step needs more than 24 bits, the extended
// timestamp repeated in every type 3 chunk (RTMP 1.0 §5.3.1.3), and no type 3 chunk begins a message behind a type 0 one.
type Writer struct {
	chunkSize int
	streams   []writeStream
	headers   []byte // where Scatter keeps headers until Flushed
}

// NewWriter returns a writer that cuts chunks of chunkSize bytes; 0 means the protocol's 128.
// The peer must have been told: AppendSetChunkSize does both.
func NewWriter(chunkSize int) *Writer {
	if chunkSize <= 0 {
		chunkSize = defaultChunkSize
	}
	return &Writer{chunkSize: min(chunkSize, maxChunkSize)}
}

// AppendSetChunkSize appends the message that announces n and uses it from then on.
func (w *Writer) AppendSetChunkSize(dst []byte, n int) []byte {
	n = min(max(n, 1), maxChunkSize)
	var scratch [4]byte
	dst = w.Append(dst, control(TypeSetChunkSize, scratch[:0], uint32(n)))
	w.chunkSize = n
	return dst
}

// Append appends m as chunks, payload copied.
func (w *Writer) Append(dst []byte, m Message) []byte {
	dst, ext := w.appendHeader(dst, &m, len(m.Payload))
	b := m.Payload
	for {
		k := min(len(b), w.chunkSize)
		dst = append(dst, b[:k]...)
		if b = b[k:]; len(b) == 0 {
			return dst
		}
		dst = appendContinuation(dst, &m, ext)
	}
}

// Scatter appends m to dst as a list of buffers for writev: headers of its own between views of the payload, which
// is m.Payload followed by tail, neither copied. All are lent until Flushed, and the payload must not change until then.
func (w *Writer) Scatter(dst [][]byte, m Message, tail []byte) [][]byte {
	start := len(w.headers)
	var ext bool
	w.headers, ext = w.appendHeader(w.headers, &m, len(m.Payload)+len(tail))
	a, b := m.Payload, tail
	for {
		dst = append(dst, w.headers[start:len(w.headers):len(w.headers)])
		room := w.chunkSize
		if k := min(len(a), room); k > 0 {
			dst = append(dst, a[:k])
			a, room = a[k:], room-k
		}
		if k := min(len(b), room); k > 0 && len(a) == 0 {
			dst = append(dst, b[:k])
			b = b[k:]
		}
		if len(a)+len(b) == 0 {
			return dst
		}
		start = len(w.headers)
		w.headers = appendContinuation(w.headers, &m, ext)
	}
}

// Flushed says that what Scatter lent has been written, so that its header space is free again.
func (w *Writer) Flushed() { w.headers = w.headers[:0] }

// appendHeader appends the first header of m, whose payload is n bytes long. ext: it has an extended timestamp.
func (w *Writer) appendHeader(dst []byte, m *Message, n int) (_ []byte, ext bool) {
	s, known := w.stream(m.ChunkStream)
	delta := m.Timestamp - s.ts
	format := byte(1)
	switch {
	case !known || s.stream != m.Stream || m.Timestamp < s.ts || delta >= maxTimestamp24:
		format = 0
	case s.length == n && s.typ == m.Type:
		format = 2
		if delta == s.delta && !s.afterZero {
			format = 3
		}
	}
	dst = appendBasic(dst, format, m.ChunkStream)
	if format < 3 {
		v := delta
		if format == 0 {
			v = m.Timestamp
		}
		ext = v >= maxTimestamp24
		dst = appendUint24(dst, min(v, maxTimestamp24))
		if format < 2 {
			dst = append(appendUint24(dst, uint32(n)), m.Type)
		}
		if format == 0 {
			dst = binary.LittleEndian.AppendUint32(dst, m.Stream)
		}
		if ext {
			dst = binary.BigEndian.AppendUint32(dst, v)
		}
	}
	s.ts, s.delta, s.stream, s.length, s.typ, s.afterZero = m.Timestamp, delta, m.Stream, n, m.Type, format == 0
	return dst, ext
}

// appendContinuation appends the header of a type 3 chunk inside m. Only type 0 headers of ours have an extended
// timestamp, so the repeated value is the message's own.
func appendContinuation(dst []byte, m *Message, ext bool) []byte {
	dst = appendBasic(dst, 3, m.ChunkStream)
	if ext {
		dst = binary.BigEndian.AppendUint32(dst, m.Timestamp)
	}
	return dst
}

// appendBasic appends the basic header (RTMP 1.0 §5.3.1.1).
func appendBasic(dst []byte, format byte, id uint32) []byte {
	switch {
	case id < 64:
		return append(dst, format<<6|byte(id))
	case id < 64+256:
		return append(dst, format<<6, byte(id-64))
	default:
		return append(dst, format<<6|1, byte(id-64), byte((id-64)>>8))
	}
}

func appendUint24(dst []byte, v uint32) []byte { return append(dst, byte(v>>16), byte(v>>8), byte(v)) }

func (w *Writer) stream(id uint32) (s *writeStream, known bool) {
	for i := range w.streams {
		if w.streams[i].id == id {
			return &w.streams[i], true
		}
	}
	w.streams = append(w.streams, writeStream{id: id})
	return &w.streams[len(w.streams)-1], false
}
