package media

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
)

// ErrConfig is wrapped by every error about a codec configuration that cannot be used.
var ErrConfig = errors.New("media: unusable codec configuration")

// Config is what a decoder must know before the first frame. It is immutable once shared.
type Config struct {
	Codec Codec

	VPS [][]byte // H265 only: raw NAL units, no start code, no length
	SPS [][]byte // H264, H265
	PPS [][]byte // H264, H265

	ASC            []byte // AAC: AudioSpecificConfig (ISO 14496-3 §1.6.2.1)
	SequenceHeader []byte // AV1: the sequence header OBU with its one header byte and no size field

	Width, Height int     // pixels after cropping; 0 unknown
	FrameRate     float64 // from the stream's own timing information; 0 unknown
	SampleRate    int     // Hz; 0 unknown
	Channels      int     // 0 unknown
}

// Equal reports whether both configurations decode the same frames.
func (c *Config) Equal(o *Config) bool {
	if c == nil || o == nil {
		return c == o
	}
	return c == o || c.Codec == o.Codec &&
		slices.EqualFunc(c.VPS, o.VPS, bytes.Equal) &&
		slices.EqualFunc(c.SPS, o.SPS, bytes.Equal) &&
		slices.EqualFunc(c.PPS, o.PPS, bytes.Equal) &&
		bytes.Equal(c.ASC, o.ASC) &&
		bytes.Equal(c.SequenceHeader, o.SequenceHeader) &&
		c.SampleRate == o.SampleRate && c.Channels == o.Channels
}

// NewH264Config makes a configuration from raw parameter sets. It takes sps and pps.
func NewH264Config(sps, pps [][]byte) (*Config, error) {
	if len(sps) == 0 || len(pps) == 0 {
		return nil, fmt.Errorf("%w: H264 needs an SPS and a PPS, got %d and %d", ErrConfig, len(sps), len(pps))
	}
	var s h264.SPS
	if len(sps[0]) < 4 {
		return nil, fmt.Errorf("%w: H264 SPS of %d bytes", ErrConfig, len(sps[0]))
	}
	if err := s.Unmarshal(sps[0]); err != nil {
		return nil, fmt.Errorf("%w: H264 SPS: %w", ErrConfig, err)
	}
	return &Config{Codec: H264, SPS: sps, PPS: pps, Width: s.Width(), Height: s.Height(), FrameRate: s.FPS()}, nil
}

// NewH265Config makes a configuration from raw parameter sets. It takes vps, sps and pps.
func NewH265Config(vps, sps, pps [][]byte) (*Config, error) {
	if len(vps) == 0 || len(sps) == 0 || len(pps) == 0 {
		return nil, fmt.Errorf("%w: H265 needs a VPS, an SPS and a PPS, got %d, %d and %d", ErrConfig, len(vps), len(sps), len(pps))
	}
	var s h265.SPS
	// 15 bytes: NAL header, profile_tier_level (12) and the first of what follows (H.265 §7.3.2.2).
	if len(sps[0]) < 15 {
		return nil, fmt.Errorf("%w: H265 SPS of %d bytes", ErrConfig, len(sps[0]))
	}
	if err := s.Unmarshal(sps[0]); err != nil {
		return nil, fmt.Errorf("%w: H265 SPS: %w", ErrConfig, err)
	}
	return &Config{Codec: H265, VPS: vps, SPS: sps, PPS: pps, Width: s.Width(), Height: s.Height(), FrameRate: s.FPS()}, nil
}

// NewAACConfig makes a configuration from an AudioSpecificConfig. It takes asc.
func NewAACConfig(asc []byte) (*Config, error) {
	var a mpeg4audio.AudioSpecificConfig
	if err := a.Unmarshal(asc); err != nil {
		return nil, fmt.Errorf("%w: AudioSpecificConfig: %w", ErrConfig, err)
	}
	channels := int(a.ChannelConfig)
	if channels == 7 { // "7.1 channels" is configuration 7 (ISO 14496-3 table 1.19)
		channels = 8
	}
	return &Config{Codec: AAC, ASC: asc, SampleRate: a.SampleRate, Channels: channels}, nil
}

// NewOpusConfig makes a configuration for Opus, whose clock is always 48 kHz (RFC 7845 §4).
func NewOpusConfig(channels int) (*Config, error) {
	if channels < 1 || channels > 255 {
		return nil, fmt.Errorf("%w: Opus with %d channels", ErrConfig, channels)
	}
	return &Config{Codec: Opus, SampleRate: 48000, Channels: channels}, nil
}

// NewMP3Config makes a configuration for MPEG audio layers I to III.
func NewMP3Config(sampleRate, channels int) (*Config, error) {
	if sampleRate <= 0 || channels < 1 || channels > 2 {
		return nil, fmt.Errorf("%w: MPEG audio of %d Hz with %d channels", ErrConfig, sampleRate, channels)
	}
	return &Config{Codec: MP3, SampleRate: sampleRate, Channels: channels}, nil
}

// NewAV1Config makes a configuration from a sequence header OBU: one header byte, no size field. It takes seq.
func NewAV1Config(seq []byte) (*Config, error) {
	if len(seq) < 2 {
		return nil, fmt.Errorf("%w: AV1 sequence header of %d bytes", ErrConfig, len(seq))
	}
	var s av1.SequenceHeader
	if err := s.Unmarshal(seq); err != nil {
		return nil, fmt.Errorf("%w: AV1 sequence header: %w", ErrConfig, err)
	}
	return &Config{Codec: AV1, SequenceHeader: seq, Width: s.Width(), Height: s.Height()}, nil
}
