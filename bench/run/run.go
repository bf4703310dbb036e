package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bench/bound"
	"github.com/fairlead-live/fairlead/bench/report"
	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// ErrPlan is wrapped by every complaint about a plan.
var ErrPlan = errors.New("run: bad plan")

// Plan is what to run.
type Plan struct {
	Profiles []Profile
	Schemes  []*Scheme
	Seeds    []uint64
	Duration time.Duration // of media in each cell
	Latency  time.Duration // the budget of every scheme that has one
	Rate     int64         // bits/s of the clip's pictures, where Clip is ""
	Clip     string        // a transport stream; "": made by ffmpeg
	Parallel int           // cells at a time; 0: one
	Retries  int           // how often noisy cells are run again, behind all others
	Command  []string      // for the report

	// Progress is told when a cell is over, with the report so far, which it borrows; nil: nobody is. One call at a time.
	Progress func(Progress)
}

// Progress of a run.
type Progress struct {
	Done, Total int
	Left        time.Duration // estimated; 0 before the first cell is over
	Last        *report.Cell
	Report      *report.Report
}

// Validate names what makes no sense.
func (p *Plan) Validate() error {
	switch {
	case len(p.Profiles) == 0:
		return fmt.Errorf("%w: no profile", ErrPlan)
	case len(p.Schemes) == 0:
		return fmt.Errorf("%w: no scheme", ErrPlan)
	case len(p.Seeds) == 0:
		return fmt.Errorf("%w: no seed", ErrPlan)
	case p.Duration < time.Second || p.Duration > time.Hour:
		return fmt.Errorf("%w: duration %v is not between 1s and 1h", ErrPlan, p.Duration)
	case p.Latency < 20*time.Millisecond || p.Latency > 30*time.Second:
		return fmt.Errorf("%w: latency %v is not between 20ms and 30s", ErrPlan, p.Latency)
	case p.Clip == "" && (p.Rate < 100_000 || p.Rate > 100_000_000):
		return fmt.Errorf("%w: rate %d is not between 100 kbit/s and 100 Mbit/s", ErrPlan, p.Rate)
	case p.Retries < 0 || p.Retries > 10:
		return fmt.Errorf("%w: %d retries", ErrPlan, p.Retries)
	case p.Parallel < 0 || p.Parallel > 64:
		return fmt.Errorf("%w: %d cells at a time", ErrPlan, p.Parallel)
	}
	return nil
}

// Run plays the whole matrix. It returns the report also with an error: what had been done by then, marked Partial.
//
// Goroutines: Parallel workers and the control stream's, all gone when Run returns.
func (p *Plan) Run(ctx context.Context) (*report.Report, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	r := &report.Report{Format: report.Format, Made: time.Now().UTC(), Partial: true, Command: p.Command}
	var schemes []*Scheme
	for _, s := range p.Schemes {
		if why := s.Missing(); why != "" {
			r.Skipped = append(r.Skipped, report.Skipped{Scheme: s.Name, Why: why + " is not here"})
			continue
		}
		schemes = append(schemes, s)
		r.Schemes = append(r.Schemes, report.Scheme{Name: s.Name, Group: s.Group, Title: s.Title, Notes: s.Notes})
	}
	for _, l := range p.Profiles {
		r.Profiles = append(r.Profiles, report.Profile{Name: l.Name, Title: l.Title})
	}
	r.Host = host(schemes)
	if len(schemes) == 0 {
		return r, fmt.Errorf("%w: the programs of every scheme are missing", ErrPlan)
	}
	clip, err := p.readClip(ctx)
	if err != nil {
		return r, err
	}
	removeLeftovers()
	defer raise()()
	workers := max(1, p.Parallel)
	r.Settings = report.Settings{
		Seconds: p.Duration.Seconds(), LatencyMs: float64(p.Latency.Milliseconds()), Seeds: p.Seeds, Parallel: workers, Clip: p.clipName(),
		MediaBps: float64(clip.Bytes) * 8 / clip.Duration().Seconds(),
	}
	for i := range p.Profiles {
		l := bound.Of(&p.Profiles[i].Up, &p.Profiles[i].Down, r.Settings.MediaBps, p.Latency)
		r.Profiles[i].Limit, r.Profiles[i].NoLimit = l.Wire, l.Why
	}
	control, err := newControl(ctx)
	if err != nil {
		return r, err
	}
	defer control.close()
	m := &matrix{plan: p, report: r, began: time.Now(), clip: clip, control: control, workers: workers}
	err = m.run(ctx, schemes)
	r.Partial = len(r.Cells) < len(p.Profiles)*len(schemes)*len(p.Seeds)
	return r, err
}

func (p *Plan) clipName() string {
	if p.Clip != "" {
		return p.Clip
	}
	return fmt.Sprintf("ffmpeg testsrc2 with noise, H.264 %g Mbit/s, 30 frames/s, GOP 2 s, and AAC", float64(p.Rate)/1e6)
}

func (p *Plan) readClip(ctx context.Context) (*Clip, error) {
	path := p.Clip
	if path == "" {
		var err error
		if path, err = MakeClip(ctx, p.Duration+2*runOut, p.Rate); err != nil {
			return nil, err
		}
	}
	clip, err := ReadClip(path, p.Duration+runOut)
	if err == nil && clip.Duration() < p.Duration {
		err = fmt.Errorf("%w: %s is %v long, the run is to be %v", ErrClip, path, clip.Duration().Round(time.Millisecond), p.Duration)
	}
	return clip, err
}

// matrix is a run in progress.
type matrix struct {
	plan    *Plan
	clip    *Clip
	control *control
	workers int
	began   time.Time

	mu          sync.Mutex // guards what follows, report.Cells and calls of Progress
	done, total int        // cells run, and to run, the repeated ones too
	report      *report.Report
}

// run plays every cell, seed by seed so that an interrupted run has whole seeds, and then the noisy ones again.
func (m *matrix) run(ctx context.Context, schemes []*Scheme) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var cells []*cell
	for _, seed := range m.plan.Seeds {
		for _, profile := range m.plan.Profiles {
			for _, s := range schemes {
				cells = append(cells, &cell{scheme: s, profile: profile, seed: seed, clip: m.clip, media: m.plan.Duration, latency: m.plan.Latency})
			}
		}
	}
	for range m.plan.Retries + 1 {
		m.total += len(cells)
		m.pass(ctx, cells)
		if ctx.Err() != nil {
			break
		}
		cells = slices.DeleteFunc(cells, func(c *cell) bool { return !m.noisy(c) })
	}
	m.sort(schemes)
	return context.Cause(ctx)
}

// pass gives the cells to workers and waits for them.
func (m *matrix) pass(ctx context.Context, cells []*cell) {
	work := make(chan *cell)
	var wg sync.WaitGroup
	for range m.workers {
		wg.Go(func() {
			for c := range work {
				out, err := c.run(ctx, m.control)
				if err != nil {
					if ctx.Err() != nil {
						return
					}
					out = &report.Cell{Profile: c.profile.Name, Scheme: c.scheme.Name, Seed: c.seed, Error: err.Error()}
					out.Score = nothing(m.clip.upTo(m.plan.Duration), m.plan.Duration)
				}
				m.add(out)
			}
		})
	}
	for _, c := range cells {
		select {
		case work <- c:
		case <-ctx.Done():
		}
	}
	close(work)
	wg.Wait()
}

// find returns the cell's result so far, or nil.
func (m *matrix) find(profile, scheme string, seed uint64) *report.Cell {
	for i := range m.report.Cells {
		if c := &m.report.Cells[i]; c.Profile == profile && c.Scheme == scheme && c.Seed == seed {
			return c
		}
	}
	return nil
}

func (m *matrix) noisy(c *cell) bool {
	out := m.find(c.profile.Name, c.scheme.Name, c.seed)
	return out != nil && len(out.Noisy) > 0
}

// nothing is the score of a cell that could not be run.
func nothing(source []stutter.Frame, end time.Duration) stutter.Summary {
	s := stutter.NewMeter(stutter.Config{Source: source}).Score(end)
	return s.Summary()
}

// add keeps a result; of a repeated cell, the one with less noise, whatever its score.
func (m *matrix) add(c *report.Cell) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done++
	if old := m.find(c.Profile, c.Scheme, c.Seed); old == nil {
		m.report.Cells = append(m.report.Cells, *c)
	} else if len(c.Noisy) < len(old.Noisy) {
		*old = *c
	}
	if m.plan.Progress == nil {
		return
	}
	left := time.Since(m.began) * time.Duration(m.total-m.done) / time.Duration(m.done)
	m.plan.Progress(Progress{Done: m.done, Total: m.total, Left: left, Last: c, Report: m.report})
}

// sort brings the cells into the order they were asked for.
func (m *matrix) sort(schemes []*Scheme) {
	rank := func(c *report.Cell) int {
		p := slices.IndexFunc(m.plan.Profiles, func(p Profile) bool { return p.Name == c.Profile })
		s := slices.IndexFunc(schemes, func(s *Scheme) bool { return s.Name == c.Scheme })
		k := slices.Index(m.plan.Seeds, c.Seed)
		return (p*len(schemes)+s)*len(m.plan.Seeds) + k
	}
	slices.SortStableFunc(m.report.Cells, func(a, b report.Cell) int { return rank(&a) - rank(&b) })
}
