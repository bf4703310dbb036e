package rtmp

import (
	"time"

	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/media"
)

// FrameWriter turns the frames of a stream into messages: onMetaData and the sequence headers first, each header again
// where it changes, and then frames whose payload is shared, not copied. One video and one audio track are carried; the
// frames of further tracks are counted and left out. It is owned by one goroutine.
type FrameWriter struct {
	m       *MediaWriter
	publish bool
	base    time.Duration
	form    flv.Form
	started bool
	kinds   [2]kind // video, audio
	scratch []byte  // bodies and headers lent until Flushed
	stats   FrameStats
}

// kind is what was sent of one kind of track.
type kind struct {
	track  uint8
	known  bool
	config *media.Config
}

// FrameStats counts what a FrameWriter has done.
type FrameStats struct {
	Frames  uint64
	Bytes   uint64 // payload
	Configs uint64 // sequence headers
	Extra   uint64 // frames left out: of a further track
	Early   uint64 // frames left out: of a time before the first message's
	NoForm  uint64 // frames left out: FLV has no form for the codec
}

// NewFrameWriter returns a writer for m. base is the stream time that is sent as 0, whole milliseconds are used;
// publish puts @setDataFrame before the metadata.
func NewFrameWriter(m *MediaWriter, base time.Duration, publish bool) *FrameWriter {
	return &FrameWriter{m: m, base: base.Truncate(time.Millisecond), publish: publish}
}

// SetForm chooses how codecs are put that FLV has more than one form for; before the first frame.
func (w *FrameWriter) SetForm(f flv.Form) { w.form = f }

// Stats returns the counters.
func (w *FrameWriter) Stats() FrameStats { return w.stats }

// Flushed says that what AppendFrame lent has been written.
func (w *FrameWriter) Flushed() {
	w.scratch = w.scratch[:0]
	w.m.Flushed()
}

// AppendFrame appends the messages that carry f to a list of buffers for writev, lent until Flushed; f's payload must
// not change until then. tracks: all configurations known, used with the first frame.
func (w *FrameWriter) AppendFrame(dst [][]byte, f *media.Frame, tracks []*media.Config) [][]byte {
	if f.DTS < w.base {
		w.stats.Early++
		return dst
	}
	i, typ := 0, uint8(TypeVideo)
	if f.Codec.IsAudio() {
		i, typ = 1, TypeAudio
	}
	k := &w.kinds[i]
	if k.known && k.track != f.Track {
		w.stats.Extra++
		return dst
	}
	ms := uint32(flv.Milliseconds(f.DTS - w.base))
	if !w.started {
		w.started = true
		dst = w.appendStart(dst, ms, f, tracks)
	}
	k.known, k.track = true, f.Track
	if f.Config != k.config {
		if !f.Config.Equal(k.config) {
			k.config = f.Config
			dst = w.appendMetadata(dst, ms, []*media.Config{w.kinds[0].config, w.kinds[1].config})
			dst = w.appendConfig(dst, ms, f.Config)
		}
		k.config = f.Config
	}
	start := len(w.scratch)
	head, err := w.form.AppendFrameHeader(w.scratch, f)
	if err != nil {
		w.stats.NoForm++
		return dst
	}
	w.scratch = head
	w.stats.Frames++
	w.stats.Bytes += uint64(len(f.Payload))
	return w.m.Scatter(dst, typ, ms, head[start:len(head):len(head)], f.Payload)
}

// appendStart appends the metadata and the sequence headers of both kinds, all at the first frame's time.
func (w *FrameWriter) appendStart(dst [][]byte, ms uint32, f *media.Frame, tracks []*media.Config) [][]byte {
	var first [2]*media.Config
	for _, c := range tracks {
		i := 0
		if c.Codec.IsAudio() {
			i = 1
		}
		if first[i] == nil {
			first[i] = c
		}
	}
	if f.Config != nil { // what decodes this frame, where the track has moved on since
		if f.Codec.IsAudio() {
			first[1] = f.Config
		} else {
			first[0] = f.Config
		}
	}
	// At time 0: ffmpeg takes a later script message for a subtitle track.
	dst = w.appendMetadata(dst, 0, first[:])
	for i, c := range first {
		if c != nil {
			dst = w.appendConfig(dst, ms, c)
			w.kinds[i].config = c
		}
	}
	return dst
}

func (w *FrameWriter) appendMetadata(dst [][]byte, ms uint32, configs []*media.Config) [][]byte {
	script := w.form.AppendMetadata(nil, configs...)
	if w.publish {
		script = MetadataPayload(nil, script)
	}
	return w.m.Scatter(dst, TypeDataAMF0, ms, script, nil)
}

func (w *FrameWriter) appendConfig(dst [][]byte, ms uint32, c *media.Config) [][]byte {
	if !flv.HasConfig(c.Codec) {
		return dst
	}
	body, err := w.form.AppendConfig(nil, c)
	if err != nil {
		w.stats.NoForm++
		return dst
	}
	w.stats.Configs++
	typ := uint8(TypeVideo)
	if c.Codec.IsAudio() {
		typ = TypeAudio
	}
	return w.m.Scatter(dst, typ, ms, body, nil)
}

// Unwrapper makes one line of the 32-bit times of a connection (RTMP 1.0 §3: "serial number arithmetic").
// The zero value is ready.
type Unwrapper struct {
	started bool
	last    uint32
	at      int64
}

// Unwrap returns ms as a time that does not wrap; it may go back by up to 2^31 ms, no further.
func (u *Unwrapper) Unwrap(ms uint32) time.Duration {
	if !u.started {
		u.started, u.last, u.at = true, ms, int64(ms)
	}
	u.at += int64(int32(ms - u.last))
	u.last = ms
	return time.Duration(u.at) * time.Millisecond
}
