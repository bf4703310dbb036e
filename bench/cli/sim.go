package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/fairlead-live/fairlead/bench/bound"
	"github.com/fairlead-live/fairlead/bench/cc"
	"github.com/fairlead-live/fairlead/bench/netem/profile"
	"github.com/fairlead-live/fairlead/bench/show"
	"github.com/fairlead-live/fairlead/bench/sim"
	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/fec"
)

const simHelp = `usage: fairlead bench sim [flags]

Plays a live stream over bad links in virtual time: a minute of media takes a second, needs no privilege, and the same seed is the same
run. fairlead is the real session; the others are models of libsrt, of libRIST, and of TCP under FLV, with the rules by which encoders adapt. It shows
what an idea does in seconds; 'fairlead bench run' is the judge.

--encoder: fixed makes its bitrate whatever happens; keys does, and makes a key frame when asked to; adaptive follows the bitrate it is told,
where the scheme tells one.

STALL is seconds without a new picture in 100 s, players of 1 s and of 0.2 s, the wait for a first picture beyond the buffer and the usual latency
included; SHOWN the pictures that could be decoded; DROPPED the pictures the
sender gave up, a run: those that nothing refers to, references, key frames, sounds. LIMIT is the least that any scheme sends per byte of pictures
so that 99.9 % of them are whole in time (see 'fairlead bench limit'), ABOVE what the run sent beyond it, headers, sound and probes included. A
scheme that shows less than 99.9 %, or takes more time than the latency, may be below.

--equal compares at equal quality: with several rates in --rate, each scheme's stalls and the first one's at one bitrate of pictures, that which the
first one shows on the mean, or the most that the other shows where that is less; between two runs where it falls between them. Flags:
`

type simFlags struct {
	profiles, against, encoder, rate, traces string
	seeds, first, droppable                  int
	duration, latency, skip, stalls          time.Duration
	verbose, list, equal, peers              bool
}

func (f *simFlags) define(fs *flag.FlagSet) {
	fs.StringVar(&f.profiles, "profile", "step-6-3-6", "`LIST` of links, or all, or cellular; fresh: made anew for each seed, seven kinds")
	fs.StringVar(&f.against, "against", "fairlead", "`LIST` of schemes; --list shows them")
	fs.StringVar(&f.encoder, "encoder", "fixed", "`LIST` of fixed, keys, adaptive")
	fs.StringVar(&f.rate, "rate", "4M", "`LIST` of bitrates of the pictures, the most the encoder makes; or shares of the link's mean, such as 50%; 4M:50% is whichever is less")
	fs.StringVar(&f.traces, "traces", "", "`DIR` of recorded traces, instead of the built-in ones")
	fs.IntVar(&f.seeds, "seeds", 3, "`N` runs of each")
	fs.IntVar(&f.first, "first", 1, "the first `seed`")
	fs.IntVar(&f.droppable, "droppable", 0, "nothing refers to every `N`th picture; 0: all are referred to")
	fs.DurationVar(&f.duration, "duration", time.Minute, "of media in each run")
	fs.DurationVar(&f.latency, "latency", 300*time.Millisecond, "budget of every scheme that has one")
	fs.DurationVar(&f.skip, "skip", 5*time.Second, "not scored, at the beginning")
	fs.BoolVar(&f.peers, "peers", false, "print a table in Markdown, a line for each link, and on how many the first scheme stalls less")
	fs.BoolVar(&f.equal, "equal", false, "print the stalls at equal bitrate too")
	fs.DurationVar(&f.stalls, "host-stalls", 0, "each end and each direction of the link stands still for 5 to 80 ms, every `TIME` on average; not the TCP models; 0: never")
	fs.BoolVar(&f.verbose, "v", false, "print what happens, run by run")
	fs.BoolVar(&f.list, "list", false, "list the schemes")
}

// cellular are the profiles whose capacity is a mobile uplink's.
const cellular = "lte-driving,lte-verizon,lte-tmobile,umts-driving,5g-driving,bus,train,pantheon-mexico,pantheon-brazil"

func simMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var f simFlags
	fs := flag.NewFlagSet("fairlead bench sim", flag.ContinueOnError)
	f.define(fs)
	fs.Usage = func() { fmt.Fprint(stderr, simHelp); fs.PrintDefaults() }
	if _, code, ok := parse(fs, args, 0, stderr); !ok {
		return code
	}
	schemes := show.Schemes(&plans{known: map[fec.Setting]*fec.Plan{}})
	if f.list {
		t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
		for _, s := range schemes {
			fmt.Fprintf(t, "%s\t%s\n", s.Name, s.About)
		}
		_ = t.Flush()
		return exitOK
	}
	cells, err := f.cells(schemes)
	if err != nil {
		return misuse(stderr, "sim: %v", err)
	}
	out := io.Discard
	workers := runtime.GOMAXPROCS(0)
	if f.verbose {
		out, workers = stdout, 1
	}
	var rows []show.Row
	limits := map[string]bound.Limit{}
	for _, c := range cells {
		if ctx.Err() != nil {
			break
		}
		runs, err := c.run(f.first, f.seeds, workers, out)
		if err != nil {
			return fail(stderr, "sim: %v", err)
		}
		row := show.Summary(c.profile, &c.sc, runs)
		row.Limit = c.limit(limits)
		rows = append(rows, row)
	}
	if err := show.WriteTable(stdout, rows); err != nil {
		return fail(stderr, "sim: %v", err)
	}
	if f.equal {
		if err := show.WriteEqual(stdout, rows); err != nil {
			return fail(stderr, "sim: %v", err)
		}
	}
	if f.peers {
		if err := show.WritePeers(stdout, rows); err != nil {
			return fail(stderr, "sim: %v", err)
		}
	}
	for _, r := range rows {
		if len(r.Faults) > 0 {
			return exitFail
		}
	}
	return exitOK
}

type simCell struct {
	profile string
	fresh   bool // a link of its own for each seed
	sc      show.Scenario
	link    func(seed uint64) sim.Path
	rate    func(sim.Path) (congestion.Bitrate, error)
}

// simLink is a name and the link of a seed.
type simLink struct {
	name  string
	fresh bool // another one for each seed
	make  func(seed uint64) sim.Path
}

// links are what --profile names: profiles, and families whose seeds are links of their own.
func (f *simFlags) links() (out []simLink, err error) {
	names := f.profiles
	switch names {
	case "all":
		names = strings.Join(profile.Names(), ",")
	case "cellular":
		names = cellular
	}
	for _, name := range list(names) {
		if name == "fresh" {
			for _, family := range cc.Families() {
				out = append(out, simLink{family.Name, true, func(seed uint64) sim.Path {
					l := family.Link(seed)
					return sim.Path{Up: l.Up, Down: l.Down}
				}})
			}
			continue
		}
		l, err := profile.Load(name, f.traces)
		if err != nil {
			return nil, err
		}
		out = append(out, simLink{l.Name, false, func(uint64) sim.Path { return sim.Path{Up: l.Up, Down: l.Down} }})
	}
	return out, nil
}

func (f *simFlags) cells(schemes []show.Scheme) (cells []simCell, err error) {
	if f.seeds < 1 || f.seeds > 1000 {
		return nil, fmt.Errorf("--seeds %d is not between 1 and 1000", f.seeds)
	}
	if f.first < 0 {
		return nil, fmt.Errorf("--first %d is below 0", f.first)
	}
	if f.duration < time.Second || f.duration > time.Hour || f.skip < 0 || f.skip >= f.duration {
		return nil, fmt.Errorf("--duration %v with --skip %v: want 1s to 1h, and more than is skipped", f.duration, f.skip)
	}
	if f.latency < 10*time.Millisecond || f.latency > 30*time.Second {
		return nil, fmt.Errorf("--latency %v is not between 10ms and 30s", f.latency)
	}
	chosen, err := show.Choose(schemes, list(f.against))
	if err != nil {
		return nil, err
	}
	links, err := f.links()
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		for _, kind := range list(f.encoder) {
			k, ok := show.ParseKind(kind)
			if !ok {
				return nil, fmt.Errorf("--encoder %q is not fixed, keys or adaptive", kind)
			}
			for _, s := range chosen {
				for _, words := range list(f.rate) {
					rate := func(p sim.Path) (congestion.Bitrate, error) { return f.rateOf(words, l.name, p) }
					if _, err := rate(l.make(1)); err != nil {
						return nil, err
					}
					cells = append(cells, simCell{l.name, l.fresh, f.scenario(s, k), l.make, rate})
				}
			}
		}
	}
	return cells, nil
}

func (f *simFlags) scenario(s show.Scheme, k show.Kind) show.Scenario {
	sc := show.Scenario{
		Scheme: s, Latency: f.latency, For: f.duration, Skip: f.skip,
		Encoder: show.Encoder{Kind: k, Droppable: f.droppable}, Stalls: sim.BusyHost(f.stalls),
	}
	if f.skip == 0 {
		sc.Skip = -1
	}
	return sc
}

// rateOf is a bitrate, or a share of what the link carries on the mean, or both: 4M:50% is whichever is less.
func (f *simFlags) rateOf(words, name string, link sim.Path) (congestion.Bitrate, error) {
	most, part, both := strings.Cut(words, ":")
	if !both && strings.HasSuffix(words, "%") {
		most, part = "", words
	}
	rate := int64(0)
	if both || most != "" {
		var err error
		if rate, err = parseRate(most); err != nil {
			return 0, err
		}
	}
	if both || part != "" {
		p, err := share(part)
		if err != nil {
			return 0, fmt.Errorf("--rate %s: %w", words, err)
		}
		if r := int64(p * float64(link.Up.Mean(f.duration))); r > 0 && (rate == 0 || r < rate) {
			rate = r
		}
	}
	if rate == 0 {
		return 0, fmt.Errorf("--rate %s: %s has no bottleneck to take a share of", words, name)
	}
	return congestion.Bitrate(rate), nil
}

// run plays the seeds from first on, so many at a time.
func (c *simCell) run(first, seeds, workers int, out io.Writer) ([]show.Result, error) {
	runs, errs := make([]show.Result, seeds), make([]error, seeds)
	var wg sync.WaitGroup
	slots := make(chan struct{}, workers)
	for i := range seeds {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			seed := uint64(first + i)
			sc := c.sc
			sc.Path = c.link(seed)
			if sc.Encoder.Rate, errs[i] = c.rate(sc.Path); errs[i] != nil {
				return
			}
			if out != io.Discard {
				sc.Trace = func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
			}
			if runs[i], errs[i] = show.Run(sc, seed); errs[i] == nil && out != io.Discard {
				fmt.Fprintf(out, "%s, %s at %d kbit/s, seed %d: %v\n", c.profile, sc.Scheme.Name, sc.Encoder.Rate/congestion.Kbps, seed, &runs[i])
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// limit is what is possible over the link at the rate that the encoder is given; known holds what was computed before.
func (c *simCell) limit(known map[string]bound.Limit) bound.Limit {
	if c.fresh {
		return bound.Limit{Why: "each seed is a link of its own"}
	}
	path := c.link(1)
	rate, err := c.rate(path)
	if err != nil {
		return bound.Limit{Why: err.Error()}
	}
	key := fmt.Sprint(c.profile, rate)
	l, ok := known[key]
	if !ok {
		l = bound.Of(&path.Up, &path.Down, float64(rate), c.sc.Latency)
		known[key] = l
	}
	return l
}

// plans are shared by all runs: each takes 10 to 100 ms.
type plans struct {
	mu    sync.Mutex // guards known
	known map[fec.Setting]*fec.Plan
}

// Plan computes what is not known yet.
func (p *plans) Plan(s fec.Setting) *fec.Plan {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[s] == nil {
		p.known[s] = fec.NewPlan(s)
	}
	return p.known[s]
}
