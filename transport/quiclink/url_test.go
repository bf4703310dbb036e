package quiclink

import (
	"strings"
	"testing"
	"time"
)

const somePin = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func TestParseURL(t *testing.T) {
	got, err := ParseURL("fairlead://relay.example/live/cam?token=t%26x&latency=500ms&transport=datagram&max=8M&inorder=1&pin=" + somePin)
	want := Target{Host: "relay.example", Addr: "relay.example:4433", Name: "live/cam", Token: "t&x", Pin: somePin,
		Latency: 500 * time.Millisecond, Carriage: Datagram, MaxRate: 8_000_000, InOrder: true}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got, err := ParseURL("fairlead://h/a/b?latency=300ms..1s"); err != nil || got.Latency != 300*time.Millisecond || got.Most != time.Second {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := ParseURL("fairlead://h/a/b?latency=300ms..300ms"); err != nil || got.Most != got.Latency {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := ParseURL("fairlead://[::1]:99/a/b/c"); err != nil || got.Addr != "[::1]:99" || got.Name != "a/b/c" {
		t.Errorf("got %+v, %v", got, err)
	}
	for raw, why := range map[string]string{
		"http://x/a/b":                       "scheme",
		"fairlead:///a/b":                    "no host",
		"fairlead://x/a":                     "/APP/KEY",
		"fairlead://x/a/b?latency=300":       "unit",
		"fairlead://x/a/b?latency=1h":        "outside",
		"fairlead://x/a/b?latency=1s..":      "unit",
		"fairlead://x/a/b?latency=1s..300ms": "goes down",
		"fairlead://x/a/b?latency=1s..1h":    "outside",
		"fairlead://x/a/b?pin=x":             "base64url",
		"fairlead://x/a/b?transport=tcp":     "datagram",
		"fairlead://x/a/b?max=4T":            "bitrate",
		"fairlead://x/a/b?inorder=yes":       "0 or 1",
		"fairlead://x/a/b?latencie=300ms":    `"latencie" is not one of`,
		"fairlead://x/a/b?token=%zz":         "parameters",
		"fairlead://x/a/b?token=secret&=%":   "parameters",
	} {
		if _, err := ParseURL(raw); err == nil || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", raw, err, why)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("fairlead://h:1/a/b?latency=1s&max=1.5M&pin=" + somePin)
	f.Add("fairlead://h/a/b?max=-1&inorder=0")
	f.Fuzz(func(t *testing.T, raw string) {
		if u, err := ParseURL(raw); err == nil && (u.Host == "" || !strings.Contains(u.Name, "/")) {
			t.Errorf("%q gives %+v", raw, u)
		}
	})
}
