package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/push"
)

var built bool

// binary builds fairlead once for all tests of this package.
var binary = sync.OnceValues(func() (string, error) {
	built = true
	dir, err := os.MkdirTemp("", "fairlead-test")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "fairlead")
	cmd := exec.Command("go", "build", "-o", file, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build does
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return file, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built {
		if file, err := binary(); err == nil {
			_ = os.RemoveAll(filepath.Dir(file))
		}
	}
	os.Exit(code)
}

func build(t *testing.T) string {
	t.Helper()
	need.RealTime(t)
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// process is a fairlead that runs until the test ends.
type process struct {
	cmd *exec.Cmd
	mu  sync.Mutex
	out bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func startFairlead(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(build(t), args...)}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	return p
}

// find waits for a pattern in what the process prints and returns its first group.
func (p *process) find(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(2 * need.Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if m := re.FindStringSubmatch(p.text()); m != nil {
			return m[len(m)-1]
		}
	}
	text := p.text()
	t.Fatalf("no %q in:\n%s", pattern, text[:min(len(text), 4000)])
	return ""
}

// interrupt is Ctrl-C; the process must end by itself, with success.
func (p *process) interrupt(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("after Ctrl-C: %v\n%s", err, p.text())
		}
	case <-time.After(need.Patience):
		t.Errorf("does not end at Ctrl-C:\n%s", p.text())
	}
}

func TestDemoServesAStreamThatDecodesWithoutAnError(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	ffmpeg := need.Program(t, "ffmpeg")
	p := startFairlead(t, "demo", "--http", "127.0.0.1:0", "--latency", "2s")
	url := p.find(t, `(http://\S+\.flv)`)
	p.find(t, `fairlead over QUIC: \d+ stalls.*plain SRT: \d+ stalls`)
	ctx, cancel := context.WithTimeout(t.Context(), 3*need.Patience)
	defer cancel()
	// More than the clip's 8 s, so that the loop's seam is among what is decoded.
	out, err := exec.CommandContext(ctx, ffmpeg, "-v", "warning", "-i", url, "-t", "10", "-f", "null", "-").CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("ffmpeg: %v\n%s", err, out)
	}
	p.interrupt(t)
	if !strings.Contains(p.text(), "ended") {
		t.Errorf("the demo does not say that it ended:\n%s", p.text())
	}
}

func TestRelayStartsWithoutConfiguration(t *testing.T) {
	// Free ports, so that the test can run beside a relay; everything else is as a first user gets it.
	p := startFairlead(t, "relay", "--srt", "127.0.0.1:0", "--quic", "127.0.0.1:0", "--rtmp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0")
	addr := p.find(t, `fairlead: ready srt=\S+ rtmp=\S+ http=(\S+)`)
	for _, want := range []string{"OBS, SRT", "OBS, RTMP", "Stream Key", "ffmpeg, SRT", "latency=300000", "µs", "srt-live-transmit", "latency=300'",
		"HTTP-FLV", "rtmp://", "generated", "fairlead push INPUT 'fairlead://"} {
		if !strings.Contains(p.text(), want) {
			t.Errorf("no %q in:\n%s", want, p.text())
		}
	}
	for _, path := range []string{"/readyz", "/healthz"} {
		res, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s = %s", path, res.Status)
		}
	}
	q := startFairlead(t, "relay", "--srt", "", "--quic", "", "--rtmp", "", "--http", addr, "--api", "")
	if err := q.cmd.Wait(); err == nil || !strings.Contains(q.text(), "another program listens there") {
		t.Errorf("a second relay on the same port: %v\n%s", err, q.text())
	}
	p.interrupt(t)
}

func TestWrongWordsAreExplained(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitUsage, "fairlead relay"},
		{[]string{"rely"}, exitUsage, `no sub-command "rely"`},
		{[]string{"relay", "--htpp", ":1"}, exitUsage, "did you mean --http?"},
		{[]string{"relay", "extra"}, exitUsage, "takes no argument"},
		{[]string{"relay", "--http", "nonsense"}, exitUsage, "HOST:PORT"},
		{[]string{"relay", "--http", "192.0.2.77:1", "--srt", "", "--quic", "", "--rtmp", ""}, exitFailed, "http cannot listen"},
		{[]string{"help"}, exitOK, "fairlead demo"},
		{[]string{"relay", "--help"}, exitOK, "--srt-latency"},
		{[]string{"demo", "--help"}, exitOK, "--duration"},
		{[]string{"version"}, exitOK, "fairlead "},
		{[]string{"push", "--help"}, exitOK, "Exit codes: 0"},
		{[]string{"push", "x.ts"}, exitUsage, "INPUT URL"},
		{[]string{"push", "--stats", "xml", "x.ts", "fairlead://x/a/b"}, exitUsage, "not json"},
		{[]string{"push", "main.go", "fairlead://x/a/b?latency=300"}, exitUsage, "write 300ms"},
		{[]string{"push", "/nowhere.ts", "fairlead://127.0.0.1:1/a/b"}, exitInput, "no such file"},
	} {
		var out bytes.Buffer
		if code := dispatch(t.Context(), env{args: c.args, stdout: &out, stderr: &out}); code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("%v: exit %d, want %d and %q:\n%s", c.args, code, c.code, c.want, out.String())
		}
	}
}

// A push that ends says by its exit code and its last line how it went.
func TestPushReportsAndExits(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	ts, err := clip.TS(120)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "clip.ts")
	if err := os.WriteFile(file, ts, 0o600); err != nil {
		t.Fatal(err)
	}
	relay := startFairlead(t, "relay", "--srt", "", "--rtmp", "", "--quic", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "", "--key", "live/cam")
	url := strings.Replace(relay.find(t, `'(fairlead://[^']+)'`), "latency=300ms", "latency=3s", 1) // a loaded machine stands still for some 100 ms
	good := startFairlead(t, "push", "--stats", "json", file, url)
	if err := good.cmd.Wait(); err != nil {
		t.Errorf("push: %v\n%s", err, good.text())
	}
	lines := strings.Split(strings.TrimSpace(good.text()), "\n")
	var last struct {
		State           string  `json:"state"`
		FramesSent      int     `json:"frames_sent"`
		FramesDelivered int     `json:"frames_delivered"`
		Lost            int     `json:"lost"`
		RTT             float64 `json:"rtt_ms"`
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatalf("%v in %s", err, good.text())
	}
	if last.State != "closed" || last.FramesSent < 120 || last.FramesDelivered != last.FramesSent || last.Lost > 0 || last.RTT <= 0 {
		t.Errorf("%+v", last)
	}
	for _, c := range []struct {
		url  string
		code int
		want string
	}{
		{strings.Replace(url, "live/cam", "live/other", 1), exitRefused, "not allowed"},
		{regexp.MustCompile(`pin=[\w-]{43}`).ReplaceAllString(url, "pin="+strings.Repeat("A", 43)), exitRefused, "not the pinned one"},
	} {
		p := startFairlead(t, "push", file, c.url)
		_ = p.cmd.Wait()
		if p.cmd.ProcessState.ExitCode() != c.code || !strings.Contains(p.text(), c.want) {
			t.Errorf("%s: exit code %d, want %d and %q:\n%s", c.url, p.cmd.ProcessState.ExitCode(), c.code, c.want, p.text())
		}
	}
	relay.interrupt(t)
}

// The share of this second is of what the relay has told of: the last second, in which little is sent and much is told, is no exception.
func TestLossRatioIsOfOneSnapshot(t *testing.T) {
	before := push.Status{Packets: 1000, Delivered: 700, RecoveredResend: 60, RecoveredFEC: 20, Late: 10, Lost: 10}
	now := push.Status{Packets: 1010, Delivered: 790, RecoveredResend: 66, RecoveredFEC: 23, Late: 10, Lost: 11}
	if got := lossRatio(now, before); got != 0.1 {
		t.Errorf("loss ratio %v, want 0.1", got)
	}
	if got := lossRatio(before, before) + lossRatio(push.Status{}, before); got != 0 {
		t.Errorf("nothing was told, and the ratio is %v", got)
	}
}
