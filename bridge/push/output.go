package push

import (
	"context"
	"errors"
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
		return &rtmpOutput{o: o, url: raw, within: p.cfg.Connect}, nil
	}
	return nil, fmt.Errorf("%w: %q is not a fairlead://, srt://, rtmp:// or rtmps:// URL", config.ErrUsage, raw)
}

// rtmpOutput is rtmpout's own; it publishes when there are frames, and tries again and again once it has.
type rtmpOutput struct {
	o      *rtmpout.Output
	url    string
	within time.Duration // how long it may take to publish at first
}

// open asks whether anybody is there; what the server says of us it says when there are frames.
func (r *rtmpOutput) open(ctx context.Context) error { return reachable(ctx, r.url) }
func (r *rtmpOutput) close()                         {}

func (r *rtmpOutput) run(ctx context.Context, h *hub.Hub, name string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The stream's end is seen by a subscriber of our own; what the output has queued gets a moment.
	sub, err := h.Subscribe(name, hub.SubscriberInfo{Protocol: "push", Wait: true})
	if err != nil {
		return err
	}
	defer sub.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	ended := make(chan struct{})
	wg.Go(func() {
		defer close(ended)
		for {
			if _, err := sub.Read(ctx); err != nil {
				return
			}
		}
	})
	wg.Go(func() { cancel(r.watch(ctx, ended)) })
	err = r.o.Run(ctx)
	if why := context.Cause(ctx); errors.Is(why, ErrRefused) || errors.Is(why, ErrReach) {
		return why
	}
	return err
}

// watch returns nil when the stream has ended and what was queued has been sent, and an error when the server has never
// let us publish: at once when it says that it is because of who we are.
func (r *rtmpOutput) watch(ctx context.Context, ended <-chan struct{}) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var since time.Time // it has something to send
	for over := 0; ; {
		select {
		case now := <-tick.C:
			st := r.o.Stats()
			if st.State == rtmpout.Idle || since.IsZero() {
				since = now
			}
			if st.Publishes == 0 && (st.State == rtmpout.Failed || now.Sub(since) > r.within) {
				return r.never(st)
			}
			select {
			case <-ended:
				if over++; over > 20 || st.Queued == 0 && st.Backlog == 0 {
					if st.Publishes == 0 && st.LastError != "" {
						return r.never(st)
					}
					return nil
				}
			default:
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// never says why nothing was ever published.
func (r *rtmpOutput) never(st rtmpout.Stats) error {
	switch {
	case st.EndedBy(rtmpout.CauseAuth)+st.EndedBy(rtmpout.CauseBadName)+st.EndedBy(rtmpout.CauseRejected) > 0:
		return fmt.Errorf("%s: %w: %s", st.Destination, ErrRefused, st.LastError)
	case st.LastError == "":
		return fmt.Errorf("%s %w: no answer within %v", st.Destination, ErrReach, r.within)
	}
	return fmt.Errorf("%s %w: %s", st.Destination, ErrReach, st.LastError)
}

func (r *rtmpOutput) status() Status {
	st := r.o.Stats()
	return Status{To: st.Destination, State: st.State.String(), FramesSent: st.Frames, Unsent: st.Dropped, SendBytes: st.Bytes, Reconnects: int(max(1, st.Publishes) - 1)}
}
