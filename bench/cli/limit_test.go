package cli

import (
	"bytes"
	"strings"
	"testing"
)

func TestLimitPrintsWhatIsPossible(t *testing.T) {
	var out bytes.Buffer
	args := strings.Fields("limit --loss 5% --burst 3 --rtt 60ms --latency 200ms --rate 4M")
	if code := Main(t.Context(), args, &out, &out); code != exitOK {
		t.Fatalf("exit %d: %s", code, out.String())
	}
	for _, want := range []string{"14 packets a frame", "5.26 %", "resends alone", "sliding window", "both", "practical"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	out.Reset() // no round fits: what is best is FEC alone, and said to be
	if code := Main(t.Context(), strings.Fields("limit --loss 1% --rtt 150ms --latency 120ms"), &out, &out); code != exitOK || !strings.Contains(out.String(), "no resends: as FEC alone") {
		t.Errorf("exit %d: %s", code, out.String())
	}
	for _, bad := range []string{"--loss 5", "--loss 100%", "--loss x%", "--target -1%", "--rate fast", "--fps 0", "--rtt -1s", "word"} {
		out.Reset()
		if code := Main(t.Context(), append([]string{"limit"}, strings.Fields(bad)...), &out, &out); code != exitUsage {
			t.Errorf("%s: exit %d: %s", bad, code, out.String())
		}
	}
}
