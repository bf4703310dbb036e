package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/fairlead-live/fairlead/bench/netem/profile"
	benchrun "github.com/fairlead-live/fairlead/bench/run"
)

const listHelp = `usage: fairlead bench list

Lists the links and the schemes that come with fairlead, and whether the schemes' programs are on this machine.
`

func listMain(_ context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("fairlead bench list", flag.ContinueOnError)
	fs.Usage = func() { fmt.Fprint(stderr, listHelp) }
	if _, code, ok := parse(fs, args, 0, stderr); !ok {
		return code
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PROFILE\tWHAT")
	for _, p := range profile.List() {
		fmt.Fprintf(t, "%s\t%s\n", p.Name, p.About)
	}
	schemes, err := benchrun.Shipped()
	if err != nil {
		return fail(stderr, "list: %v", err)
	}
	fmt.Fprintln(t, "\nSCHEME\tGROUP\tWHAT\tHERE")
	for _, s := range schemes {
		here := "yes"
		if why := s.Missing(); why != "" {
			here = "no: " + why + " is missing"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.Name, s.Group, s.Title, here)
	}
	if err := t.Flush(); err != nil {
		return fail(stderr, "list: %v", err)
	}
	return exitOK
}
