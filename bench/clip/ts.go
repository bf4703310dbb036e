package clip

import (
	"fmt"

	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
)

// Muxer returns a transport stream's multiplexer for the clip's two tracks.
func (s *Source) Muxer() (*mpegts.Muxer, error) {
	v, a := s.Configs()
	mux, err := mpegts.NewMuxer(mpegts.TracksOfConfigs([]*media.Config{v, a}))
	if err != nil {
		return nil, fmt.Errorf("clip: %w", err)
	}
	return mux, nil
}

// TS returns the clip's first pictures, and the sound up to the last of them, as MPEG-TS.
func TS(pictures int) (out []byte, err error) {
	s, err := New()
	if err != nil {
		return nil, err
	}
	mux, err := s.Muxer()
	if err != nil {
		return nil, err
	}
	for pictures > 0 {
		f := s.Next()
		if out = mux.AppendFrame(out, f); f.Codec.IsVideo() {
			pictures--
		}
	}
	return out, nil
}
