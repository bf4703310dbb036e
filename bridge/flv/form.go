package flv

import (
	"github.com/fairlead-live/fairlead/bridge/amf"
	"github.com/fairlead-live/fairlead/bridge/media"
)

// Form says how a writer puts codecs that FLV has more than one form for. The zero value is the specifications': Enhanced RTMP.
type Form struct {
	HEVC12 bool // H.265 as codec 12 of old FLV: in no specification, and what CDN tiers take that do not know Enhanced RTMP
}

func (f Form) legacy(c media.Codec) bool { return f.HEVC12 && c == media.H265 }

// AppendConfig is the package's, in this form.
func (f Form) AppendConfig(dst []byte, c *media.Config) ([]byte, error) {
	if f.legacy(c.Codec) {
		return media.AppendHEVCRecord(append(dst, frameKey|codecHEVC12, packetSequenceStart, 0, 0, 0), c), nil
	}
	return AppendConfig(dst, c)
}

// AppendFrameHeader is the package's, in this form.
func (f Form) AppendFrameHeader(dst []byte, fr *media.Frame) ([]byte, error) {
	if f.legacy(fr.Codec) {
		return appendAVCHeader(dst, codecHEVC12, fr), nil
	}
	return AppendFrameHeader(dst, fr)
}

// AppendMetadata is the package's, in this form.
func (f Form) AppendMetadata(dst []byte, configs ...*media.Config) []byte {
	m := Metadata(configs...)
	for i := range m {
		if m[i].Key == "videocodecid" && f.HEVC12 && m[i].Value == codecID(media.H265) {
			m[i].Value = codecHEVC12
		}
	}
	return amf.Append(dst, "onMetaData", m)
}

// appendAVCHeader appends the header of old FLV for pictures with a composition time.
func appendAVCHeader(dst []byte, codec byte, f *media.Frame) []byte {
	first := byte(frameInter)
	if f.Flags.Has(media.Key) {
		first = frameKey
	}
	cts := Milliseconds(f.PTS) - Milliseconds(f.DTS)
	return append(dst, first|codec, packetCodedFrames, byte(cts>>16), byte(cts>>8), byte(cts))
}
