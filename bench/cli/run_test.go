package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bench/report"
)

func call(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = Main(ctx, args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestListNamesLinksAndSchemes(t *testing.T) {
	code, out, _ := call(t.Context(), "list")
	if code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	for _, want := range []string{"lte-driving", "clean", "srt-fec", "rtmp-bbr", "rist"} {
		if !strings.Contains(out, want) {
			t.Errorf("the list has no %s", want)
		}
	}
}

func TestWrongUseIsNamed(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"run", "--profile", "lte-flying"}, "lte-flying"},
		{[]string{"run", "--profile", "delay soon"}, "soon"},
		{[]string{"run", "--profile", "loss random 120%"}, "120%"},
		{[]string{"run", "--profile", "bond-skew"}, "2 links"},
		{[]string{"run", "--against", "pigeon"}, "pigeon"},
		{[]string{"run", "--rate", "-4M"}, "-4M"},
		{[]string{"run", "--seeds", "0"}, "--seeds 0"},
		{[]string{"run", "--duration", "-1s"}, "duration"},
		{[]string{"run", "more"}, "more"},
		{[]string{"gate"}, "--baseline"},
		{[]string{"gate", "--baseline", "/no/such.json"}, "/no/such.json"},
		{[]string{"watch"}, "which stream"},
		{[]string{"watch", "x", "--duration", "-1s"}, "negative"},
	} {
		code, _, errs := call(t.Context(), c.args...)
		if code != exitUsage || !strings.Contains(errs, c.says) {
			t.Errorf("%v: exit code %d, want %d, and %q in %q", c.args, code, exitUsage, c.says, errs)
		}
	}
}

func TestParseRate(t *testing.T) {
	for s, want := range map[string]int64{"4M": 4e6, "800k": 8e5, "2.5mbit": 25e5, "64000": 64000, "1Kbit": 1000} {
		if got, err := parseRate(s); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "M", "4X", "-1M", "0", "NaN", "Inf", "1e99"} {
		if got, err := parseRate(s); err == nil {
			t.Errorf("%q: %d, want an error", s, got)
		}
	}
}

func TestGateExitCodes(t *testing.T) {
	dir := t.TempDir()
	one := func(name string, stall float64) string {
		r := &report.Report{Format: report.Format, Profiles: []report.Profile{{Name: "p"}}, Schemes: []report.Scheme{{Name: "s"}}}
		for seed := range uint64(3) {
			c := report.Cell{Profile: "p", Scheme: "s", Seed: seed}
			c.Score.NeverPercent = stall + float64(seed)/10
			r.Cells = append(r.Cells, c)
		}
		d := filepath.Join(dir, name)
		if err := r.SaveData(d); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(d, "results.json")
	}
	good, bad := one("good", 1), one("bad", 9)
	if code, out, _ := call(t.Context(), "gate", "--baseline", good, "--results", good); code != exitOK || !strings.Contains(out, "pass") {
		t.Errorf("the same: exit code %d: %s", code, out)
	}
	if code, out, _ := call(t.Context(), "gate", "--baseline", good, "--results", bad); code != exitFail || !strings.Contains(out, "never shown") {
		t.Errorf("worse: exit code %d: %s", code, out)
	}
}

// until cancels when what was written to it is enough.
type until struct {
	bytes.Buffer
	enough func(all string) bool
	cancel context.CancelFunc
}

func (u *until) Write(b []byte) (int, error) {
	n, err := u.Buffer.Write(b)
	if u.enough(u.String()) {
		u.cancel()
	}
	return n, err
}

// watched is one line of bench watch --json.
type watched struct {
	Final bool   `json:"final"`
	Video string `json:"video"`
	Score struct {
		Frames int64 `json:"frames_arrived"`
	} `json:"score"`
}

func lastWatched(t *testing.T, out string) (w watched) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &w); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return w
}

// However long the encoder takes to start, its pictures are told of; an interrupt then ends with the report.
func TestWatchALiveStream(t *testing.T) {
	ffmpeg := need.Program(t, "ffmpeg")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cmd := exec.CommandContext(r.Context(), ffmpeg, "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25",
			"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-f", "flv", "pipe:1")
		cmd.Stdout = w
		_ = cmd.Run() // ends when the reader goes
	}))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), need.Patience)
	defer cancel()
	out := &until{cancel: cancel, enough: func(all string) bool { return lastWatched(t, all).Score.Frames >= 10 }}
	var errs bytes.Buffer
	if code := Main(ctx, []string{"watch", srv.URL + "/live.flv", "--json"}, out, &errs); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	if w := lastWatched(t, out.String()); !w.Final || w.Video != "H264 160x120" || w.Score.Frames < 10 {
		t.Errorf("got %s", out.String())
	}
	srv.Close()
	if code, _, errs := call(t.Context(), "watch", srv.URL); code != exitFail || errs == "" {
		t.Errorf("nobody there: exit code %d: %q", code, errs)
	}
}

// --duration ends it, and a stream that gave nothing until then is a failure.
func TestWatchASilentStream(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer srv.Close()
	if code, _, errs := call(t.Context(), "watch", srv.URL+"/live.flv", "--duration", "50ms"); code != exitFail || !strings.Contains(errs, "no frame") {
		t.Errorf("exit code %d: %q", code, errs)
	}
}

// An interrupt in the middle keeps the report of what was done.
func TestRunInterruptedKeepsItsReport(t *testing.T) {
	need.Program(t, "ffmpeg")
	if os.Geteuid() != 0 {
		need.Missing(t, "namespace links need root")
	}
	scheme := filepath.Join(t.TempDir(), "mine.yaml")
	const text = "name: mine\nsender: [[sleep, \"995\"]]\nmedia_in: udp://127.0.0.1:9001\nmedia_out: udp://127.0.0.1:9001\n"
	if err := os.WriteFile(scheme, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &until{cancel: cancel, enough: func(all string) bool { return strings.Contains(all, "[1/") }} // the first cell is done
	var errs bytes.Buffer
	code := Main(ctx, []string{"run", "--against", scheme, "--profile", "clean", "--duration", "1s", "--rate", "300k", "--seeds", "50", "--out", dir}, out, &errs)
	r, err := report.Load(filepath.Join(dir, "results.json"))
	if code != exitFail || !strings.Contains(errs.String(), "partial") || err != nil || !r.Partial || len(r.Cells) == 0 || len(r.Cells) > 10 {
		t.Errorf("exit code %d, %q, %v", code, errs.String(), err)
	}
	for _, f := range []string{"report.html", "results.csv", "junit.xml"} {
		if _, err := os.Stat(filepath.Join(dir, f)); err != nil {
			t.Error(err)
		}
	}
}
