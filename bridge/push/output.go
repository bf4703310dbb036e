package push

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/rtmpout"
)

// newOutput makes a destination of URL, or of URL|URL|…
func (p *Push) newOutput(raw string) (output, error) {
	urls, err := ways(raw)
	if err != nil {
		return nil, err
	}
	if len(urls) > 1 {
		return p.newChain(urls)
	}
	return p.newWay(raw)
}

func (p *Push) newWay(raw string) (output, error) {
	scheme, _, _ := strings.Cut(raw, "://")
	switch scheme {
	case "fairlead":
		return p.newUplink(raw)
	case "srt":
		return p.newSRT(raw)
	case "rtmp", "rtmps":
		o, err := rtmpout.New(rtmpout.Config{Hub: p.hub, Stream: p.name, URL: rtmpout.Fixed(raw), Logger: p.cfg.Logger})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", config.ErrUsage, err)
		}
		return &rtmpOutput{o: o}, nil
	}
	return nil, fmt.Errorf("%w: %q is not a fairlead://, srt://, rtmp:// or rtmps:// URL", config.ErrUsage, raw)
}

// rtmpOutput is rtmpout's own; it dials when there are frames, and again and again.
type rtmpOutput struct{ o *rtmpout.Output }

func (r *rtmpOutput) open(context.Context) error { return nil }
func (r *rtmpOutput) close()                     {}

func (r *rtmpOutput) run(ctx context.Context, h *hub.Hub, name string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The stream's end is seen by a subscriber of our own; what the output has queued gets a moment.
	sub, err := h.Subscribe(name, hub.SubscriberInfo{Protocol: "push", Wait: true})
	if err != nil {
		return err
	}
	defer sub.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for {
			if _, err := sub.Read(ctx); err != nil {
				break
			}
		}
		for range 20 {
			if st := r.o.Stats(); st.Queued == 0 && st.Backlog == 0 {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		cancel()
	})
	return r.o.Run(ctx)
}

func (r *rtmpOutput) status() Status {
	st := r.o.Stats()
	return Status{To: st.Destination, State: st.State.String(), FramesSent: st.Frames, Unsent: st.Dropped, SendBytes: st.Bytes, Reconnects: int(max(1, st.Publishes) - 1)}
}
