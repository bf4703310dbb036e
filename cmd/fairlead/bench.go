package main

import (
	"context"

	"github.com/fairlead-live/fairlead/bench/cli"
)

func runBench(ctx context.Context, e env) error {
	if code := cli.Main(ctx, e.args, e.stdout, e.stderr); code != exitOK {
		return exitCode(code)
	}
	return nil
}
