// Package need is what tests over real time and with real programs (ffmpeg, nginx, srt-live-transmit, …) ask for.
//
// One sentence says what is missing, and .ci/programs installs it; one rule says when such tests run: not under -short, where
// a compiler may be at work beside them; and one limit says how long a condition may take on a busy machine: Patience.
package need

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Patience is how long a test waits for what must come. It is no measurement: a machine under load is slow, not wrong.
const Patience = 30 * time.Second

// RealTime skips, under -short, a test that lasts seconds of real time or runs real programs; make test runs it.
func RealTime(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("real time or real programs: make test runs it")
	}
}

// Until waits for a condition, Patience at most; what says it in words. For the test's own goroutine.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v still not: %s", Patience, what)
		}
	}
}

// Dir makes a folder for a program whose children may still write into it while they end; t.TempDir calls that a failure.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fairlead-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for end := time.Now().Add(Patience); os.RemoveAll(dir) != nil && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		}
	})
	return dir
}

// Program returns the path of a program; under -short the test is skipped, as RealTime does. Where the program is missing the
// test is skipped and says why; in CI (environment CI=true) that is a failure instead, because .ci/run installs everything.
func Program(t testing.TB, name string) string {
	t.Helper()
	RealTime(t)
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
