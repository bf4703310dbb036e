package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func parse(t *testing.T, yaml string, env []string, args ...string) (Relay, []string, error) {
	t.Helper()
	var r Relay
	s := NewSet("relay")
	r.Bind(s)
	if yaml != "" {
		f := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(f, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append([]string{"--config", f}, args...)
	}
	rest, err := s.Parse(args, env)
	if err == nil {
		err = r.Validate()
	}
	return r, rest, err
}

func TestFlagBeatsEnvironmentBeatsFileBeatsDefault(t *testing.T) {
	r, rest, err := parse(t, "srt: :1\nrtmp: :2\nhttp: \"\"\nkey:\n- live/file\nsrt-latency: 500ms\n",
		[]string{"FAIRLEAD_SRT=:3", "FAIRLEAD_KEY=live/env a/b", "FAIRLEAD_UNRELATED=1"}, "--srt", ":4", "x", "--hold=5s", "--", "--y")
	if err != nil {
		t.Fatal(err)
	}
	if r.SRT != ":4" || r.RTMP != ":2" || r.HTTP != "" || !slices.Equal(r.Key, []string{"live/env", "a/b"}) ||
		r.SRTLatency != 500*time.Millisecond || r.Hold != 5*time.Second || r.Log != "info" || !slices.Equal(rest, []string{"x", "--y"}) {
		t.Errorf("got %+v, rest %v", r, rest)
	}
}

func TestBadInputNamesTheWordAndTheNearest(t *testing.T) {
	for _, c := range []struct {
		yaml string
		env  []string
		args []string
		want string
	}{
		{args: []string{"--strt", ":1"}, want: "unknown flag --strt; did you mean --srt?"},
		{yaml: "http: :1\nkeys:\n- a/b\n", want: `c.yaml:2: unknown key "keys"; did you mean key?`},
		{yaml: "srt: :1\nsrt: :2\n", want: "c.yaml"},
		{yaml: "key: a/b\n", want: "wants a list"},
		{yaml: "srt: [1]\n", want: "wants one value"},
		{yaml: "- a\n", want: "not a list of key: value"},
		{yaml: "a: {\n", want: "c.yaml"},
		{env: []string{"FAIRLEAD_HOLD=soon"}, want: "FAIRLEAD_HOLD"},
		{args: []string{"--srt", "8890"}, want: "HOST:PORT"},
		{args: []string{"--key", "nokey"}, want: "APP/KEY"},
		{args: []string{"--key", "a/../b"}, want: "APP/KEY"},
		{args: []string{"--key", "a/b c"}, want: "cannot stand"},
		{args: []string{"--push", "a/b"}, want: "APP/KEY=rtmp://"},
		{args: []string{"--push", "a/b=http://x/y"}, want: "rtmp://"},
		{args: []string{"--srt-listener", "libsrt"}, want: "neither own nor gosrt"},
		{args: []string{"--srt-passphrase", "short"}, want: "10 to 79"},
		{args: []string{"--log", "loud"}, want: "debug, info"},
		{args: []string{"--hold", "1h"}, want: "hold"},
		{args: []string{"--config", "/nonexistent"}, want: "--config"},
	} {
		_, _, err := parse(t, c.yaml, c.env, c.args...)
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
	if _, _, err := parse(t, "", nil, "-h"); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}

func TestUsageNamesEveryWord(t *testing.T) {
	var r Relay
	s := NewSet("relay")
	r.Bind(s)
	var b strings.Builder
	s.Usage(&b)
	for _, w := range s.words {
		if !strings.Contains(b.String(), "--"+w+" ") {
			t.Errorf("--%s is not in:\n%s", w, b.String())
		}
	}
}

func FuzzYAML(f *testing.F) {
	f.Add("srt: :1\nkey:\n- a/b\n")
	f.Add("key: [a, {b: c}]\n")
	f.Add("---\n...\n")
	f.Add("streams:\n  a/b:\n    secret: c\n    push:\n    - rtmp://d/e/f\n    - [rtmp://d/e/f, g]\n")
	f.Add("streams: {a/b: {push: x}, c/d: }\n")
	f.Fuzz(func(_ *testing.T, text string) {
		var r Relay
		s := NewSet("relay")
		r.Bind(s)
		_ = s.parseYAML("f", []byte(text), map[string]bool{})
		_ = r.Validate()
	})
}
