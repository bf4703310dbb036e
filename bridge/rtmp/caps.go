package rtmp

import (
	"slices"

	"github.com/fairlead-live/fairlead/bridge/amf"
)

// What a peer can do with a codec: values of videoFourCcInfoMap and audioFourCcInfoMap (E-RTMP v2, "Enhancing
// NetConnection connect Command").
const (
	CanDecode  = 1
	CanEncode  = 2
	CanForward = 4
)

// Bits of capsEx (E-RTMP v2).
const (
	CapReconnect      = 1
	CapMultitrack     = 2
	CapModEx          = 4
	CapTimestampNanos = 8
)

// Caps is what a peer says in connect, or in its answer, about Enhanced RTMP. The zero value: nothing.
type Caps struct {
	FourCCs []string // fourCcList of v1, in order; "*" is any
	Video   []FourCC // videoFourCcInfoMap of v2
	Audio   []FourCC
	Ex      int // capsEx
}

// FourCC is one entry of a codec map: "*" is any codec.
type FourCC struct {
	Name  string
	Flags int // CanDecode, CanEncode, CanForward
}

// Enhanced reports whether the peer speaks Enhanced RTMP at all.
func (c Caps) Enhanced() bool { return len(c.FourCCs)+len(c.Video)+len(c.Audio) > 0 || c.Ex != 0 }

// Takes reports whether the peer says it can decode or forward fourCC. Many that can say nothing.
func (c Caps) Takes(fourCC string) bool {
	for _, m := range [][]FourCC{c.Video, c.Audio} {
		for _, f := range m {
			if (f.Name == fourCC || f.Name == "*") && f.Flags&(CanDecode|CanForward) != 0 {
				return true
			}
		}
	}
	return slices.Contains(c.FourCCs, fourCC) || slices.Contains(c.FourCCs, "*")
}

// ourCaps is what this side announces: the codecs of bridge/media, carried on as they are.
func ourCaps(flags, ex int) Caps {
	video, audio := []string{"avc1", "hvc1", "av01"}, []string{"mp4a", "Opus", ".mp3"}
	c := Caps{FourCCs: append(slices.Clone(video), audio...), Ex: ex}
	for _, n := range video {
		c.Video = append(c.Video, FourCC{n, flags})
	}
	for _, n := range audio {
		c.Audio = append(c.Audio, FourCC{n, flags})
	}
	return c
}

// appendTo appends the properties to a command object.
func (c Caps) appendTo(o amf.Object) amf.Object {
	list := amf.StrictArray{}
	for _, n := range c.FourCCs {
		list = append(list, n)
	}
	info := func(in []FourCC) (out amf.Object) {
		for _, f := range in {
			out = append(out, amf.Pair{Key: f.Name, Value: float64(f.Flags)})
		}
		return out
	}
	return append(o,
		amf.Pair{Key: "fourCcList", Value: list},
		amf.Pair{Key: "videoFourCcInfoMap", Value: info(c.Video)},
		amf.Pair{Key: "audioFourCcInfoMap", Value: info(c.Audio)},
		amf.Pair{Key: "capsEx", Value: float64(c.Ex)},
	)
}

// capsOf reads them from the objects of a connect or its answer; servers differ in which of the two they use.
func capsOf(objects ...amf.Object) Caps {
	var c Caps
	info := func(v any) (out []FourCC) {
		for _, p := range toObject(v) {
			if n, ok := p.Value.(float64); ok {
				out = append(out, FourCC{p.Key, int(n)})
			}
		}
		return out
	}
	for _, o := range objects {
		if list, ok := o.Get("fourCcList").(amf.StrictArray); ok && c.FourCCs == nil {
			for _, v := range list {
				if s, ok := v.(string); ok {
					c.FourCCs = append(c.FourCCs, s)
				}
			}
		}
		if c.Video == nil {
			c.Video = info(o.Get("videoFourCcInfoMap"))
		}
		if c.Audio == nil {
			c.Audio = info(o.Get("audioFourCcInfoMap"))
		}
		if n, ok := o.Get("capsEx").(float64); ok {
			c.Ex |= int(n)
		}
	}
	return c
}
