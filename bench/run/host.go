package run

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bench/report"
)

// host describes the machine and the programs that the schemes use.
func host(schemes []*Scheme) report.Host {
	h := report.Host{Cores: runtime.NumCPU(), Go: runtime.Version(), Programs: map[string]string{}}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		h.Kernel = "Linux " + strings.TrimSpace(string(b))
	} else {
		h.Kernel = runtime.GOOS
	}
	h.CPU = cpu()
	if info, ok := debug.ReadBuildInfo(); ok {
		h.Fairlead = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				h.Fairlead += " " + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	for _, s := range schemes {
		for _, p := range s.Needs {
			if path, err := lookPath(p); err == nil && h.Programs[p] == "" {
				h.Programs[p] = version(path)
			}
		}
	}
	return h
}

func cpu() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, ok := strings.CutPrefix(s.Text(), "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(name, "\t :"))
		}
	}
	return runtime.GOARCH
}

// versionLike finds a version in what a program says of itself: "version: 1.5.1", "nginx/1.22.1", "version 5.1.9-0+deb12u1".
var versionLike = regexp.MustCompile(`(?i)(?:version:?\s*|/)v?([0-9]+\.[0-9][^\s,;)]*)`)

// version asks a program for its version in the ways that are in use; "unknown" where none of them works.
func version(path string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, flag := range []string{"-version", "-v", "--help"} {
		cmd := exec.CommandContext(ctx, path, flag)
		cmd.WaitDelay = time.Second
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		_ = cmd.Run() // many exit with an error behind the answer
		if m := versionLike.FindSubmatch(said.Bytes()); m != nil {
			return string(m[1])
		}
	}
	return "unknown"
}
