// Package need finds the programs that tests run for real (ffmpeg, nginx, srt-live-transmit, …).
//
// Every test asks here, so that one sentence says what is missing and .ci/programs installs it.
package need

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Program returns the path of a program. Where it is missing the test is skipped and says why;
// in CI (environment CI=true) that is a failure instead, because .ci/run installs everything.
func Program(t testing.TB, name string) string {
	t.Helper()
	if p := find(name); p != "" {
		return p
	}
	Missing(t, name+" is not installed: .ci/programs --install brings it")
	return ""
}

// NginxRTMP returns the paths of nginx and of its rtmp module.
func NginxRTMP(t testing.TB) (nginx, module string) {
	t.Helper()
	nginx = Program(t, "nginx")
	module = "/usr/lib/nginx/modules/ngx_rtmp_module.so"
	if _, err := os.Stat(module); err != nil {
		Missing(t, "nginx has no rtmp module: .ci/programs --install brings it")
	}
	return nginx, module
}

// Missing skips a test for want of something, or fails it in CI.
func Missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("in CI nothing is missing: " + why)
	}
	t.Skip("SKIP: " + why)
}

func find(name string) string {
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} { // not on every user's PATH
		p := filepath.Join(dir, name)
		if st, err := os.Stat(p); err == nil && st.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}
