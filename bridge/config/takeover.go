package config

import (
	"fmt"
	"strings"

	"github.com/fairlead-live/fairlead/bridge/hub"
)

// TakeoverRules are the parsed words of takeover.
type TakeoverRules struct {
	all   hub.Takeover
	names map[string]hub.Takeover // app/key, and app/ for app/*
}

// For returns the policy of a key: its own, else its app's, else everybody's.
func (t *TakeoverRules) For(name string) hub.Takeover {
	if p, ok := t.names[name]; ok {
		return p
	}
	app, _, _ := strings.Cut(name, "/")
	if p, ok := t.names[app+"/"]; ok {
		return p
	}
	return t.all
}

// TakeoverRules parses Takeover.
func (r *Relay) TakeoverRules() (TakeoverRules, error) {
	t := TakeoverRules{names: map[string]hub.Takeover{}}
	general := false
	for _, s := range r.Takeover {
		name, policy, named := strings.Cut(s, "=")
		if !named {
			name, policy = "", s
		}
		p, err := hub.ParseTakeover(policy)
		if err != nil {
			return t, fmt.Errorf("%w: takeover: %q: want idle, idle:5s, newest or reject, or APP/KEY= before it", ErrUsage, s)
		}
		if !named {
			if general {
				return t, fmt.Errorf("%w: takeover: a second policy for every key: %q", ErrUsage, s)
			}
			t.all, general = p, true
			continue
		}
		key := name
		if app, ok := strings.CutSuffix(name, "/*"); ok {
			key, name = app+"/", app+"/x"
		}
		if err := ValidName(name); err != nil {
			return t, fmt.Errorf("%w: takeover: %w", ErrUsage, err)
		}
		if _, twice := t.names[key]; twice {
			return t, fmt.Errorf("%w: takeover: a second policy: %q", ErrUsage, s)
		}
		t.names[key] = p
	}
	return t, nil
}
