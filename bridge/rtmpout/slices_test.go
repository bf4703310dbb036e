package rtmpout

import (
	"bytes"
	"math/bits"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// bitString collects a slice header's bits.
type bitString struct {
	b    []byte
	free int
}

func (s *bitString) put(v uint64, n int) {
	for n--; n >= 0; n-- {
		if s.free == 0 {
			s.b, s.free = append(s.b, 0), 8
		}
		s.free--
		s.b[len(s.b)-1] |= byte(v>>n&1) << s.free
	}
}

// ue is an unsigned Exp-Golomb number (ITU-T H.264 §9.1).
func (s *bitString) ue(v uint64) {
	n := bits.Len64(v + 1)
	s.put(0, n-1)
	s.put(v+1, n)
}

// sliceHeader begins slice i of the show's next picture: what servers read that work out decoding times anew from the order of pictures, as MediaMTX
// does. The rest of the slice is no picture.
func (s *show) sliceHeader(i int, key bool) []byte {
	var h bitString
	since := s.n % s.gop
	order := since + int((s.delay()-s.cts[0])/s.frame) // in which it is shown
	if s.video.Codec == media.H265 {                   // ITU-T H.265 §7.3.6.1, with parameter sets that have no further fields
		h.put(1, 1) // first_slice_segment_in_pic_flag
		if key {
			h.put(0, 1)
			h.ue(0)
			h.ue(2) // I
			return h.end()
		}
		h.ue(0)
		step := uint64(order - since) // further ahead than in decoding order: a P picture
		if len(s.cts) == 1 || step > 0 {
			h.ue(1)
		} else {
			h.ue(0)
		}
		h.put(uint64(order), 8)
		h.put(0, 1) // a short_term_ref_pic_set of its own (§7.3.7)
		if len(s.cts) == 1 || step > 0 {
			h.ue(1)
			h.ue(0)
			h.ue(step)
			h.put(1, 1)
		} else {
			h.ue(1)
			h.ue(1)
			h.ue(0)
			h.put(1, 1)
			h.ue(0)
			h.put(1, 1)
		}
		return h.end()
	}
	var sps h264.SPS // §7.3.3
	if err := sps.Unmarshal(s.video.SPS[0]); err != nil {
		panic(err)
	}
	h.ue(uint64(i))
	if key {
		h.ue(7) // I
	} else {
		h.ue(5) // P
	}
	h.ue(0)
	h.put(uint64(since), int(sps.Log2MaxFrameNumMinus4)+4)
	if key {
		h.ue(0)
	}
	if sps.PicOrderCntType == 0 {
		h.put(uint64(2*order), int(sps.Log2MaxPicOrderCntLsbMinus4)+4)
	}
	h.put(0, 2) // no_output_of_prior_pics_flag and long_term_reference_flag, or no change to the list of references
	if !key {
		h.put(0, 1) // adaptive_ref_pic_marking_mode_flag
		h.ue(0)     // cabac_init_idc
	}
	h.ue(0) // slice_qp_delta
	h.ue(1) // disable_deblocking_filter_idc
	return h.end()
}

// delay is the next picture's PTS - DTS. The first of a group has the first of s.cts, the others go round what follows.
func (s *show) delay() time.Duration {
	k := s.n % s.gop
	if k == 0 || len(s.cts) == 1 {
		return s.cts[0]
	}
	return s.cts[1+(k-1)%(len(s.cts)-1)]
}

// end pads with ones and keeps start codes out.
func (s *bitString) end() []byte {
	s.put(1<<s.free-1, s.free)
	for i := 0; i+2 < len(s.b); i++ {
		if bytes.HasPrefix(s.b[i:], []byte{0, 0}) && s.b[i+2] <= 3 {
			s.b = bytes.Join([][]byte{s.b[:i+2], s.b[i+2:]}, []byte{3})
		}
	}
	return s.b
}
