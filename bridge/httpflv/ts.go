package httpflv

import (
	"context"
	"slices"
	"sync"

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

// await waits for the first frame of a stream, or for its transport stream if that is passed through: no frame and no error then. passed may be nil.
func await(ctx context.Context, sub *hub.Subscriber, passed *hub.TSSubscriber) (*media.Frame, error) {
	if passed == nil {
		return sub.Read(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		if passed.Wait(ctx) == nil && passed.Ready() {
			cancel()
		}
	})
	f, err := sub.Read(ctx)
	if err != nil && passed.Ready() {
		return nil, nil
	}
	return f, err
}

// pass sends a transport stream as it came.
func pass(out carrier, sub *hub.TSSubscriber) (err error) {
	defer func() { out.close(err) }()
	if err := out.open(); err != nil {
		return err
	}
	for {
		p, err := sub.Read(out.context())
		if err != nil {
			return err
		}
		if err := out.send(p.Data); err != nil {
			return err
		}
	}
}
