package media

import (
	"encoding/binary"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
)

// AppendAVCRecord appends the AVCDecoderConfigurationRecord (ISO 14496-15 §5.3.3.1) of an H264 configuration,
// with 4-byte NAL lengths.
func AppendAVCRecord(dst []byte, c *Config) []byte {
	sps := c.SPS[0]
	dst = append(dst, 1, sps[1], sps[2], sps[3], 0xff, 0xe0|byte(min(len(c.SPS), 31)))
	for _, s := range c.SPS[:min(len(c.SPS), 31)] {
		dst = appendRecordNAL(dst, s)
	}
	dst = append(dst, byte(min(len(c.PPS), 255)))
	for _, p := range c.PPS[:min(len(c.PPS), 255)] {
		dst = appendRecordNAL(dst, p)
	}
	// "if (profile_idc == 100 || 110 || 122 || 144)": chroma format and bit depths follow.
	switch sps[1] {
	case 100, 110, 122, 144:
		var s h264.SPS
		if s.Unmarshal(sps) == nil {
			dst = append(dst, 0xfc|byte(s.ChromaFormatIdc), 0xf8|byte(s.BitDepthLumaMinus8), 0xf8|byte(s.BitDepthChromaMinus8), 0)
		}
	}
	return dst
}

func appendRecordNAL(dst, n []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(n)))
	return append(dst, n...)
}

// ParseAVCRecord reads an AVCDecoderConfigurationRecord; it also returns the size of NAL lengths (1, 2 or 4).
// The configuration holds copies.
func ParseAVCRecord(b []byte) (*Config, int, error) {
	r := recordReader{b: b}
	head := r.take(6)
	if head == nil || head[0] != 1 {
		return nil, 0, fmt.Errorf("%w: not an AVCDecoderConfigurationRecord", ErrConfig)
	}
	size := int(head[4]&3) + 1
	var sps, pps [][]byte
	for range head[5] & 0x1f {
		sps = append(sps, r.nal())
	}
	if n := r.take(1); n != nil {
		for range n[0] {
			pps = append(pps, r.nal())
		}
	}
	if r.bad || size == 3 {
		return nil, 0, fmt.Errorf("%w: truncated AVCDecoderConfigurationRecord", ErrConfig)
	}
	c, err := NewH264Config(sps, pps)
	return c, size, err
}

// AppendHEVCRecord appends the HEVCDecoderConfigurationRecord (ISO 14496-15 §8.3.3.1) of an H265 configuration,
// with 4-byte NAL lengths.
func AppendHEVCRecord(dst []byte, c *Config) []byte {
	ptl := make([]byte, 12) // general profile space to general level (H.265 §7.3.3)
	copy(ptl, h264.EmulationPreventionRemove(c.SPS[0])[3:])
	var s h265.SPS
	chroma, luma8, chroma8 := byte(1), byte(0), byte(0)
	layers, nested := byte(1), byte(1)
	if s.Unmarshal(c.SPS[0]) == nil {
		chroma, luma8, chroma8 = byte(s.ChromaFormatIdc), byte(s.BitDepthLumaMinus8), byte(s.BitDepthChromaMinus8)
		layers = s.MaxSubLayersMinus1 + 1
		if !s.TemporalIDNestingFlag {
			nested = 0
		}
	}
	dst = append(dst, 1)
	dst = append(dst, ptl...)
	dst = append(dst, 0xf0, 0, // min_spatial_segmentation_idc 0: unknown
		0xfc,                                        // parallelismType 0: unknown
		0xfc|chroma, 0xf8|luma8, 0xf8|chroma8, 0, 0, // avgFrameRate 0: unspecified
		layers<<3|nested<<2|3, 3)
	for _, a := range [...]struct {
		typ  byte
		nals [][]byte
	}{{H265NALVPS, c.VPS}, {H265NALSPS, c.SPS}, {H265NALPPS, c.PPS}} {
		dst = append(dst, 0x80|a.typ) // array_completeness 1
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(a.nals)))
		for _, n := range a.nals {
			dst = appendRecordNAL(dst, n)
		}
	}
	return dst
}

// ParseHEVCRecord reads an HEVCDecoderConfigurationRecord; it also returns the size of NAL lengths (1, 2 or 4).
// The configuration holds copies.
func ParseHEVCRecord(b []byte) (*Config, int, error) {
	r := recordReader{b: b}
	head := r.take(23)
	if head == nil || head[0] != 1 {
		return nil, 0, fmt.Errorf("%w: not an HEVCDecoderConfigurationRecord", ErrConfig)
	}
	size := int(head[21]&3) + 1
	sets := map[byte][][]byte{}
	for range head[22] {
		a := r.take(3)
		if a == nil {
			break
		}
		for range binary.BigEndian.Uint16(a[1:]) {
			n := r.nal()
			if r.bad {
				break
			}
			sets[a[0]&0x3f] = append(sets[a[0]&0x3f], n)
		}
	}
	if r.bad || size == 3 {
		return nil, 0, fmt.Errorf("%w: truncated HEVCDecoderConfigurationRecord", ErrConfig)
	}
	c, err := NewH265Config(sets[H265NALVPS], sets[H265NALSPS], sets[H265NALPPS])
	return c, size, err
}

type recordReader struct {
	b   []byte
	bad bool
}

func (r *recordReader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

// nal returns a copy of the next length16-prefixed NAL unit.
func (r *recordReader) nal() []byte {
	l := r.take(2)
	if l == nil {
		return nil
	}
	n := r.take(int(binary.BigEndian.Uint16(l)))
	return append([]byte(nil), n...)
}

// AppendAV1Record appends the AV1CodecConfigurationRecord (av1-isobmff §2.3.3) of an AV1 configuration.
func AppendAV1Record(dst []byte, c *Config) []byte {
	var s av1.SequenceHeader
	third := byte(0x0c) // 4:2:0, 8 bits, the profile nearly every encoder writes
	second := byte(0)
	if s.Unmarshal(c.SequenceHeader) == nil {
		second = s.SeqProfile<<5 | s.SeqLevelIdx[0]&0x1f
		third = 0
		if s.SeqTier[0] {
			third |= 0x80
		}
		if s.ColorConfig.HighBitDepth {
			third |= 0x40
		}
		if s.ColorConfig.TwelveBit {
			third |= 0x20
		}
		if s.ColorConfig.MonoChrome {
			third |= 0x10
		}
		if s.ColorConfig.SubsamplingX {
			third |= 0x08
		}
		if s.ColorConfig.SubsamplingY {
			third |= 0x04
		}
	}
	dst = append(dst, 0x81, second, third, 0)
	// configOBUs: the sequence header in low-overhead format, obu_has_size_field set (§5.5).
	dst = append(dst, 0x0a)
	dst = binary.AppendUvarint(dst, uint64(len(c.SequenceHeader)-1))
	return append(dst, c.SequenceHeader[1:]...)
}

// ParseAV1Record reads an AV1CodecConfigurationRecord. The configuration holds a copy.
func ParseAV1Record(b []byte) (*Config, error) {
	if len(b) < 6 || b[0] != 0x81 {
		return nil, fmt.Errorf("%w: not an AV1CodecConfigurationRecord", ErrConfig)
	}
	b = b[4:]
	head, b := b[0], b[1:]
	if head>>3&0xf != 1 { // OBU_SEQUENCE_HEADER
		return nil, fmt.Errorf("%w: AV1 record without a sequence header", ErrConfig)
	}
	if head&4 != 0 { // extension
		b = b[min(1, len(b)):]
	}
	if head&2 != 0 {
		n, l := binary.Uvarint(b)
		if l <= 0 || n > uint64(len(b)-l) {
			return nil, fmt.Errorf("%w: truncated AV1 sequence header", ErrConfig)
		}
		b = b[l : l+int(n)]
	}
	return NewAV1Config(append([]byte{0x08}, b...))
}
