package rtmp

// MediaWriter turns media into chunks on the chunk streams for audio, video and data, which nothing else uses. It is
// owned by one goroutine, and may be used beside a Client or Server as long as each write to the socket is whole.
type MediaWriter struct {
	w      *Writer
	stream uint32
}

func newMediaWriter(chunkSize int, stream uint32) *MediaWriter {
	return &MediaWriter{w: NewWriter(chunkSize), stream: stream}
}

func (m *MediaWriter) message(typ uint8, ms uint32, body []byte) Message {
	id := uint32(chunkData)
	switch typ {
	case TypeAudio:
		id = chunkAudio
	case TypeVideo:
		id = chunkVideo
	}
	return Message{ChunkStream: id, Type: typ, Stream: m.stream, Timestamp: ms, Payload: body}
}

// Append appends one message of type typ at ms, body copied.
func (m *MediaWriter) Append(dst []byte, typ uint8, ms uint32, body []byte) []byte {
	return m.w.Append(dst, m.message(typ, ms, body))
}

// Scatter appends one message whose payload is head and tail to a list of buffers, nothing copied: see Writer.Scatter.
func (m *MediaWriter) Scatter(dst [][]byte, typ uint8, ms uint32, head, tail []byte) [][]byte {
	return m.w.Scatter(dst, m.message(typ, ms, head), tail)
}

// Flushed says that what Scatter lent has been written.
func (m *MediaWriter) Flushed() { m.w.Flushed() }
