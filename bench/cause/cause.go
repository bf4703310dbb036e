// Package cause checks the relay's verdict on a stall against what was done to the stream: six profiles made for the six causes, played in
// virtual time through the real transports (bench/show), the real hub and its players.
//
//	bench/show's link and transport ─▶ hub ─▶ a destination that reads
//	        │ facts, ten times a second ─▲ └▶ stutter.Live: stalls and why
//	        └─▶ stutter.Meter, which knows the source: the bench's verdict
//
// What it leaves to others: links and transports (bench/show), flags (the command).
package cause

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bench/show"
	"github.com/fairlead-live/fairlead/bench/sim"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// Span is a time in which something is done to the stream, and what.
type Span struct {
	From, To time.Duration
	Cause    stutter.Cause
}

// Profile is a link, an encoder, a relay and a destination, and when which of them is at fault.
type Profile struct {
	Name  string
	Spans []Span
}

func at(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// For is how long a profile lasts.
const For = 120 * time.Second

// Profiles are one for each cause, and one with all of them.
func Profiles() []Profile {
	var out []Profile
	lengths := [...]float64{2.5, 3, 4, 3.5, 5}
	for c := range stutter.Cause(stutter.Causes) {
		p := Profile{Name: c.String()}
		for i, n := range lengths {
			if c == stutter.Relay { // what is missing after a longer one is a new timeline to the hub
				n = min(n, 3)
			}
			from := 15 + 20*float64(i)
			p.Spans = append(p.Spans, Span{at(from), at(from + n), c})
		}
		out = append(out, p)
	}
	all := Profile{Name: "all"}
	for c := range stutter.Cause(stutter.Causes) {
		from := 12 + 17*float64(c)
		all.Spans = append(all.Spans, Span{at(from), at(from + 3), c})
	}
	return append(out, all)
}

func (p *Profile) during(t time.Duration, c stutter.Cause) (until time.Duration, ok bool) {
	for _, s := range p.Spans {
		if s.Cause == c && s.From <= t && t < s.To {
			return s.To, true
		}
	}
	return 0, false
}

// Link is 8 Mbit/s each way, 30 ms each way, a queue of 250 ms and 0.2 % of loss.
func (p *Profile) Link() sim.Path {
	base := netem.Config{
		Rate: 8_000_000, Delay: netem.Delay{Base: 30 * time.Millisecond}, Limit: netem.Limit{Time: 250 * time.Millisecond},
		Loss: netem.Loss{Model: netem.LossRandom, P: 0.002},
	}
	up, down := base, base
	down.Loss = netem.Loss{}
	for _, s := range p.Spans {
		switch s.Cause {
		case stutter.Capacity:
			up.Schedule = append(up.Schedule, netem.Step{At: s.From, Kind: netem.StepRate, Rate: 1_500_000},
				netem.Step{At: s.To, Kind: netem.StepRate, Rate: base.Rate})
		case stutter.Loss:
			up.Schedule = append(up.Schedule, netem.Step{At: s.From, Kind: netem.StepLoss, Loss: netem.Loss{Model: netem.LossRandom, P: 0.6}},
				netem.Step{At: s.To, Kind: netem.StepLoss, Loss: base.Loss})
		case stutter.Path:
			up.Schedule = append(up.Schedule, netem.Step{At: s.From, Kind: netem.StepOutage, For: s.To - s.From})
		}
	}
	return sim.Path{Up: up, Down: down}
}

// Result is one run: the bench's verdict and the relay's.
type Result struct {
	Profile, Scheme string
	Bench           time.Duration   // stalled, as the player that knows the source has it
	Relay           time.Duration   // stalled, as the relay has it
	Want            stutter.ByCause // the bench's, by what was done
	Got             stutter.ByCause // the relay's
	Faults          []string
}

// add sums runs up.
func (r *Result) add(o *Result) {
	r.Profile, r.Scheme = o.Profile, o.Scheme
	r.Bench += o.Bench
	r.Relay += o.Relay
	for c := range o.Want {
		r.Want[c] += o.Want[c]
		r.Got[c] += o.Got[c]
	}
}

// Right is the share of the stalled time whose cause is right.
func (r *Result) Right() float64 {
	sum := max(r.Want.Sum(), r.Got.Sum())
	if sum == 0 {
		return 1
	}
	var right time.Duration
	for c := range r.Want {
		right += min(r.Want[c], r.Got[c])
	}
	return float64(right) / float64(sum)
}

// Off is by how much the relay's stalled time differs from the bench's, as a share.
func (r *Result) Off() float64 {
	if r.Bench == 0 {
		return float64(min(r.Relay, 1))
	}
	return float64(r.Relay-r.Bench) / float64(r.Bench)
}

// Run plays a profile. step is called with the time that passes in the world, ten times a second of it, for the hub's timers: they are the
// standard library's. Nil: nobody moves them.
func Run(p Profile, scheme show.Scheme, latency time.Duration, seed uint64, step func(time.Duration)) (Result, error) {
	w := &watch{p: &p, step: step, player: hub.NewPlayer()}
	w.hub = hub.New(hub.Config{Now: w.clock})
	defer func() { _ = w.hub.Close() }()
	var err error
	if w.pub, err = w.hub.Publish("live/cause", hub.PublisherInfo{Protocol: "sim"}); err != nil {
		return Result{}, err
	}
	if w.sub, err = w.hub.Subscribe("live/cause", hub.SubscriberInfo{Protocol: "push", Player: w.player, Lag: hub.Lag{Skip: 2 * time.Second}}); err != nil {
		return Result{}, err
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	w.ctx = done
	r, err := show.Run(show.Scenario{
		Scheme: scheme, Path: p.Link(), Latency: latency, For: For, Skip: -1, Watch: w, Buffers: []time.Duration{stutter.Headline},
		Pause: func(t time.Duration) bool { _, ok := p.during(t, stutter.Encoder); return ok },
		Freeze: func(t time.Duration) time.Duration {
			until, _ := p.during(t, stutter.Relay)
			return until
		},
	}, seed)
	if err != nil {
		return Result{}, err
	}
	out := Result{Profile: p.Name, Scheme: scheme.Name, Faults: r.Faults}
	report := w.report
	player := r.Score.Players[0]
	if p.has(stutter.Egress) {
		report, player = w.output, w.atDestination(&r)
	}
	for _, k := range player.Kept {
		out.Bench += k.Length
		out.Want[p.blame(k)] += k.Length
	}
	out.Relay, out.Got = report.Total.Sum(), report.Total
	return out, nil
}

func (p *Profile) has(c stutter.Cause) bool {
	for _, s := range p.Spans {
		if s.Cause == c {
			return true
		}
	}
	return false
}

// blame is what was done to the stream right before a stall, or during it.
func (p *Profile) blame(k stutter.Stall) stutter.Cause {
	c := p.Spans[0].Cause
	for _, s := range p.Spans {
		if s.From <= k.From+k.Length {
			c = s.Cause
		}
	}
	return c
}

// watch is the relay of a run.
type watch struct {
	p      *Profile
	step   func(time.Duration)
	at     atomic.Int64 // since sim.Epoch: the hub's timers read it too
	ctx    context.Context
	hub    *hub.Hub
	pub    *hub.Publisher
	sub    *hub.Subscriber
	player *hub.Player
	report stutter.Report
	output stutter.Report
	read   []readFrame
	begun  bool
	origin time.Duration // of the hub's timeline, as the source counts
}

type readFrame struct {
	dts time.Duration
	at  time.Duration
}

var (
	config = &media.Config{Codec: media.H264, Width: 1280, Height: 720}
	sound  = func() *media.Config {
		c, err := media.NewAACConfig([]byte{0x11, 0x90}) // low complexity, 48 kHz, two channels
		if err != nil {
			panic(err)
		}
		return c
	}()
)

var payload = make([]byte, 16)

func (w *watch) set(now time.Time) { w.at.Store(int64(now.Sub(sim.Epoch))) }

func (w *watch) clock() time.Time { return sim.Epoch.Add(time.Duration(w.at.Load())) }

// Delivered implements show.Watch.
func (w *watch) Delivered(f show.Frame, now time.Time, broken bool) {
	w.set(now)
	if !w.begun {
		w.begun, w.origin = true, f.Capture-time.Second // the hub's timeline begins at 1 s
	}
	if f.Audio {
		_ = w.pub.WriteFrame(&media.Frame{Track: 1, Codec: media.AAC, Flags: media.Key, DTS: f.Capture, PTS: f.Capture, Config: sound, Payload: payload})
		w.drain()
		return
	}
	m := &media.Frame{Codec: media.H264, DTS: f.Capture, PTS: f.Capture, Config: config, Payload: payload}
	if f.Key {
		m.Flags |= media.Key
	}
	if f.Droppable {
		m.Flags |= media.Droppable
	}
	if broken {
		m.Flags |= media.Discontinuity
	}
	_ = w.pub.WriteFrame(m)
	w.drain()
}

// drain is the destination.
func (w *watch) drain() {
	t := w.clock().Sub(sim.Epoch)
	if _, blocked := w.p.during(t, stutter.Egress); blocked {
		return
	}
	for {
		f, err := w.sub.Read(w.ctx)
		if err != nil {
			return
		}
		if f.Codec.IsVideo() {
			w.read = append(w.read, readFrame{f.DTS + w.origin, t})
		}
	}
}

// Look implements show.Watch.
func (w *watch) Look(f stutter.Facts, now time.Time) {
	w.set(now)
	if w.step != nil {
		w.step(now.Sub(sim.Epoch))
	}
	w.drain()
	w.hub.Judge(func(string) stutter.Facts { return f })
	if now.Sub(sim.Epoch) <= For {
		for _, s := range w.hub.Streams() {
			w.report = s.Stutter
		}
		w.output = w.player.Report()
	}
}

// atDestination is the bench's verdict on what the destination read. The source is what was made.
func (w *watch) atDestination(r *show.Result) stutter.Player {
	m := stutter.NewMeter(stutter.Config{Buffers: []time.Duration{stutter.Headline}, Source: r.Source})
	i := int64(0)
	for _, f := range w.read {
		for i < int64(len(r.Source)) && r.Source[i].DTS < f.dts-time.Millisecond {
			i++
		}
		m.Observe(stutter.Frame{Seq: i}, f.at)
	}
	s := m.Score(For)
	return s.Players[0]
}

// WriteTable prints results as a table in Markdown.
func WriteTable(w io.Writer, all []Result) error {
	fmt.Fprint(w, "| what is done | carried by | stalled, bench | stalled, relay | differs | cause right |")
	for c := range stutter.Cause(stutter.Causes) {
		fmt.Fprintf(w, " %s |", c)
	}
	fmt.Fprint(w, "\n| --- | --- | --- | --- | --- | --- |")
	for range stutter.Causes {
		fmt.Fprint(w, " --- |")
	}
	fmt.Fprintln(w)
	for _, r := range all {
		fmt.Fprintf(w, "| %s | %s | %.1f s | %.1f s | %+.1f %% | %.1f %% |", r.Profile, r.Scheme, r.Bench.Seconds(), r.Relay.Seconds(), 100*r.Off(), 100*r.Right())
		for _, d := range r.Got {
			fmt.Fprintf(w, " %.1f s |", d.Seconds())
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	return nil
}
