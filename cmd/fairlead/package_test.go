//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
)

var reproducible = flag.Bool("reproducible", false, "build twice, with caches of their own and in two places, and compare")

// run is a command in this process.
func run(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := dispatch(t.Context(), env{args: args, stdout: &out, stderr: &errs}); code != exitOK {
		t.Fatalf("fairlead %q: exit %d: %s", args, code, errs.String())
	}
	return out.String()
}

// The manual has every setting, and man finds nothing wrong with it.
func TestManual(t *testing.T) {
	page := run(t, "man")
	var r config.Relay
	set := config.NewSet("relay")
	r.Bind(set)
	for _, w := range set.Words() {
		if !strings.Contains(page, "\\-\\-"+strings.ReplaceAll(w.Name, "-", "\\-")+"\\fR") {
			t.Errorf("nothing about --%s", w.Name)
		}
	}
	for _, c := range commands() {
		if !strings.Contains(page, ".SS fairlead "+c.name+"\n") {
			t.Errorf("nothing about fairlead %s", c.name)
		}
	}
	man, err := exec.LookPath("man")
	if err != nil {
		t.Log("man is not here: the page was not formatted")
		return
	}
	file := filepath.Join(t.TempDir(), "fairlead.1")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(man, "--warnings", "-l", file)
	cmd.Env = append(os.Environ(), "MANPAGER=cat", "LC_ALL=C.UTF-8", "MAN_KEEP_FORMATTING=")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if out, err := cmd.Output(); err != nil || errs.Len() > 0 || !bytes.Contains(out, []byte("srt-latency")) {
		t.Logf("man: %v, %s", err, errs.String()) // minimal systems replace man by a note
	}
}

// The shells read their completion; bash offers what there is.
func TestCompletion(t *testing.T) {
	bash := need.Program(t, "bash")
	file := filepath.Join(t.TempDir(), "fairlead.bash")
	if err := os.WriteFile(file, []byte(run(t, "completion", "bash")), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{"fairlead re": "relay", "fairlead relay --srt-la": "--srt-latency", "fairlead completion z": "zsh", "fairlead bench sel": "selftest", "fairlead version --s": "--sbom"} {
		script := `source "$1"; COMP_WORDS=($2); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _fairlead; echo "${COMPREPLY[@]}"`
		out, err := exec.Command(bash, "-c", script, "bash", file, line).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%s<TAB>: %q (%v), want %q", line, got, err, want)
		}
	}
	for shell, check := range map[string][]string{"zsh": {"-n"}, "fish": {"--no-execute"}} {
		text := run(t, "completion", shell)
		for _, want := range []string{"srt-latency", "relay", "sbom", "continuity"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: nothing about %s", shell, want)
			}
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s is not here: its completion was not read by it", shell)
			continue
		}
		cmd := exec.Command(path, append(check, "/dev/stdin")...)
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
}

// What completion says of bench is what bench says.
func TestBenchCommandsAreKnown(t *testing.T) {
	var out bytes.Buffer
	_ = dispatch(t.Context(), env{args: []string{"bench", "help"}, stdout: &out, stderr: &out})
	var there []string
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z]+) `).FindAllStringSubmatch(out.String(), -1) {
		there = append(there, m[1])
	}
	known := slices.Clone(benchCommands)
	slices.Sort(known)
	slices.Sort(there)
	if !slices.Equal(known, there) {
		t.Errorf("known %q, there are %q", known, there)
	}
}

// The bill of materials has every module of the binary, with the addresses that scanners look up.
func TestBillOfMaterials(t *testing.T) {
	out, err := exec.Command(build(t), "version", "--sbom").Output()
	if err != nil {
		t.Fatal(err)
	}
	var b bill
	if err := json.Unmarshal(out, &b); err != nil {
		t.Fatal(err)
	}
	if b.Format != "CycloneDX" || b.Spec != "1.5" || b.Metadata.Component.Name != "github.com/fairlead-live/fairlead" {
		t.Errorf("%+v", b.Metadata)
	}
	refs := map[string]bool{}
	for _, c := range b.Components {
		if refs[c.Ref] || c.Version == "" || !strings.HasPrefix(c.PURL, "pkg:golang/"+c.Name+"@") {
			t.Errorf("%+v", c)
		}
		refs[c.Ref] = true
	}
	list, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}@{{.Version}}{{end}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for m := range strings.FieldsSeq(string(list)) {
		if !refs["pkg:golang/"+m] {
			t.Errorf("%s is not in the bill", m)
		}
	}
}

// The Debian package unpacks into what its unit starts.
func TestDebianPackage(t *testing.T) {
	if testing.Short() {
		t.Skip("packs the whole binary: make test runs it")
	}
	dpkg := need.Program(t, "dpkg-deb")
	dir := t.TempDir()
	cmd := exec.Command("package/deb.sh", build(t), "1.2.3", "amd64", dir)
	cmd.Env = append(os.Environ(), "COMPRESS=-Zgzip -z1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	deb, root := filepath.Join(dir, "fairlead_1.2.3_amd64.deb"), filepath.Join(dir, "root")
	if out, err := exec.Command(dpkg, "-x", deb, root).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	unit, err := os.ReadFile(filepath.Join(root, "usr/lib/systemd/system/fairlead.service"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ExecStart=(\S+) (.*)$`).FindStringSubmatch(string(unit))
	if line == nil {
		t.Fatalf("no ExecStart in\n%s", unit)
	}
	args := append(strings.Fields(strings.ReplaceAll(line[2], " /etc", " "+root+"/etc")), "--check")
	if out, err := exec.Command(filepath.Join(root, line[1]), args...).CombinedOutput(); err != nil || !bytes.Contains(out, []byte("right")) {
		t.Errorf("%s %q: %v\n%s", line[1], args, err, out)
	}
	for _, want := range []string{"DynamicUser=yes", "WatchdogSec=", "LimitNOFILE=", "Type=notify", "ExecReload=", "EnvironmentFile=-"} {
		if !bytes.Contains(unit, []byte("\n"+want)) {
			t.Errorf("the unit has no %s", want)
		}
	}
	for _, file := range []string{
		"usr/share/man/man1/fairlead.1.gz", "usr/share/bash-completion/completions/fairlead", "usr/share/zsh/vendor-completions/_fairlead",
		"usr/share/fish/vendor_completions.d/fairlead.fish", "usr/share/doc/fairlead/sbom.cdx.json", "usr/share/doc/fairlead/copyright", "usr/lib/sysctl.d/60-fairlead.conf",
	} {
		if s, err := os.Stat(filepath.Join(root, file)); err != nil || s.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	if systemd, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Log("systemd-analyze is not here: it did not read the unit")
	} else {
		out, _ := exec.Command(systemd, "verify", "--man=no", "--root="+root, "fairlead.service").CombinedOutput()
		if bytes.Contains(out, []byte("Unknown")) || bytes.Contains(out, []byte("Failed to parse")) {
			t.Errorf("systemd-analyze: %s", out)
		}
	}
}

// What the Dockerfile copies from the tree is there. (No engine reads it here.)
func TestDockerfile(t *testing.T) {
	b, err := os.ReadFile("package/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for line := range strings.SplitSeq(string(b), "\n") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if f[0] == "FROM" {
			last = f[1]
		}
		if f[0] != "COPY" || strings.HasPrefix(f[1], "--from") {
			continue
		}
		for _, file := range f[1 : len(f)-1] {
			if _, err := os.Stat(filepath.Join("../..", file)); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
	if last != "scratch" || !strings.Contains(string(b), "\nUSER 65532:65532\n") {
		t.Errorf("it ends with FROM %s, or as root", last)
	}
}

// What the Dockerfile's last stage has is enough: its files alone in a root of their own, its user, folder, environment and command; the relay
// serves, and keeps QUIC's certificate. (No engine builds it here.)
func TestImageRunsWithNothingElse(t *testing.T) {
	need.RealTime(t)
	if os.Getuid() != 0 {
		t.Log("not root: nobody may change the root")
		return
	}
	b, err := os.ReadFile("package/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, stage, ok := strings.Cut(string(b), "\nFROM scratch\n")
	if !ok {
		t.Fatal("the last stage is not from scratch")
	}
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	const user = 65532
	var args []string
	dir := ""
	for line := range strings.Lines(stage) {
		f := strings.Fields(line)
		switch {
		case len(f) < 2:
		case f[0] == "COPY":
			from, to := f[len(f)-2], filepath.Join(root, f[len(f)-1])
			if strings.HasSuffix(f[len(f)-1], "/") {
				to = filepath.Join(to, filepath.Base(from))
			}
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				t.Fatal(err)
			}
			switch from { // as the stage before leaves it
			case "/out/fairlead":
				from = build(t)
			case "/out/state":
				if err := errors.Join(os.Mkdir(to, 0o755), os.Chown(to, user, user)); err != nil {
					t.Fatal(err)
				}
				continue
			default:
				if _, err := os.Stat(from); err != nil {
					t.Logf("not on this machine, but in the stage before: %s", from)
					continue
				}
			}
			if out, err := exec.Command("cp", from, to).CombinedOutput(); err != nil {
				t.Fatalf("%s: %s", line, out)
			}
		case f[0] == "WORKDIR":
			dir = f[1]
		case f[0] == "ENTRYPOINT", f[0] == "CMD":
			var more []string
			if err := json.Unmarshal([]byte(strings.TrimSpace(strings.TrimPrefix(line, f[0]))), &more); err != nil {
				t.Fatal(err)
			}
			args = append(args, more...)
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, []string{"FAIRLEAD_QUIC_CERT=quic.pem", "FAIRLEAD_QUIC_KEY=quic-key.pem", "FAIRLEAD_API="}
	for _, word := range []string{"SRT", "QUIC", "RTMP", "HTTP"} {
		cmd.Env = append(cmd.Env, "FAIRLEAD_"+word+"=127.0.0.1:0")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: user, Gid: user}}
	p := &process{cmd: cmd}
	cmd.Stdout, cmd.Stderr = p, p
	if err := cmd.Start(); errors.Is(err, syscall.EPERM) {
		t.Log("this root may not change the root")
		return
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	web := p.find(t, `fairlead: ready srt=\S+ rtmp=\S+ http=(\S+) quic=\S+`)
	res, err := http.Get("http://" + web + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("/readyz: %s", res.Status)
	}
	if _, err := os.Stat(filepath.Join(root, dir, "quic-key.pem")); err != nil {
		t.Errorf("QUIC's key is not kept: %v", err)
	}
	p.interrupt(t)
}

// systemd hears that the relay is ready, that it is well, and that it stops.
func TestSystemdIsTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: file, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan int, 1)
	var out, errs lockedBuffer
	go func() {
		done <- dispatch(ctx, env{
			args:    []string{"relay", "--srt", "", "--quic", "", "--rtmp", "", "--http", "127.0.0.1:0", "--api", "", "--log-format", "json", "--key", "live/cam"},
			environ: []string{"NOTIFY_SOCKET=" + file, "WATCHDOG_USEC=100000"}, stdout: &out, stderr: &errs,
		})
	}()
	hear := func() string {
		b := make([]byte, 256)
		_ = l.SetReadDeadline(time.Now().Add(30 * time.Second))
		n, err := l.Read(b)
		if err != nil {
			t.Fatalf("%v\n%s", err, errs.String())
		}
		return string(b[:n])
	}
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := hear(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	cancel()
	for hear() != "STOPPING=1" {
	}
	if code := <-done; code != exitOK {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}

// Every line of a JSON log is an object.
func TestJSONLog(t *testing.T) {
	var out bytes.Buffer
	log := newLogger(&out, "info", "json")
	log.Info("publisher opened", "stream", "live/cam", "latency_ms", 120)
	log.Debug("not this")
	var line struct {
		Msg     string
		Stream  string
		Latency int `json:"latency_ms"`
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Msg != "publisher opened" || line.Stream != "live/cam" || line.Latency != 120 {
		t.Errorf("%v: %s", err, out.String())
	}
}

// The same source is the same binary, wherever it lies.
func TestReproducibleBuild(t *testing.T) {
	if !*reproducible {
		t.Log("-reproducible runs it")
		return
	}
	var sums [2][sha256.Size]byte
	for i := range sums {
		dir := t.TempDir()
		if out, err := exec.Command("cp", "-r", "../..", filepath.Join(dir, "src")).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", filepath.Join(dir, "fairlead"), "./cmd/fairlead")
		cmd.Dir = filepath.Join(dir, "src")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOCACHE="+filepath.Join(dir, "cache"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		b, err := os.ReadFile(filepath.Join(dir, "fairlead"))
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = sha256.Sum256(b)
	}
	if sums[0] != sums[1] {
		t.Errorf("%x and %x", sums[0], sums[1])
	}
	t.Logf("%x twice", sums[0])
}
