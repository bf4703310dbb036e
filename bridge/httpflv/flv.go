package httpflv

import (
	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
)

// flvPlayer sends FLV, a tag at a time.
type flvPlayer struct {
	sub     *hub.Subscriber
	out     carrier
	opened  bool
	configs [2]*media.Config // sent: video, audio
	buf     []byte
	parts   [3][]byte // lent to out
}

func (p *flvPlayer) write(f *media.Frame) error {
	if flv.TypeOf(f.Codec) == flv.TagAudio && f.Track > 1 || f.Codec.IsVideo() && f.Track != 0 {
		return nil // FLV has one track of each kind
	}
	ms := uint32(flv.Milliseconds(f.DTS))
	b := p.buf[:0]
	if !p.opened {
		p.opened = true
		b = p.open(b, ms)
	}
	b = p.config(b, f.Config, ms)
	headAt := len(b)
	b = append(b, make([]byte, flv.TagHeaderSize)...)
	b, err := flv.AppendFrameHeader(b, f)
	if err != nil {
		return nil // a codec FLV has no form for: its track is left out
	}
	size := len(b) - headAt - flv.TagHeaderSize + len(f.Payload)
	flv.AppendTagHeader(b[:headAt], flv.TypeOf(f.Codec), size, ms)
	head := len(b)
	b = flv.AppendTagTrailer(b, size)
	p.buf = b
	p.parts = [3][]byte{b[:head], f.Payload, b[head:]}
	return p.out.send(p.parts[:]...)
}

// open appends the file header, onMetaData and every sequence header known.
func (p *flvPlayer) open(b []byte, ms uint32) []byte {
	tracks := p.sub.Tracks()
	var video, audio bool
	for _, c := range tracks {
		video = video || c.Codec.IsVideo()
		audio = audio || c.Codec.IsAudio()
	}
	b = flv.AppendFileHeader(b, video, audio)
	// Metadata stands at time 0: ffmpeg takes any later script tag for a subtitle track.
	b = flv.AppendTag(b, flv.TagScript, 0, flv.AppendMetadata(nil, tracks...))
	for _, c := range tracks {
		b = p.config(b, c, ms)
	}
	return b
}

// config appends a sequence header unless it is the one sent last.
func (p *flvPlayer) config(b []byte, c *media.Config, ms uint32) []byte {
	kind := 0
	if c.Codec.IsAudio() {
		kind = 1
	}
	if p.configs[kind] == c || !flv.HasConfig(c.Codec) {
		return b
	}
	p.configs[kind] = c
	body, err := flv.AppendConfig(nil, c)
	if err != nil {
		return b
	}
	return flv.AppendTag(b, flv.TypeOf(c.Codec), ms, body)
}
