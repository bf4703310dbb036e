package config

import (
	"os"
	"strings"
	"testing"
)

// The sample file and the docs' table hold every word, and the sample loads.
func TestSampleLoadsAndNothingIsUndocumented(t *testing.T) {
	var r Relay
	s := NewSet("relay")
	r.Bind(s)
	if _, err := s.Parse([]string{"--config", "../../docs/relay.yaml"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"../../docs/relay.yaml", "../../docs/relay.md"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range s.words {
			if !strings.Contains(string(b), "\n"+w+":") && !strings.Contains(string(b), "\n| `"+w+"` |") {
				t.Errorf("%s says nothing of %s", file, w)
			}
		}
	}
}
