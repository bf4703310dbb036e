package rtmpout

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/rtmp"
)

func TestBackoffByCause(t *testing.T) {
	var b Backoff
	b.defaults()
	var s backoffState
	for _, step := range []struct {
		why   string
		cause Cause
		live  time.Duration
		want  time.Duration
	}{
		{"first failure: at once", CauseLost, time.Millisecond, 0},
		{"cut off while it set up: soon", CauseLost, 0, 100 * time.Millisecond},
		{"cut off while it set up: soon", CauseLost, 0, 100 * time.Millisecond},
		{"cut off while it set up: soon", CauseLost, 0, 100 * time.Millisecond},
		{"then 0.5 s", CauseLost, 0, 500 * time.Millisecond},
		{"doubled", CauseUnreachable, 4 * time.Second, time.Second},
		{"doubled", CauseProtocol, 0, 2 * time.Second},
		{"doubled", CauseStalled, 0, 4 * time.Second},
		{"doubled", CauseRejected, 0, 8 * time.Second},
		{"at most 15 s", CauseRejected, 0, 15 * time.Second},
		{"at most 15 s", CauseRejected, 0, 15 * time.Second},
		{"nobody listens, which may be a restart: soon", CauseRefused, 0, 100 * time.Millisecond},
		{"nobody answers, for seconds: soon", CauseTimeout, 0, 250 * time.Millisecond},
		{"5 s live forget it all", CauseLost, 5 * time.Second, 0},
		{"again", CauseRejected, 0, 500 * time.Millisecond},
		{"the key is in use: soon", CauseBadName, 0, 250 * time.Millisecond},
		{"the key is in use: then later", CauseBadName, 0, 500 * time.Millisecond},
		{"the key is in use: then every second", CauseBadName, 0, time.Second},
		{"credentials: signed again at once", CauseAuth, 0, 0},
		{"credentials: failed", CauseAuth, 0, time.Minute},
		{"sent elsewhere: at once", CauseRedirect, 0, 0},
		{"twice", CauseRedirect, 0, 0},
		{"three times", CauseRedirect, 0, 0},
		{"a fourth is a failure", CauseRedirect, 0, time.Second},
		{"our own wish", CauseRenew, 0, 0},
		{"and all is forgotten", CauseRejected, 0, 0},
	} {
		if got := s.next(&b, step.cause, step.live, 0.5); got != step.want {
			t.Errorf("%s: %v, want %v", step.why, got, step.want)
		}
	}
	s = backoffState{}
	for i := range 30 {
		if got := s.next(&b, CauseBadName, 0, 0.5); i >= 2 && got != time.Second {
			t.Errorf("bad name %d: %v, want 1 s", i, got)
		}
	}
	s.next(&b, CauseBadName, 0, 0.5)
	if got := s.next(&b, CauseBadName, 0, 0.5); got != 500*time.Millisecond {
		t.Errorf("after 31 bad names: %v, want the usual back-off", got)
	}
	s = backoffState{}
	for i := range 100 {
		if got := s.next(&b, CauseRefused, 0, 0.5); got != 100*time.Millisecond {
			t.Fatalf("refused %d times: %v, want 100 ms for 10 s", i, got)
		}
	}
	for _, want := range []time.Duration{0, 500 * time.Millisecond, time.Second} {
		if got := s.next(&b, CauseRefused, 0, 0.5); got != want {
			t.Errorf("refused for longer: %v, want %v", got, want)
		}
	}
	if got := s.next(&b, CauseRefused, time.Second, 0.5); got != 100*time.Millisecond {
		t.Errorf("refused after it was live: %v, want 100 ms", got)
	}
	s = backoffState{failures: 4}
	if lo, hi := s.next(&b, CauseRejected, 0, 0), (&backoffState{failures: 4}).next(&b, CauseRejected, 0, 1); lo != 3200*time.Millisecond || hi != 4800*time.Millisecond {
		t.Errorf("jitter gives %v to %v, want 4 s ± 20 %%", lo, hi)
	}
}

func TestCauses(t *testing.T) {
	status := func(code, text string) error {
		return fmt.Errorf("x: %w", &rtmp.StatusError{Code: code, Description: text})
	}
	for _, c := range []struct {
		err  error
		want Cause
	}{
		{status(rtmp.CodePublishBadName, ""), CauseBadName},
		{status(rtmp.CodePublishDenied, ""), CauseAuth},
		{status(rtmp.CodePublishRejected, ""), CauseRejected},
		{&rtmp.StatusError{Redirect: "rtmp://h/a"}, CauseRedirect},
		{&movedError{}, CauseRedirect},
		{fmt.Errorf("%w: x", errDial), CauseUnreachable},
		{fmt.Errorf("%w: x", errStalled), CauseStalled},
		{fmt.Errorf("%w: x", rtmp.ErrProtocol), CauseProtocol},
		{errors.New("anything"), CauseLost},
		{errStreamEnd, CauseStreamEnd},
	} {
		if got := causeOf(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

func TestRedirectsAreFollowed(t *testing.T) {
	from, err := rtmp.ParseURL("rtmp://user:pw@a/live/key?sign=1")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ to, want string }{
		{"rtmp://b:1936/live/key?sign=1", "b 1936 live key?sign=1"}, // SRS: the whole URL
		{"rtmp://b/live", "b 1935 live key?sign=1"},                 // FMS: a tcUrl
		{"rtmps://b/x/y", "b 443 x/y key?sign=1"},
	} {
		got, err := moved(from, c.to)
		if s := fmt.Sprintf("%s %s %s %s", got.Host, got.Port, got.App, got.Key); err != nil || s != c.want || got.User != "user" {
			t.Errorf("%s: %s, %v; want %s", c.to, s, err, c.want)
		}
	}
	if _, err := moved(from, "http://b/"); !errors.Is(err, rtmp.ErrURL) {
		t.Errorf("got %v, want ErrURL", err)
	}
}
