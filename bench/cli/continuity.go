package cli

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bench/continuity"
)

const continuityHelp = `usage: fairlead bench continuity [flags]

Pushes one stream through a relay to two destinations and breaks something: the publisher is gone for --gap, the relay is killed (-9), a
destination is restarted, a destination does not read for --stall. Says what the destinations saw. Relays: this program, nginx with its
RTMP module, and mediamtx and srs when they are on PATH. Loopback, no privilege. Exit code 1 when one did not come back. Flags:
`

func continuityMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("fairlead bench continuity", flag.ContinueOnError)
	var all []string
	for _, s := range continuity.Scenarios() {
		all = append(all, s[0])
	}
	against := fs.String("against", "", "`LIST` of relays: fairlead, nginx-rtmp, mediamtx, srs (default those that are here)")
	names := fs.String("scenario", "", "`LIST` of "+strings.Join(all, ", ")+" (default all)")
	gap := fs.Duration("gap", 20*time.Second, "the publisher is gone for this long")
	stall := fs.Duration("stall", 30*time.Second, "a destination does not read for this long")
	times := fs.Int("times", 5, "`N` restarts of the relay and of a destination")
	asJSON := fs.Bool("json", false, "one JSON object a result, instead of lines")
	log := fs.Bool("log", false, "what the relays say, on standard error")
	fs.Usage = func() { fmt.Fprint(stderr, continuityHelp); fs.PrintDefaults() }
	if _, code, ok := parse(fs, args, 0, stderr); !ok {
		return code
	}
	exe, err := os.Executable()
	if err != nil {
		return misuse(stderr, "continuity: %v", err)
	}
	others, missing := continuity.Peers()
	peers := append([]continuity.Peer{continuity.Fairlead(exe)}, others...)
	if *against != "" {
		var chosen []continuity.Peer
		for name := range strings.SplitSeq(*against, ",") {
			i := slices.IndexFunc(peers, func(p continuity.Peer) bool { return p.Name == name })
			if i < 0 {
				return misuse(stderr, "continuity: %q is not here; here: %s", name, strings.Join(peerNames(peers), ", "))
			}
			chosen = append(chosen, peers[i])
		}
		peers, missing = chosen, nil
	}
	if len(missing) > 0 {
		fmt.Fprintf(stderr, "continuity: not here: %s\n", strings.Join(missing, ", "))
	}
	cfg := continuity.Config{Peers: peers, Gap: *gap, Stall: *stall, Times: *times}
	if *names != "" {
		cfg.Scenarios = strings.Split(*names, ",")
		for _, n := range cfg.Scenarios {
			if !slices.Contains(all, n) {
				return misuse(stderr, "continuity: no scenario %q; there are %s", n, strings.Join(all, ", "))
			}
		}
	}
	if *log {
		cfg.Log = stderr
	}
	code := exitOK
	enc := json.NewEncoder(stdout)
	err = continuity.Run(ctx, cfg, func(r continuity.Result) {
		if r.Error != "" {
			code = exitFail
		}
		if *asJSON {
			_ = enc.Encode(r)
			return
		}
		fmt.Fprintf(stdout, "%-20s %-12s", r.Scenario, r.Peer)
		for i, f := range r.Figures {
			fmt.Fprintf(stdout, "%s %v", [2]string{"", ";"}[min(i, 1)], f)
		}
		if r.Error != "" {
			fmt.Fprintf(stdout, " FAILED: %s", r.Error)
		}
		fmt.Fprintln(stdout)
	})
	if err != nil {
		fmt.Fprintf(stderr, "fairlead bench continuity: %v\n", err)
		return exitFail
	}
	return code
}

func peerNames(in []continuity.Peer) (out []string) {
	for _, p := range in {
		out = append(out, p.Name)
	}
	return out
}
