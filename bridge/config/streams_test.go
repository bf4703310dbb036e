package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// The tree is the same as the lists it adds to, and gives way to flags and environment like them.
func TestStreamsTree(t *testing.T) {
	const tree = `
key: [live/old]
streams:
  live/cam:
    secret: s3cret
    push:
    - rtmp://a/app/k1
    - [rtmp://b/app/k2, rtmp://c/app/k3]
  live/phone:
  live/one: {push: rtmps://d/app/k4}
push:
- live/old=rtmp://e/app/k5
`
	r, _, err := parse(t, tree, nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{"live/old", "live/cam=s3cret", "live/phone", "live/one"}
	pushes := []string{"live/old=rtmp://e/app/k5", "live/cam=rtmp://a/app/k1", "live/cam=rtmp://b/app/k2|rtmp://c/app/k3", "live/one=rtmps://d/app/k4"}
	if !slices.Equal(r.Key, keys) || !slices.Equal(r.Push, pushes) {
		t.Errorf("keys %q, pushes %q", r.Key, r.Push)
	}
	if r, _, err = parse(t, tree, []string{"FAIRLEAD_PUSH=live/x=rtmp://f/app/k"}, "--key", "live/x"); err != nil || !slices.Equal(r.Key, []string{"live/x"}) || !slices.Equal(r.Push, []string{"live/x=rtmp://f/app/k"}) {
		t.Errorf("keys %q, pushes %q, %v", r.Key, r.Push, err)
	}
	if r, _, err = parse(t, "streams:\n", nil); err != nil || len(r.Key) > 0 {
		t.Errorf("an empty tree: %+v, %v", r.Key, err)
	}
}

func TestStreamsTreeNamesTheLine(t *testing.T) {
	for _, c := range [][2]string{
		{"streams:\n  live/cam:\n    pusj: rtmp://a/b/c\n", `c.yaml:3: streams: live/cam: unknown key "pusj"; did you mean push?`},
		{"streams:\n  live/cam:\n    secret: [a]\n", "c.yaml:3: streams: live/cam: secret: wants one value"},
		{"streams:\n  live/cam:\n    secret:\n", "secret: wants one value"},
		{"streams:\n  live/cam: yes please\n", "c.yaml:2: streams: live/cam: wants secret and push"},
		{"streams:\n- live/cam\n", "streams: wants APP/KEY: a line each"},
		{"streams:\n  live/cam:\n    push:\n    - [[rtmp://a/b/c]]\n", "push: wants URLs, or lists of them"},
		{"streams:\n  live/cam:\n    push:\n    - http://a/b/c\n", "not an rtmp:// or rtmps:// URL"},
		{"streams:\n  cam:\n", "APP/KEY"},
		{"stream:\n  live/cam:\n", `unknown key "stream"`},
	} {
		if _, _, err := parse(t, c[0], nil); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%q: got %v, want %q", c[0], err, c[1])
		}
	}
}
