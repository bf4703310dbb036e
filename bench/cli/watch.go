package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/fairlead-live/fairlead/bench/watch"
	"github.com/fairlead-live/fairlead/bridge/media"
)

const watchHelp = `usage: fairlead bench watch URL [flags]

Scores a running stream as a viewer sees it, with a line each second, until it ends or --duration is over.

URL is http(s)://…  (FLV or MPEG-TS), rtmp(s)://…, udp://HOST:PORT or tcp://HOST:PORT (MPEG-TS), srt://HOST:PORT?streamid=…
(called; latency in ms), a file, or - for standard input. docs/bench.md says how a stall is counted. Without the source's clock,
latency is relative to the fastest frame, and called lateness.

Exit code 1 when the stream could not be read or no frame came. Flags:
`

func watchMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("fairlead bench watch", flag.ContinueOnError)
	length := fs.Duration("duration", 0, "how `long`; 0: until the stream ends")
	asJSON := fs.Bool("json", false, "one JSON object a second instead of a line; the last has \"final\": true")
	fs.Usage = func() { fmt.Fprint(stderr, watchHelp); fs.PrintDefaults() }
	words, code, ok := parse(fs, args, 1, stderr)
	if !ok {
		return code
	}
	if len(words) == 0 {
		return misuse(stderr, "watch: which stream? `fairlead bench watch -h` explains")
	}
	if *length < 0 {
		return misuse(stderr, "watch: --duration %v is negative", *length)
	}
	if *length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *length)
		defer cancel()
	}
	frames, err := watchLive(ctx, words[0], func(r watch.Report, final bool) {
		if !*asJSON {
			fmt.Fprintln(stdout, r.Line())
			return
		}
		b, merr := json.Marshal(struct {
			watch.Report
			Final bool `json:"final"`
		}{r, final})
		if merr == nil {
			fmt.Fprintf(stdout, "%s\n", b)
		}
	})
	if err != nil && !errors.Is(err, watch.ErrEnded) && ctx.Err() == nil {
		return fail(stderr, "%v", err)
	}
	if frames == 0 {
		return fail(stderr, "watch: no frame came from %s", words[0])
	}
	return exitOK
}

// watchLive reads and scores; it tells once a second and at the end. The frames are those of the judged track.
//
// Goroutines: one reads and hands frames over; it is gone when watchLive returns, unless it waits for standard input, which
// nothing can interrupt.
func watchLive(ctx context.Context, address string, tell func(r watch.Report, final bool)) (frames int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := make(chan *media.Frame, 256) // full: the reader waits, as a player's socket would
	done := make(chan error, 1)
	go func() {
		done <- watch.Read(ctx, address, watch.Network{}, func(f *media.Frame) {
			select {
			case in <- f:
			case <-ctx.Done():
			}
		})
		close(in)
	}()
	m := watch.NewMonitor(time.Now(), nil)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case f, more := <-in:
			if more {
				m.Observe(f)
				continue
			}
			r := m.Report(time.Now())
			tell(r, true)
			return r.Score.Frames, <-done
		case now := <-tick.C:
			tell(m.Report(now), false)
		case <-ctx.Done():
			r := m.Report(time.Now())
			tell(r, true)
			select {
			case <-done:
			case <-time.After(time.Second):
			}
			return r.Score.Frames, context.Cause(ctx)
		}
	}
}
