package httpflv

import (
	"slices"

	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
)

// tsPlayer sends MPEG-TS, the packets of a frame at a time.
type tsPlayer struct {
	sub    *hub.Subscriber
	out    carrier
	mux    *mpegts.Muxer // nil: none yet
	codecs []media.Codec // that mux was made for
	parts  [1][]byte     // the frame's packets, lent to out
}

func (p *tsPlayer) write(f *media.Frame) error {
	configs := p.sub.Tracks()
	if p.mux == nil || !slices.EqualFunc(configs, p.codecs, func(c *media.Config, k media.Codec) bool { return c.Codec == k }) {
		mux, err := mpegts.NewMuxer(mpegts.TracksOfConfigs(configs))
		if err != nil {
			return err
		}
		p.mux, p.codecs = mux, p.codecs[:0]
		for _, c := range configs {
			p.codecs = append(p.codecs, c.Codec)
		}
	}
	if p.parts[0] = p.mux.AppendFrame(p.parts[0][:0], f); len(p.parts[0]) == 0 {
		return nil // a codec MPEG-TS has no form for: its track is left out
	}
	return p.out.send(p.parts[:]...)
}
