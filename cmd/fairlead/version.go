package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

func runVersion(_ context.Context, e env) error {
	fmt.Fprintln(e.stdout, version())
	return nil
}

// version says what build information the binary carries.
func version() string {
	v, rev, when, dirty := "devel", "", "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if m := info.Main.Version; m != "" && m != "(devel)" {
			v = m
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				rev = " " + s.Value[:min(12, len(s.Value))]
			case "vcs.time":
				when = " " + s.Value
			case "vcs.modified":
				if s.Value == "true" {
					dirty = " modified"
				}
			}
		}
	}
	return fmt.Sprintf("fairlead %s%s%s%s %s %s/%s", v, rev, when, dirty, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
