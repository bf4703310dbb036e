package push

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/pmp4"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// mp4Source gives the samples of a plain (not fragmented) MP4 in the order of their decoding times.
type mp4Source struct {
	*os.File
	tracks []*mp4Track
}

type mp4Track struct {
	*pmp4.Track
	number uint8
	config *media.Config
	next   int
	at     int64 // decoding time of the next sample, in the track's scale
}

func openMP4(f *os.File) (source, error) {
	var p pmp4.Presentation
	if err := p.Unmarshal(f); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("MP4: no table of samples can be read (is the file cut off, fragmented or above 4 GB? ffmpeg -i FILE -c copy -f mpegts - | fairlead push - reads those that are whole): %w", err)
	}
	s := &mp4Source{File: f}
	for _, t := range p.Tracks {
		c, err := mp4Config(t.Codec)
		if err != nil {
			_ = f.Close()
			return nil, err
		}
		if c != nil && t.TimeScale > 0 {
			s.tracks = append(s.tracks, &mp4Track{Track: t, number: uint8(len(s.tracks)), config: c, at: int64(t.TimeOffset)})
		}
	}
	return s, nil
}

// mp4Config is a codec's configuration; nil for codecs we do not carry.
func mp4Config(c codecs.Codec) (*media.Config, error) {
	switch c := c.(type) {
	case *codecs.H264:
		return media.NewH264Config([][]byte{c.SPS}, [][]byte{c.PPS})
	case *codecs.H265:
		return media.NewH265Config([][]byte{c.VPS}, [][]byte{c.SPS}, [][]byte{c.PPS})
	case *codecs.AV1:
		return media.NewAV1Config(c.SequenceHeader)
	case *codecs.MPEG4Audio:
		asc, err := c.Config.Marshal()
		if err != nil {
			return nil, fmt.Errorf("MP4: AudioSpecificConfig: %w", err)
		}
		return media.NewAACConfig(asc)
	case *codecs.Opus:
		return media.NewOpusConfig(c.ChannelCount)
	case *codecs.MPEG1Audio:
		return media.NewMP3Config(c.SampleRate, c.ChannelCount)
	}
	return nil, nil
}

func (t *mp4Track) time(ticks int64) time.Duration {
	scale := int64(t.TimeScale)
	return time.Duration(ticks/scale)*time.Second + time.Duration(ticks%scale)*time.Second/time.Duration(scale)
}

func (s *mp4Source) next() (*media.Frame, error) {
	var t *mp4Track
	for _, o := range s.tracks {
		if o.next < len(o.Samples) && (t == nil || o.time(o.at) < t.time(t.at)) {
			t = o
		}
	}
	if t == nil {
		return nil, io.EOF
	}
	sample := t.Samples[t.next]
	b, err := sample.GetPayload()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("MP4: the file is cut off at %v: sample %d of %d is not in it", t.time(t.at).Round(time.Millisecond), t.next, len(t.Samples))
	}
	if err != nil {
		return nil, fmt.Errorf("MP4: sample %d: %w", t.next, err)
	}
	f := &media.Frame{Track: t.number, Codec: t.config.Codec, Config: t.config, Payload: b,
		DTS: t.time(t.at), PTS: t.time(t.at + int64(sample.PTSOffset))}
	t.next++
	t.at += int64(sample.Duration)
	switch {
	case f.Codec == media.H264 || f.Codec == media.H265:
		au := media.SplitAccessUnit(make([]byte, 0, len(b)), f.Codec, media.NALs(b))
		f.Payload, f.Flags = au.Payload, au.Flags
	case f.Codec.IsAudio() || !sample.IsNonSyncSample:
		f.Flags = media.Key
	}
	return f, nil
}
