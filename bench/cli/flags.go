package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// parse reads flags and plain words in any order and returns the words, at most most of them.
// code is the exit code when ok is false; the reason is on stderr.
func parse(fs *flag.FlagSet, args []string, most int, stderr io.Writer) (words []string, code int, ok bool) {
	fs.SetOutput(stderr)
	for {
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil, exitOK, false
		} else if err != nil {
			return nil, exitUsage, false
		}
		if fs.NArg() == 0 {
			return words, exitOK, true
		}
		if len(words) == most {
			fmt.Fprintf(stderr, "%s: %q is one word too many\n", fs.Name(), fs.Arg(0))
			return nil, exitUsage, false
		}
		words, args = append(words, fs.Arg(0)), fs.Args()[1:]
	}
}

// split cuts args at the first "--": what follows is a command.
func split(args []string) (flags, command []string) {
	for i, a := range args {
		if a == "--" {
			return args[:i], args[i+1:]
		}
	}
	return args, nil
}
