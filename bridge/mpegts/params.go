package mpegts

import (
	"bytes"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// maxSets of a kind are kept, and maxSetBytes of each: 32 SPS are allowed (H.264 §7.4.2.1), 256 PPS too, but nobody has them.
const (
	maxSets     = 32
	maxSetBytes = 4096
)

// parameters brings the configuration of a track up to date with an access unit's parameter sets.
//
// A set replaces the one of the same id and others stay, as in a decoder. When the SPS of a keyframe that
// brings a set of every kind is new, the encoder began anew: then only the sets of this keyframe count.
// The pointer changes only when a byte does; sets that cannot be parsed change nothing.
func (t *track) parameters(au *media.AccessUnit) {
	var old media.Config
	if t.config != nil {
		old = *t.config
	} else {
		// Until the first configuration is whole, its parts wait in pending.
		old = t.pending
	}
	complete := len(au.SPS) > 0 && len(au.PPS) > 0 && (t.codec != media.H265 || len(au.VPS) > 0)
	if complete && au.Flags.Has(media.Key) && !contains(old.SPS, au.SPS[0]) {
		old = media.Config{}
	}
	vps, a := merge(old.VPS, au.VPS, func(n []byte) uint32 { return bitField(n, 16, 4) })
	sps, b := merge(old.SPS, au.SPS, func(n []byte) uint32 { return spsID(t.codec, n) })
	pps, c := merge(old.PPS, au.PPS, func(n []byte) uint32 { return ppsID(t.codec, n) })
	if !a && !b && !c {
		return
	}
	var cfg *media.Config
	var err error
	if t.codec == media.H264 {
		cfg, err = media.NewH264Config(sps, pps)
	} else {
		cfg, err = media.NewH265Config(vps, sps, pps)
	}
	switch {
	case err == nil:
		t.config, t.pending = cfg, media.Config{}
	case t.config == nil && !complete:
		t.pending = media.Config{VPS: vps, SPS: sps, PPS: pps}
	}
}

func contains(sets [][]byte, n []byte) bool {
	for _, s := range sets {
		if bytes.Equal(s, n) {
			return true
		}
	}
	return false
}

// merge returns the sets of old with those of add in their places, and whether that is a difference.
// Neither old nor what it holds is changed, and nothing of add is kept.
func merge(old, add [][]byte, id func([]byte) uint32) (out [][]byte, changed bool) {
	out = old
	for _, n := range add {
		if contains(out, n) || len(n) > maxSetBytes {
			continue
		}
		if !changed {
			out, changed = append([][]byte(nil), out...), true
		}
		n = bytes.Clone(n)
		at := -1
		for i, o := range out {
			if id(o) == id(n) {
				at = i
			}
		}
		switch {
		case at >= 0:
			out[at] = n
		case len(out) < maxSets:
			out = append(out, n)
		default:
			out[0] = n
		}
	}
	return out, changed
}

// spsID reads seq_parameter_set_id. Emulation prevention is left in: in these first bytes it would make
// an id wrong only for profiles and levels of 0.
func spsID(codec media.Codec, n []byte) uint32 {
	if codec == media.H264 {
		return golomb(n, 32) // header, profile_idc, constraint flags, level_idc
	}
	// H.265 §7.3.2.2, behind the header of 16 bits: 4 VPS id, 3 max_sub_layers_minus1, 1, profile_tier_level.
	layers := int(bitField(n, 20, 3))
	at := 24 + 96 // general profile, tier and level (§7.3.3)
	if layers > 0 {
		flags := at
		at += 16 // two flags for each of 8 layers, those above layers reserved
		for i := range layers {
			if bitField(n, flags+2*i, 1) == 1 {
				at += 88
			}
			if bitField(n, flags+2*i+1, 1) == 1 {
				at += 8
			}
		}
	}
	return golomb(n, at)
}

// ppsID reads pic_parameter_set_id, the first field behind the header.
func ppsID(codec media.Codec, n []byte) uint32 {
	if codec == media.H264 {
		return golomb(n, 8)
	}
	return golomb(n, 16)
}

// bitField reads n bits at bit position at; what is beyond the end reads as 0.
func bitField(b []byte, at, n int) (v uint32) {
	for i := at; i < at+n; i++ {
		v <<= 1
		if i/8 < len(b) {
			v |= uint32(b[i/8]>>(7-i%8)) & 1
		}
	}
	return v
}

// golomb reads ue(v) (H.264 §9.1) of at most 16 leading zeros.
func golomb(b []byte, at int) uint32 {
	zeros := 0
	for zeros < 16 && bitField(b, at+zeros, 1) == 0 {
		zeros++
	}
	return bitField(b, at+zeros, zeros+1) - 1
}
