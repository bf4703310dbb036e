package main

import (
	"strings"
	"testing"
)

func TestRelayToken(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"relay", "token", "live/cam", "--auth-secret", "sixteen or more of them"}, exitOK, "f1."},
		{[]string{"relay", "token", "live/*", "--watch", "--once", "--last", "5m", "--auth-secret", "sixteen or more of them"}, exitOK, ".w."},
		{[]string{"relay", "token", "live/cam"}, exitUsage, "auth-secret"},
		{[]string{"relay", "token", "live/cam", "--auth-secret", "short"}, exitUsage, "at least 16"},
		{[]string{"relay", "token", "cam", "--auth-secret", "sixteen or more of them"}, exitUsage, "APP/KEY"},
		{[]string{"relay", "token", "--auth-secret", "sixteen or more of them"}, exitUsage, "one APP/KEY"},
		{[]string{"relay", "token", "live/cam", "--last", "-1s", "--auth-secret", "sixteen or more of them"}, exitUsage, "over already"},
	} {
		var out, errs strings.Builder
		if got := dispatch(t.Context(), env{args: c.args, stdout: &out, stderr: &errs}); got != c.code || !strings.Contains(out.String()+errs.String(), c.says) {
			t.Errorf("%v: %d, %s%s", c.args, got, out.String(), errs.String())
		}
	}
}
