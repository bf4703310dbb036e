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
	st    Status
	heard uint64
}

func (w *told) status() Status  { return w.st }
func (w *told) answers() uint64 { return w.heard }

func TestWatchTellsASilentWayFromAQuietOne(t *testing.T) {
	begin := time.Now()
	way := &told{st: Status{State: "connected"}}
	var w watch
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	for _, step := range []struct {
		why   string
		at    int
		state string
		sent  uint64
		heard uint64
		want  time.Duration
	}{
		{"begins", 0, "connected", 0, 0, 0},
		{"sends and is answered", 1, "connected", 100, 50, 0},
		{"has nothing to send", 9, "connected", 100, 50, 0},
		{"sends, nothing comes back", 10, "connected", 200, 50, 0},
		{"still", 12, "connected", 400, 50, 2 * time.Second},
		{"is answered again", 13, "connected", 500, 51, 0},
		{"has lost its connection", 14, "reconnecting", 500, 51, 0},
		{"for a while", 17, "reconnecting", 500, 51, 3 * time.Second},
		{"is back", 18, "connected", 510, 60, 0},
	} {
		way.st.State, way.st.FramesSent, way.heard = step.state, step.sent, step.heard
		if got := w.down(at(step.at), way); got != step.want {
			t.Errorf("%s: down for %v, want %v", step.why, got, step.want)
		}
	}
}
