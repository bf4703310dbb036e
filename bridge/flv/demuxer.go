package flv

import (
	"encoding/binary"
	"errors"
	"time"
)

// MaxTag bounds the body of a tag that Demuxer accepts, and so its memory: a 4K intra frame is under 4 MB. Ours.
const MaxTag = 8 << 20

// ErrStream says that bytes are not an FLV stream; there is no resynchronisation in FLV.
var ErrStream = errors.New("flv: not an FLV stream")

// Tag is one tag of a stream.
type Tag struct {
	Type TagType
	Time time.Duration // unwrapped: 32-bit milliseconds roll over every 49.7 days
	Body []byte        // lent until the next call
}

// Demuxer cuts an FLV stream into tags. Write bytes as they come, then call Next until it says false.
// It buffers at most one tag and what was last written.
type Demuxer struct {
	buf    []byte
	off    int
	opened bool
	last   int64 // unwrapped ms
	any    bool
	err    error
}

// Write takes a copy of b. The error is ErrStream, for good.
func (d *Demuxer) Write(b []byte) error {
	if d.err != nil {
		return d.err
	}
	if d.off > 0 {
		d.buf = d.buf[:copy(d.buf, d.buf[d.off:])]
		d.off = 0
	}
	d.buf = append(d.buf, b...)
	return d.open()
}

func (d *Demuxer) open() error {
	if d.opened || len(d.buf) < 9 {
		return nil
	}
	n := binary.BigEndian.Uint32(d.buf[5:])
	if string(d.buf[:3]) != "FLV" || n < 9 || n > 1024 {
		d.err = ErrStream
		return d.err
	}
	if len(d.buf) >= int(n)+4 {
		d.off = int(n) + 4
		d.opened = true
	}
	return nil
}

// Next returns the next whole tag; false when more bytes are needed or the stream is broken (Err).
func (d *Demuxer) Next() (Tag, bool) {
	b := d.buf[d.off:]
	if !d.opened || d.err != nil || len(b) < TagHeaderSize {
		return Tag{}, false
	}
	n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	typ := TagType(b[0] & 0x1f)
	if n > MaxTag || typ != TagAudio && typ != TagVideo && typ != TagScript {
		d.err = ErrStream
		return Tag{}, false
	}
	if len(b) < TagHeaderSize+n+TagTrailerSize {
		return Tag{}, false
	}
	d.off += TagHeaderSize + n + TagTrailerSize
	ms := uint32(b[7])<<24 | uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6])
	return Tag{Type: typ, Time: d.unwrap(ms), Body: b[TagHeaderSize : TagHeaderSize+n]}, true
}

// Err returns why Next says false for good, nil while it may go on.
func (d *Demuxer) Err() error { return d.err }

func (d *Demuxer) unwrap(ms uint32) time.Duration {
	if !d.any {
		d.any = true
		d.last = int64(ms)
	} else {
		d.last += int64(int32(ms - uint32(d.last)))
	}
	return time.Duration(d.last) * time.Millisecond
}
