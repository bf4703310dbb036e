package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem/profile"
	"github.com/fairlead-live/fairlead/bench/report"
	benchrun "github.com/fairlead-live/fairlead/bench/run"
)

const runHelp = `usage: fairlead bench run [flags]

Carries a clip with each scheme over each link, for each seed, and scores what a viewer gets. The same command gives the same
links: losses by packet number, capacity by time. It needs CAP_NET_ADMIN and CAP_SYS_ADMIN (root).

--profile takes names of 'fairlead bench list', YAML files, trace files, or netem words in quotes, separated by commas.
--against takes names of 'fairlead bench list', or groups where no scheme bears the name, or YAML files; a scheme whose program is missing is
skipped by name. Below the table stands how each of fairlead's schemes (without one: the first) fares beside the others.
DIR of --out gets results.json, results.csv, results.md, junit.xml and report.html; after Ctrl-C they hold what was done. Exit code 1 when
the run did not end or a program failed. Flags:
`

// defaultProfiles show what differs between the schemes: random loss, bursts, an outage, a step of the rate, two recorded kinds.
const defaultProfiles = "clean,loss5-rtt60,burst200-rtt60,outage1s,step-6-3-6,lte-verizon,starlink"

type runFlags struct {
	profiles, against string
	seeds             int
	duration, latency time.Duration
	rate, clip        string
	traces, out       string
	parallel, retry   int
}

func (f *runFlags) define(fs *flag.FlagSet) {
	fs.StringVar(&f.profiles, "profile", defaultProfiles, "`LIST` of links")
	fs.StringVar(&f.against, "against", "fairlead,inorder,rtmp,srt,rist", "`LIST` of schemes")
	fs.IntVar(&f.seeds, "seeds", 3, "`N`: seeds 1 to N")
	fs.DurationVar(&f.duration, "duration", time.Minute, "of media in each cell")
	fs.DurationVar(&f.latency, "latency", 300*time.Millisecond, "budget of every scheme that has one")
	fs.StringVar(&f.rate, "rate", "4M", "`BITRATE` of the clip's pictures, such as 4M, 800k")
	fs.StringVar(&f.clip, "clip", "", "transport stream `FILE` to send instead of the one that ffmpeg makes")
	fs.StringVar(&f.traces, "traces", "", "`DIR` of recorded traces, instead of the built-in ones")
	fs.StringVar(&f.out, "out", filepath.Join("out", "bench"), "`DIR` for the results")
	fs.IntVar(&f.retry, "retry", 1, "run noisy cells again up to `N` times, behind all others")
	fs.IntVar(&f.parallel, "parallel", 1, "`N` cells at a time; noise says when that is too many")
}

func runMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var f runFlags
	fs := flag.NewFlagSet("fairlead bench run", flag.ContinueOnError)
	f.define(fs)
	fs.Usage = func() { fmt.Fprint(stderr, runHelp); fs.PrintDefaults() }
	if _, code, ok := parse(fs, args, 0, stderr); !ok {
		return code
	}
	plan, err := f.plan()
	if err != nil {
		return misuse(stderr, "run: %v", err)
	}
	plan.Command = append([]string{"fairlead", "bench", "run"}, args...)
	failed := 0
	plan.Progress = func(p benchrun.Progress) {
		if p.Last.Error != "" {
			failed++
		}
		fmt.Fprintf(stdout, "[%d/%d, %v left] %s\n", p.Done, p.Total, p.Left.Round(time.Second), p.Last.Line())
		if err := p.Report.SaveData(f.out); err != nil {
			fmt.Fprintln(stderr, err)
		}
	}
	defer punctual()()
	r, err := plan.Run(ctx)
	if r == nil || len(r.Cells) == 0 && err != nil {
		if r != nil {
			skipped(stderr, r)
		}
		return fail(stderr, "run: %v", err)
	}
	if serr := r.Save(f.out); serr != nil {
		return fail(stderr, "run: %v", serr)
	}
	fmt.Fprintln(stdout)
	if werr := r.WriteTable(stdout); werr != nil {
		return fail(stderr, "run: %v", werr)
	}
	fmt.Fprintf(stdout, "\n%s holds results.json, results.csv, results.md, junit.xml and report.html\n", f.out)
	switch {
	case err != nil:
		return fail(stderr, "run: partial: %v", err)
	case failed > 0:
		return fail(stderr, "run: %d cells with a program that failed", failed)
	}
	return exitOK
}

func skipped(stderr io.Writer, r *report.Report) {
	for _, s := range r.Skipped {
		fmt.Fprintf(stderr, "skipped %s: %s\n", s.Scheme, s.Why)
	}
}

func (f *runFlags) plan() (*benchrun.Plan, error) {
	p := &benchrun.Plan{Duration: f.duration, Latency: f.latency, Clip: f.clip, Parallel: f.parallel, Retries: f.retry}
	for _, name := range list(f.profiles) {
		l, err := profile.Load(name, f.traces)
		if err != nil {
			return nil, err
		}
		if len(l.More) > 0 {
			return nil, fmt.Errorf("%s is a path of %d links, and these schemes use one", l.Name, 1+len(l.More))
		}
		title := l.About
		if len(l.Synthetic) > 0 {
			title += " (synthetic " + strings.Join(l.Synthetic, ", ") + ")"
		}
		p.Profiles = append(p.Profiles, benchrun.Profile{Name: l.Name, Title: title, Up: l.Up, Down: l.Down})
	}
	var err error
	if p.Schemes, err = benchrun.Choose(list(f.against)); err != nil {
		return nil, err
	}
	if p.Rate, err = parseRate(f.rate); err != nil {
		return nil, err
	}
	if f.seeds < 1 || f.seeds > 1000 {
		return nil, fmt.Errorf("--seeds %d is not between 1 and 1000", f.seeds)
	}
	for i := range f.seeds {
		p.Seeds = append(p.Seeds, uint64(i+1))
	}
	return p, p.Validate()
}

// list cuts at commas; empty words vanish.
func list(s string) []string {
	var out []string
	for w := range strings.SplitSeq(s, ",") {
		if w = strings.TrimSpace(w); w != "" {
			out = append(out, w)
		}
	}
	return out
}

// parseRate reads 4M, 800k, 4mbit, 4000000.
func parseRate(s string) (int64, error) {
	number, unit := s, 1.0
	for _, u := range []struct {
		suffix string
		factor float64
	}{{"mbit", 1e6}, {"kbit", 1e3}, {"m", 1e6}, {"k", 1e3}} {
		if n, ok := strings.CutSuffix(strings.ToLower(s), u.suffix); ok {
			number, unit = n, u.factor
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v > 0) || v*unit > 1e12 {
		return 0, fmt.Errorf("--rate %q is not a bitrate such as 4M or 800k", s)
	}
	return int64(v * unit), nil
}
