package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"path/filepath"

	"github.com/fairlead-live/fairlead/bench/report"
)

const gateHelp = `usage: fairlead bench gate --baseline FILE [--results FILE]

Compares a run's results.json with one that was good. Exit code 1 when stutter or latency got worse by more than the 95 % interval
of the difference over seeds, when a cell of the baseline is missing, or when nothing could be compared. Noisy cells are left out.
Flags:
`

func gateMain(_ context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("fairlead bench gate", flag.ContinueOnError)
	baseline := fs.String("baseline", "", "results.json `FILE` that was good")
	results := fs.String("results", filepath.Join("out", "bench", "results.json"), "results.json `FILE` to judge")
	fs.Usage = func() { fmt.Fprint(stderr, gateHelp); fs.PrintDefaults() }
	if _, code, ok := parse(fs, args, 0, stderr); !ok {
		return code
	}
	if *baseline == "" {
		return misuse(stderr, "gate: which --baseline? `fairlead bench gate -h` explains")
	}
	was, err := report.Load(*baseline)
	if err != nil {
		return misuse(stderr, "gate: %v", err)
	}
	is, err := report.Load(*results)
	if err != nil {
		return misuse(stderr, "gate: %v", err)
	}
	v := report.Gate(was, is)
	v.Write(stdout)
	if !v.Pass() {
		return exitFail
	}
	return exitOK
}
