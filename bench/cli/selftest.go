package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/fairlead-live/fairlead/bench/emu"
)

const selftestHelp = `usage: fairlead bench selftest [flags]

Measures the emulated link on this machine: how exact delays, loss and rates are, how much passes, and what it does to a
stream on a clean link. Exit code 1 when a figure is not as wanted. Flags:
`

// A line is marked as noisy when others took more of the machine than this, or when the machine woke a thread that only
// waits later than this: then no emulator could have been on time. Ours: a quarter of what the link itself may add.
const (
	noisyBusy = 0.15
	noisyLate = 500 * time.Microsecond
)

func selftestMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("fairlead bench selftest", flag.ContinueOnError)
	each := fs.Duration("each", 4*time.Second, "`time` for each measurement")
	fs.Usage = func() { fmt.Fprint(stderr, selftestHelp); fs.PrintDefaults() }
	if _, code, ok := parse(fs, args, 0, stderr); !ok {
		return code
	}
	defer punctual()()
	fmt.Fprintf(stdout, "%s/%s, %d processors, %s for each measurement\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), *each)
	failed, noisy := 0, 0
	err := emu.SelfTest(ctx, *each, func(c emu.Check) {
		verdict, note := "PASS", ""
		if !c.Pass {
			verdict = "FAIL"
			failed++
		}
		if c.Busy > noisyBusy || c.HostP99 > noisyLate {
			note = fmt.Sprintf("  noisy: others took %.0f %%, an idle thread woke %.1f ms late at p99, %.1f at most",
				100*c.Busy, float64(c.HostP99.Microseconds())/1000, float64(c.HostMax.Microseconds())/1000)
			noisy++
		}
		fmt.Fprintf(stdout, "%s  %-10s  %-21s %-32s want %-18s%s\n", verdict, c.Link, c.What, c.Got, c.Want, note)
	})
	switch {
	case errors.Is(err, emu.ErrNotPermitted), errors.Is(err, emu.ErrUnsupported):
		fmt.Fprintf(stdout, "SKIP  namespaces  %v\n", err)
	case err != nil:
		return fail(stderr, "selftest: %v", err)
	}
	if noisy > 0 {
		fmt.Fprintf(stdout, "%d lines were measured on a busy machine: run again when it is idle\n", noisy)
	}
	if failed > 0 {
		fmt.Fprintf(stdout, "%d failed\n", failed)
		return exitFail
	}
	return exitOK
}
