package cli

import (
	"bytes"
	"strings"
	"testing"
)

func TestSimPlaysAStream(t *testing.T) {
	var out bytes.Buffer
	args := strings.Fields("sim --profile clean,step-6-3-6 --encoder fixed,adaptive --seeds 1 --duration 3s --skip 0s")
	if code := Main(t.Context(), args, &out, &out); code != exitOK {
		t.Fatalf("exit %d: %s", code, out.String())
	}
	for _, want := range []string{"STALL", "clean", "step-6-3-6", "adaptive", "fairlead"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	for _, bad := range []string{"--encoder slow", "--seeds 0", "--skip 2m", "--profile clean --rate 50%", "--rate x", "--rate 4M:", "--rate 4M:x%", "--rate :50%x", "--against nobody", "--latency 1ms", "--profile nowhere", "word"} {
		out.Reset()
		if code := Main(t.Context(), append([]string{"sim"}, strings.Fields(bad)...), &out, &out); code != exitUsage {
			t.Errorf("%s: exit %d: %s", bad, code, out.String())
		}
	}
	if !testing.Short() { // every kind of link there is
		out.Reset()
		args = strings.Fields("sim --profile fresh --encoder adaptive --rate 30%,60% --equal --seeds 1 --duration 3s --skip 0s")
		if code := Main(t.Context(), args, &out, &out); code != exitOK || !strings.Contains(out.String(), "EQUAL") || !strings.Contains(out.String(), "satellite") {
			t.Errorf("--equal: exit %d: %s", code, out.String())
		}
	}
	out.Reset()
	if code := Main(t.Context(), []string{"sim", "--list"}, &out, &out); code != exitOK || !strings.Contains(out.String(), "fairlead") {
		t.Errorf("--list: exit %d: %s", code, out.String())
	}
}
