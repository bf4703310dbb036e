package cli

import (
	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bench/netem/profile"
)

// resolve turns the PROFILE of a command line into a link: the first one where the profile has several.
func resolve(what, traces string) (up, down netem.Config, err error) {
	p, err := profile.Load(what, traces)
	return p.Up, p.Down, err
}
