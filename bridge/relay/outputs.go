package relay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/fairlead-live/fairlead/bridge/api"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/events"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/rtmpout"
)

// maxOutputs bounds what the API can add.
const maxOutputs = 1000

// outputs are the destinations. They come and go while the relay runs, each with its own goroutine; one that is left alone
// notices nothing of the others.
type outputs struct {
	hub *hub.Hub
	log *slog.Logger
	bus *events.Bus // nil: nobody is told

	mu   sync.Mutex
	ctx  context.Context // of run; nil before
	wg   sync.WaitGroup
	list []*output
}

// output is one of them. Its fields are guarded by outputs.mu.
type output struct {
	id     string
	to     config.Destination
	added  bool // over the API: the configuration does not know it
	paused bool
	out    *rtmpout.Output
	cancel context.CancelFunc // nil: it does not run
	done   chan struct{}
}

// outputID names a destination the same way in every run, and says nothing of its secrets.
func outputID(d config.Destination) string {
	sum := sha256.Sum256([]byte(d.Name + "=" + strings.Join(d.URLs, " ")))
	return hex.EncodeToString(sum[:4])
}

func (o *outputs) make(d config.Destination) (*rtmpout.Output, error) {
	cfg := rtmpout.Config{Hub: o.hub, Stream: d.Name, URL: rtmpout.Fixed(d.URLs[0]), Logger: o.log}
	if o.bus != nil {
		id, name := outputID(d), d.Name
		cfg.OnState = func(s rtmpout.State, why string) {
			data := map[string]any{"id": id, "state": s.String()}
			if why != "" && s != rtmpout.Publishing {
				data["error"] = why
			}
			o.bus.Publish(events.Output, name, data)
		}
	}
	for _, u := range d.URLs[1:] {
		cfg.Backup = append(cfg.Backup, rtmpout.Fixed(u))
	}
	out, err := rtmpout.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: push: %w", config.ErrUsage, err)
	}
	return out, nil
}

// add makes a destination and starts it when run has begun. Two with the same stream and addresses are one.
func (o *outputs) add(d config.Destination, added bool) (string, error) {
	out, err := o.make(d)
	if err != nil {
		return "", err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	id := outputID(d)
	if slices.ContainsFunc(o.list, func(e *output) bool { return e.id == id }) {
		return id, nil
	}
	if len(o.list) >= maxOutputs {
		return "", fmt.Errorf("relay: %d outputs already", maxOutputs)
	}
	e := &output{id: id, to: d, added: added, out: out}
	o.list = append(o.list, e)
	o.start(e)
	return id, nil
}

// start runs an output; o.mu is held.
func (o *outputs) start(e *output) {
	if o.ctx == nil {
		return
	}
	ctx, cancel := context.WithCancel(o.ctx)
	e.cancel, e.done = cancel, make(chan struct{})
	out, done := e.out, e.done
	o.wg.Go(func() {
		defer close(done)
		if err := out.Run(ctx); err != nil && ctx.Err() == nil {
			o.log.Error("push ended", "stream", e.to.Name, "id", e.id, "err", err)
		}
	})
}

// stop ends an output and waits for it.
func (o *outputs) stop(e *output) {
	o.mu.Lock()
	cancel, done := e.cancel, e.done
	e.cancel = nil
	o.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
}

// run starts what there is, and waits until ctx has ended and everything with it.
func (o *outputs) run(ctx context.Context) error {
	o.mu.Lock()
	o.ctx = ctx
	for _, e := range o.list {
		if !e.paused {
			o.start(e)
		}
	}
	o.mu.Unlock()
	<-ctx.Done()
	o.mu.Lock()
	o.ctx = nil // nothing starts any more
	o.mu.Unlock()
	o.wg.Wait()
	return nil
}

func (o *outputs) find(id string) (*output, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.IndexFunc(o.list, func(e *output) bool { return e.id == id })
	if i < 0 {
		return nil, api.ErrNotFound
	}
	return o.list[i], nil
}

func (o *outputs) remove(id string) error {
	e, err := o.find(id)
	if err != nil {
		return err
	}
	o.mu.Lock()
	o.list = slices.DeleteFunc(o.list, func(x *output) bool { return x == e })
	o.mu.Unlock()
	o.stop(e)
	return nil
}

// pause ends the publishing of an output and keeps it; resume and restart make a new one of it.
func (o *outputs) pause(id string) error {
	e, err := o.find(id)
	if err != nil {
		return err
	}
	o.mu.Lock()
	e.paused = true
	o.mu.Unlock()
	o.stop(e)
	return nil
}

func (o *outputs) restart(id string) error {
	e, err := o.find(id)
	if err != nil {
		return err
	}
	o.stop(e)
	out, err := o.make(e.to)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if e.cancel == nil && slices.Contains(o.list, e) {
		e.out, e.paused = out, false
		o.start(e)
	}
	return nil
}

// stats returns a snapshot of each.
func (o *outputs) stats() []api.OutputStats {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]api.OutputStats, 0, len(o.list))
	for _, e := range o.list {
		all = append(all, api.OutputStats{ID: e.id, Stream: e.to.Name, Paused: e.paused, Stats: e.out.Stats()})
	}
	return all
}

// running returns them, for tests and the demo.
func (o *outputs) running() []*rtmpout.Output {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]*rtmpout.Output, 0, len(o.list))
	for _, e := range o.list {
		all = append(all, e.out)
	}
	return all
}

// configured makes the destinations of a new configuration of these: what is in both is not touched, what the API added stays.
func (o *outputs) configured(want []config.Destination) (added, removed int, err error) {
	keep := map[string]bool{}
	for _, d := range want {
		if _, err := o.make(d); err != nil { // before anything changes
			return 0, 0, err
		}
		keep[outputID(d)] = true
	}
	o.mu.Lock()
	var gone []string
	have := map[string]bool{}
	for _, e := range o.list {
		have[e.id] = true
		if !e.added && !keep[e.id] {
			gone = append(gone, e.id)
		}
	}
	o.mu.Unlock()
	for _, id := range gone {
		if o.remove(id) == nil {
			removed++
		}
	}
	for _, d := range want {
		if !have[outputID(d)] {
			if _, err := o.add(d, false); err != nil {
				return added, removed, err
			}
			added++
		}
	}
	return added, removed, nil
}
