package run

import (
	"fmt"
	"strings"

	"github.com/fairlead-live/fairlead/bench/emu"
)

// congestionControl makes kernel TCP on both sides use the scheme's algorithm across the link, by the route: the sysctl of a
// namespace takes only algorithms that the host allows to everybody, and cubic is not always one of them.
//
// It also has acknowledgements sent at once on the far side's loopback, where our reader sits: delayed ones (40 ms) and
// nginx's Nagle algorithm hold back the end of each key frame, behind the link that is to be judged.
func (c *cell) congestionControl() error {
	algorithm := c.scheme.CongestionControl
	if algorithm == "" {
		return nil
	}
	for _, side := range []emu.Side{emu.Near, emu.Far} {
		out, err := c.ip(side, "-4", "route", "show", "scope", "link")
		if err != nil {
			return err
		}
		for line := range strings.Lines(out) {
			route := strings.Fields(strings.TrimSuffix(strings.TrimSpace(line), "linkdown"))
			if len(route) == 0 {
				continue
			}
			args := append([]string{"route", "change"}, route...)
			if _, err := c.ip(side, append(args, "scope", "link", "congctl", algorithm)...); err != nil {
				return err
			}
		}
	}
	_, err := c.ip(emu.Far, "route", "replace", "local", "127.0.0.1", "dev", "lo", "table", "local", "scope", "host", "src", "127.0.0.1", "proto", "kernel", "quickack", "1")
	return err
}

func (c *cell) ip(side emu.Side, args ...string) (string, error) {
	path, err := lookPath("ip")
	if err != nil {
		return "", fmt.Errorf("congestion control: %w", err)
	}
	out, err := c.pair.Command(side, path, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("congestion control: ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}
