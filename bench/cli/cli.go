// Package cli is the command line of `fairlead bench`: flags, words for people, exit codes.
//
//	fairlead bench link PROFILE [flags] -- COMMAND…      run a command behind a bad link
//	fairlead bench link PROFILE --udp LISTEN=TARGET      the link as a UDP proxy, without privilege
//	fairlead bench list                                  links and schemes
//	fairlead bench run [flags]                           schemes × links × seeds, scored
//	fairlead bench continuity [flags]                    what a CDN tier sees when something breaks, relays compared
//	fairlead bench sim [flags]                           the same in virtual time, on models, in seconds
//	fairlead bench gate --baseline FILE                  worse than before?
//	fairlead bench watch URL                             score a running stream
//	fairlead bench cc [LINK…]                            congestion control: utilisation against queue, in virtual time
//	fairlead bench limit [flags]                         what is physically possible on a link
//	fairlead bench selftest                              how precise the emulated link is on this machine
//
// Each sub-command has its own file and its line in the table below. Exit codes: 0 well, 1 it failed, 2 wrong use;
// link passes on its command's.
//
// Left to others: the links (bench/netem, bench/emu) and everything that is measured.
package cli

import (
	"context"
	"fmt"
	"io"
)

// Exit codes.
const (
	exitOK    = 0
	exitFail  = 1
	exitUsage = 2
)

// A command is one sub-command of `fairlead bench`.
type command struct {
	name  string
	args  string
	about string
	run   func(ctx context.Context, args []string, stdout, stderr io.Writer) int
}

// commands in the order of the help text.
var commands = []command{
	{"list", "", "the links and the schemes, and whether their programs are here", listMain},
	{"run", "[flags]", "carry a clip with each scheme over each link, and score it", runMain},
	{"continuity", "[flags]", "what a CDN tier sees when publisher, relay or destination break", continuityMain},
	{"sim", "[flags]", "play a stream over bad links in virtual time, in seconds", simMain},
	{"gate", "--baseline FILE [--results FILE]", "fail when stutter or latency got worse", gateMain},
	{"watch", "URL [flags]", "score a running stream", watchMain},
	{"link", "PROFILE [flags] -- COMMAND…", "run a command behind a bad link, or the link as a proxy", linkMain},
	{"cc", "[flags] [LINK…]", "congestion control: utilisation against queue, in virtual time", ccMain},
	{"limit", "[flags]", "what is physically possible on a link", limitMain},
	{"selftest", "[flags]", "measure how precise the emulated link is on this machine", selftestMain},
}

// Main runs one sub-command: args are what follows `fairlead bench`. It returns the exit code. When ctx ends, the
// sub-command ends what it started, cleans up and returns.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		usage(stderr)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		usage(stdout)
		return exitOK
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.run(ctx, args[1:], stdout, stderr)
		}
	}
	fmt.Fprintf(stderr, "fairlead bench: no sub-command %q\n", args[0])
	usage(stderr)
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprint(w, "usage: fairlead bench COMMAND …\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-10s %-34s %s\n", c.name, c.args, c.about)
	}
	fmt.Fprint(w, "\n`fairlead bench COMMAND -h` shows the flags.\n")
}
