package push

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/config"
)

func TestWays(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want []string
	}{
		{"fairlead://h/a/b?token=x", []string{"fairlead://h/a/b?token=x"}},
		{"fairlead://h/a/b?pin=p|rtmps://h/a/b|srt://h:9", []string{"fairlead://h/a/b?pin=p", "rtmps://h/a/b", "srt://h:9"}},
		{"fairlead://h:4433/a/b?fallback=rtmps&token=x%26y", []string{"fairlead://h:4433/a/b?token=x%26y", "rtmps://h/a/b?token=x%26y"}},
		{"fairlead://[::1]:4433/a/b?fallback=rtmp", []string{"fairlead://[::1]:4433/a/b", "rtmp://[::1]/a/b"}},
		{"rtmp://h/a/b?fallback=x", []string{"rtmp://h/a/b?fallback=x"}}, // its own business
	} {
		if got, err := ways(c.raw); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", c.raw, got, err, c.want)
		}
	}
	if _, err := ways("fairlead://h/a/b?fallback=srt"); !errors.Is(err, config.ErrUsage) {
		t.Errorf("fallback=srt: %v", err)
	}
	if _, err := New(Config{Input: "chain_test.go", URLs: []string{"fairlead://h/a/b|http://h/a"}}); !errors.Is(err, config.ErrUsage) {
		t.Errorf("a way that is none: %v", err)
	}
}

// told is a way as watch sees it.
type told struct {
	nowhere
	state string
}

func (w *told) status() Status { return Status{State: w.state} }

func TestWatch(t *testing.T) {
	begin := time.Now()
	way := &told{}
	var w watch
	for _, step := range []struct {
		at    int // seconds
		state string
		want  time.Duration
	}{
		{0, "connecting", 0}, {2, "connecting", 2 * time.Second}, {3, "publishing", 0}, {9, "publishing", 0},
		{10, "backing off", 0}, {13, "backing off", 3 * time.Second}, {14, "connected", 0}, {15, "idle", 0},
	} {
		way.state = step.state
		if got := w.down(begin.Add(time.Duration(step.at)*time.Second), way); got != step.want {
			t.Errorf("at %d s, %s: down for %v, want %v", step.at, step.state, got, step.want)
		}
	}
}
