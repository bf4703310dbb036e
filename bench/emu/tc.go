package emu

import (
	"errors"
	"fmt"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// ErrNoTCWord is in the chain when tc netem has no word for something a link does.
var ErrNoTCWord = errors.New("emu: tc netem has no word for it")

// TCCommand is the command that gives a device's outgoing packets one direction of a link, by the kernel's own netem. The
// words and their meaning are the same; the random draws are not, so the statistics agree and the packet numbers do not.
// How well a kernel's netem keeps to them is not checked here.
func TCCommand(device string, c netem.Config) (string, error) {
	for _, no := range []struct {
		has  bool
		what string
	}{
		{c.Trace != nil || c.TraceFile != "", "a trace"},
		{c.Poisson, "poisson"},
		{len(c.Schedule) > 0, "a schedule (at …)"},
		{c.Limit.Bytes > 0 || c.Limit.Time > 0, "a limit in bytes or time"},
		{c.CoDel.On, "codel"},
		{c.Policer.Rate > 0, "policer"},
		{c.Drought.Every > 0, "drought"},
		{c.Overhead > 0, "overhead"},
		{c.Delay.InOrder, "inorder"},
		{c.Loss.Model == netem.LossTime, "loss getime"},
	} {
		if no.has {
			return "", fmt.Errorf("%w: %s", ErrNoTCWord, no.what)
		}
	}
	return "tc qdisc replace dev " + device + " root netem " + c.Words(), nil
}
