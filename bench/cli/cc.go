package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
)

const ccHelp = `usage: fairlead bench cc [flags] [LINK…]

The scoreboard of congestion control, in virtual time: utilisation against the p95 of the queue, over links that each seed
makes anew (walk, markov, hspa, fading, mmwave, wifi, satellite) and over cellular profiles. Ours stands beside a model of
SCReAMv2 and beside an oracle that knows the link as it was a round trip ago. Flags:
`

func ccMain(_ context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("fairlead bench cc", flag.ContinueOnError)
	var b board
	fs.IntVar(&b.seeds, "seeds", 4, "runs of each link")
	fs.Uint64Var(&b.first, "first", 101, "the first `seed`")
	fs.StringVar(&b.traces, "traces", "", "`folder` of recorded traces")
	fs.BoolVar(&b.only, "ours", false, "our controller alone")
	fs.Usage = func() { fmt.Fprint(stderr, ccHelp); fs.PrintDefaults() }
	links, code, ok := parse(fs, args, -1, stderr)
	if !ok {
		return code
	}
	if b.seeds < 1 || b.seeds > 1000 {
		return fail(stderr, "cc: -seeds %d: want 1 to 1000", b.seeds)
	}
	b.links = links
	if err := b.print(stdout); err != nil {
		return fail(stderr, "%v", err)
	}
	return exitOK
}
