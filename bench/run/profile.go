package run

import "github.com/fairlead-live/fairlead/bench/netem"

// Profile is a link by name.
type Profile struct {
	Name     string
	Title    string
	Up, Down netem.Config
}
