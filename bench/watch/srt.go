package watch

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/transport/srtlink"
)

// readSRT calls a listener. latency is in milliseconds, as with libsrt's tools.
func readSRT(ctx context.Context, u *url.URL, emit func(*media.Frame)) error {
	q := u.Query()
	cfg := srtlink.DialConfig{StreamID: q.Get("streamid"), Passphrase: q.Get("passphrase"), Caller: srtlink.GoSRT}
	if l := q.Get("latency"); l != "" {
		ms, err := strconv.Atoi(l)
		if err != nil || ms < 0 {
			return fmt.Errorf("watch: latency %q is not a number of milliseconds", l)
		}
		cfg.Latency = time.Duration(ms) * time.Millisecond
	}
	if u.Hostname() == "" {
		return fmt.Errorf("watch: %s names no listener to call", u)
	}
	c, err := srtlink.Dial(u.Host, cfg)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	return readStream(ctx, c, emit)
}
