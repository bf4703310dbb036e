package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fairlead-live/fairlead/fec/limit"
)

const limitHelp = `usage: fairlead bench limit [flags]

What is physically possible: the least bandwidth overhead (repair packets sent / source packets) at which a live stream reaches a share of
lost frames, computed from an exact model of the channel. fairlead, SRT, RIST: none can be cheaper.

  physics     a round of feedback takes exactly one RTT, sending a frame no time
  practical   a round takes RTT + 10 ms, and a frame 10 ms to be put on the wire

Flags:
`

func limitMain(_ context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("fairlead bench limit", flag.ContinueOnError)
	loss := fs.String("loss", "5%", "`SHARE` of the packets that are lost, in %")
	burst := fs.Float64("burst", 0, "mean run of lost packets; 0: each packet for itself")
	rtt := fs.Duration("rtt", 60*time.Millisecond, "round-trip `time`")
	latency := fs.Duration("latency", 200*time.Millisecond, "the receiver's buffer on top of the one-way delay")
	rate := fs.String("rate", "4M", "`BITRATE` of the pictures")
	fps := fs.Float64("fps", 30, "pictures a second")
	target := fs.String("target", "0.1%", "`SHARE` of the frames that may be lost")
	fs.Usage = func() { fmt.Fprint(stderr, limitHelp); fs.PrintDefaults() }
	if _, code, ok := parse(fs, args, 0, stderr); !ok {
		return code
	}
	p, err := share(*loss)
	if err != nil {
		return misuse(stderr, "limit: --loss: %v", err)
	}
	eps, err := share(*target)
	if err != nil {
		return misuse(stderr, "limit: --target: %v", err)
	}
	bps, err := parseRate(*rate)
	if err != nil {
		return misuse(stderr, "limit: --rate: %v", err)
	}
	if *fps < 1 || *fps > 240 {
		return misuse(stderr, "limit: --fps %g is outside 1 to 240", *fps)
	}
	interval := time.Duration(float64(time.Second) / *fps)
	q := limit.Query{
		Channel: limit.Channel{Loss: p, Burst: *burst}, RTT: *rtt, Latency: *latency, Target: eps,
		Packets: limit.PacketsPerFrame(float64(bps), interval), Interval: interval,
	}
	physics, err := limit.Compute(q)
	if err != nil {
		return misuse(stderr, "limit: %v", err)
	}
	q.Clock = limit.Practical
	practical, err := limit.Compute(q)
	if err != nil {
		return misuse(stderr, "limit: %v", err)
	}
	fmt.Fprintf(stdout, "%d packets a frame; bound p/(1-p) = %.2f %%; at most %s of the frames lost\n\n", q.Packets, physics.Bound*100, *target)
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tphysics\tpractical")
	row := func(what string, f func(limit.Result) string) {
		fmt.Fprintf(w, "%s\t%s\t%s\n", what, f(physics), f(practical))
	}
	row("resends alone", func(r limit.Result) string {
		s := fmt.Sprintf("%s, %d rounds", percent(r.ARQ.Overhead), r.ARQ.Rounds)
		if !r.ARQ.OK {
			s = fmt.Sprintf("not possible: %d rounds leave %.3g %% lost", r.ARQ.Rounds, r.ARQ.FrameLoss*100)
		}
		return s
	})
	row("FEC alone, blocks", func(r limit.Result) string { return fecLimit(r.Block, "block") })
	row("FEC alone, sliding window", func(r limit.Result) string { return fecLimit(r.Slide, "window") })
	row("both", func(r limit.Result) string {
		if !r.Hybrid.OK {
			return "not possible"
		}
		if r.Hybrid.Rounds == 0 { // none fits, or none pays
			return fmt.Sprintf("%s, no resends: as FEC alone, blocks", percent(r.Hybrid.Overhead))
		}
		return fmt.Sprintf("%s, %d rounds, blocks of %d frames with %d parity packets", percent(r.Hybrid.Overhead), r.Hybrid.Rounds, r.Hybrid.Frames, r.Hybrid.Parity)
	})
	_ = w.Flush()
	return exitOK
}

func fecLimit(f limit.FEC, what string) string {
	if !f.OK {
		return "not possible"
	}
	return fmt.Sprintf("%s, %s of %d frames", percent(f.Overhead), what, f.Frames)
}

func percent(x float64) string { return strconv.FormatFloat(x*100, 'f', 2, 64) + " %" }

// share reads "5%".
func share(s string) (float64, error) {
	n, ok := strings.CutSuffix(s, "%")
	if !ok {
		return 0, fmt.Errorf("%q needs a %%", s)
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(n), 64)
	if err != nil || !(v >= 0 && v < 100) {
		return 0, fmt.Errorf("%q is not between 0%% and 100%%", s)
	}
	return v / 100, nil
}
