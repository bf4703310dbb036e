package relay

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead-live/fairlead/bridge/api"
	"github.com/fairlead-live/fairlead/bridge/auth"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/events"
)

// live are the words that a running relay takes over; a change of the others waits for the next start.
func live(word string) bool {
	return word == "key" || word == "push" || word == "takeover" || word == "api-token" || strings.HasPrefix(word, "drain") || strings.HasPrefix(word, "auth-")
}

// Diff says what Reload would do.
func (r *Relay) Diff(next config.Relay) (api.Changes, error) {
	r.reload.Lock()
	defer r.reload.Unlock()
	return r.diff(&next)
}

func (r *Relay) diff(next *config.Relay) (c api.Changes, err error) {
	if err := next.Validate(); err != nil {
		return c, err
	}
	if _, err := auth.Secret(next.APIToken); err != nil {
		return c, fmt.Errorf("%w: api-token: %w", config.ErrUsage, err)
	}
	// What will run is a mixture: the API's new token goes with the address it listens on now.
	mixed := merged(r.cfg, *next)
	if err := mixed.Validate(); err != nil {
		return c, err
	}
	c.Applied, c.Restart = []string{}, []string{}
	for _, word := range config.Changed(&r.cfg, next) {
		if live(word) {
			c.Applied = append(c.Applied, word)
		} else {
			c.Restart = append(c.Restart, word)
		}
	}
	return c, nil
}

// Reload makes a new configuration the one that runs. Streams and destinations that are in both notice nothing. An error
// means that nothing has changed. A publisher whose key is gone, and that nothing else could admit, is ended.
func (r *Relay) Reload(next config.Relay) (api.Changes, error) {
	r.reload.Lock()
	defer r.reload.Unlock()
	c, err := r.diff(&next)
	if err != nil {
		return c, err
	}
	destinations, err := next.Destinations()
	if err != nil {
		return c, err
	}
	guard, names, err := r.access(&next)
	if err != nil {
		return c, err
	}
	rules, err := next.TakeoverRules()
	if err != nil {
		return c, err
	}
	token, err := auth.Secret(next.APIToken)
	if err != nil {
		return c, fmt.Errorf("%w: api-token: %w", config.ErrUsage, err)
	}
	if _, _, err := r.outputs.configured(destinations); err != nil {
		return c, err
	}
	r.guard.Store(guard)
	r.rules.Store(&rules)
	old := r.Names()
	r.keys.Store(&names)
	if r.control != nil {
		r.control.SetToken(token)
	}
	if !next.HasAuth() {
		for _, name := range old {
			if !slices.Contains(names, name) && r.hub.Kick(name) {
				r.log.Info("publisher ended: its key is gone", "stream", name)
			}
		}
	}
	r.cfg = merged(r.cfg, next)
	r.bus.Publish(events.Reload, "", map[string]any{"applied": c.Applied, "needs_restart": c.Restart})
	r.log.Info("configuration reloaded", "applied", strings.Join(c.Applied, " "), "needs_restart", strings.Join(c.Restart, " "))
	return c, nil
}

// merged is what runs now: the live words of next, the others as they were.
func merged(now, next config.Relay) config.Relay {
	for _, word := range config.Changed(&now, &next) {
		if live(word) {
			config.Take(&now, &next, word)
		}
	}
	return now
}

// access makes the guard of a configuration, and the names that are keys. A generated key stays while none is given.
func (r *Relay) access(cfg *config.Relay) (*auth.Guard, []string, error) {
	access := cfg.Access()
	if len(access.Keys) == 0 && !cfg.HasAuth() {
		access.Keys = []string{r.generated}
	}
	guard, err := auth.New(access)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", config.ErrUsage, err)
	}
	var names []string
	for _, k := range access.Keys {
		name, _, _ := strings.Cut(k, "=")
		names = append(names, name)
	}
	return guard, names, nil
}

// errNoParser is the answer of a relay that was not started by the command.
var errNoParser = errors.New("relay: this relay takes no configuration over the API")

// Configure lets the API parse a new configuration as the command would: the file's content, under the same flags and environment.
func (r *Relay) Configure(parse func(yaml []byte) (config.Relay, error)) { r.parse = parse }

// operator is the relay as the API sees it.
type operator struct{ *Relay }

// Outputs returns a snapshot of every destination.
func (o operator) Outputs() []api.OutputStats { return o.outputs.stats() }

// AddOutput starts a destination that the configuration does not have.
func (o operator) AddOutput(stream string, urls []string) (string, error) {
	d, err := config.ParseDestination(stream, urls)
	if err != nil {
		return "", err
	}
	return o.outputs.add(d, true)
}

// RemoveOutput ends a destination; one of the configuration is back after the next start.
func (o operator) RemoveOutput(id string) error { return o.outputs.remove(id) }

// PauseOutput ends a destination's publishing until RestartOutput.
func (o operator) PauseOutput(id string) error { return o.outputs.pause(id) }

// RestartOutput connects a destination anew.
func (o operator) RestartOutput(id string) error { return o.outputs.restart(id) }

// Config returns the words and values that run, without secrets.
func (o operator) Config() map[string]any {
	o.reload.Lock()
	defer o.reload.Unlock()
	return config.Shown(&o.cfg)
}

// DiffConfig says what ApplyConfig would change.
func (o operator) DiffConfig(yaml []byte) (api.Changes, error) {
	if o.parse == nil {
		return api.Changes{}, errNoParser
	}
	next, err := o.parse(yaml)
	if err != nil {
		return api.Changes{}, err
	}
	return o.Diff(next)
}

// ApplyConfig takes a configuration over until the next start.
func (o operator) ApplyConfig(yaml []byte) (api.Changes, error) {
	if o.parse == nil {
		return api.Changes{}, errNoParser
	}
	next, err := o.parse(yaml)
	if err != nil {
		return api.Changes{}, err
	}
	return o.Reload(next)
}
