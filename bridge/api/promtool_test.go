package api

import (
	"bytes"
	"os/exec"
	"testing"

	"github.com/fairlead-live/fairlead/bench/need"
)

// Prometheus's own checker has nothing to say.
func TestPromtool(t *testing.T) {
	promtool := need.Program(t, "promtool")
	s, _ := sampled()
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = bytes.NewReader(get(t, s, "/metrics", nil).Body.Bytes())
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}
