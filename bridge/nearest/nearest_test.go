package nearest

import "testing"

func TestWord(t *testing.T) {
	known := []string{"key", "push", "srt", "srt-latency", "hold"}
	for _, c := range []struct {
		word, want string
		most       int
		ok         bool
	}{
		{"push", "push", 0, true},
		{"keys", "key", 2, true},
		{"pusj", "push", 2, true},
		{"strt", "srt", 2, true},
		{"srt-latenzy", "srt-latency", 2, true},
		{"", "key", 3, true},
		{"entirely", "", 2, false},
	} {
		if got, ok := Word(c.word, known, c.most); got != c.want || ok != c.ok {
			t.Errorf("%q: %q %v, want %q %v", c.word, got, ok, c.want, c.ok)
		}
	}
	if got, ok := Word("x", nil, 9); got != "" || ok {
		t.Errorf("of nothing: %q", got)
	}
}
