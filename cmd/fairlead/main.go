// Command fairlead carries live video from a bad network to a good one.
//
//	fairlead relay     takes publishers over SRT, QUIC and RTMP, serves players, pushes to CDN tiers
//	fairlead push      sends a file or an encoder's stream to relays and servers
//	fairlead demo      the same clip through a lossy link twice, as SRT and as fairlead, in one process
//	fairlead bench     bad links on demand, and stutter measured as a viewer sees it
//	fairlead completion, man   for the shell and for man(1)
//	fairlead version   what this binary was built from
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/fairlead-live/fairlead/bridge/config"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // it ran and something went wrong
	exitUsage  = 2 // it was asked for something it cannot do
)

// exitCode is the error of a sub-command that has said all there is to say and chooses the exit code.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// env is what a sub-command runs in.
type env struct {
	args    []string
	environ []string
	stdout  io.Writer
	stderr  io.Writer

	// describe, when set, gets a sub-command's settings and its synopsis; the command then does nothing.
	describe func(s *config.Set, synopsis string)
}

// command is one sub-command.
type command struct {
	name  string
	about string
	run   func(ctx context.Context, e env) error
}

// commands are all of them, in the order of the help.
func commands() []command {
	return []command{
		{"relay", "take publishers over SRT, QUIC and RTMP, serve players, push to CDN tiers", runRelay},
		{"push", "send a file or an encoder's stream to relays (over QUIC) and servers", runPush},
		{"demo", "the same clip twice through a lossy link, as SRT and as fairlead, side by side", runDemo},
		{"bench", "bad links on demand, and stutter measured as a viewer sees it", runBench},
		{"completion", "completion of the command line for bash, zsh or fish", runCompletion},
		{"man", "the manual page", runMan},
		{"version", "what this binary was built from", runVersion},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := dispatch(ctx, env{args: os.Args[1:], environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr})
	stop()
	os.Exit(code)
}

func dispatch(ctx context.Context, e env) int {
	if len(e.args) == 0 {
		usage(e.stderr)
		return exitUsage
	}
	name := e.args[0]
	switch name {
	case "help", "-h", "--help":
		usage(e.stdout)
		return exitOK
	case "--version":
		name = "version"
	}
	for _, c := range commands() {
		if c.name != name {
			continue
		}
		e.args = e.args[1:]
		err := c.run(ctx, e)
		if code, ok := errors.AsType[exitCode](err); ok {
			return int(code)
		}
		switch {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return exitOK
		case errors.Is(err, config.ErrUsage):
			fmt.Fprintf(e.stderr, "fairlead: %s\n", strings.TrimPrefix(err.Error(), "usage: "))
			return exitUsage
		default:
			fmt.Fprintf(e.stderr, "fairlead %s: %v\n", c.name, err)
			return exitFailed
		}
	}
	fmt.Fprintf(e.stderr, "fairlead: no sub-command %q\n", name)
	usage(e.stderr)
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprint(w, "fairlead carries live video from a bad network to a good one.\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  fairlead %-10s  %s\n", c.name, c.about)
	}
	fmt.Fprint(w, "\nfairlead COMMAND --help lists a command's settings.\n")
}

// parse reads a sub-command's settings; help prints them.
func parse(e env, s *config.Set, synopsis string) ([]string, error) {
	if e.describe != nil {
		e.describe(s, synopsis)
		return nil, flag.ErrHelp
	}
	rest, err := s.Parse(e.args, e.environ)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(e.stdout, "%s\n\n", synopsis)
		s.Usage(e.stdout)
		fmt.Fprintf(e.stdout, "\nEach setting is also an environment variable (%sSRT_LATENCY for --srt-latency) and a key of the --config file.\n", config.EnvPrefix)
	}
	return rest, err
}

// newLogger writes text, or JSON where the format is json.
func newLogger(w io.Writer, level, format string) *slog.Logger {
	var l slog.Level
	if l.UnmarshalText([]byte(level)) != nil {
		l = slog.LevelInfo
	}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l}))
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l}))
}
