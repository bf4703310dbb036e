package api

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/fairlead-live/fairlead/bench/need"
)

// The alerts are rules, and alerts and dashboard name metrics that there are.
func TestAlertsAndDashboard(t *testing.T) {
	promtool := need.Program(t, "promtool")
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", "../../docs/alerts.yaml").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	known := map[string]bool{}
	for _, m := range metrics {
		known[m.name] = true
	}
	for _, file := range []string{"../../docs/alerts.yaml", "../../docs/grafana.json"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, ".json") && !json.Valid(b) {
			t.Errorf("%s is not JSON", file)
		}
		for _, name := range regexp.MustCompile(`fairlead_[a-z_]+`).FindAllString(string(b), -1) {
			if !known[name] {
				t.Errorf("%s: %s is no metric", file, name)
			}
		}
	}
}

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
