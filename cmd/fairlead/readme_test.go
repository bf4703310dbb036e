package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
)

// readmeCommands returns every command line of the README's sh blocks.
func readmeCommands(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i, part := range strings.Split(string(b), "```") {
		if i%2 == 0 {
			continue
		}
		lang, body, _ := strings.Cut(part, "\n")
		if lang != "sh" {
			continue
		}
		for line := range strings.SplitSeq(strings.TrimSpace(body), "\n") {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				out = append(out, line)
			}
		}
	}
	return out
}

// shell starts a command line in the repository's root, in a process group of its own that ends with the test.
func shell(t *testing.T, line string, environ ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command("sh", "-c", line)}
	p.cmd.Dir = "../.."
	p.cmd.Env = append(os.Environ(), environ...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		_ = p.cmd.Wait()
	})
	return p
}

func finish(t *testing.T, p *process, limit time.Duration) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("%v\n%s", err, p.text())
		}
	case <-time.After(limit):
		t.Errorf("not done after %v\n%s", limit, p.text())
	}
}

func TestEveryREADMECommandWorks(t *testing.T) {
	need.RealTime(t)
	ffmpeg := need.Program(t, "ffmpeg")
	input := filepath.Join(t.TempDir(), "input.mp4")
	if out, err := exec.Command(ffmpeg, "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=30:d=60", "-f", "lavfi", "-i", "sine=d=60",
		"-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-c:a", "aac", input).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	commands := readmeCommands(t)
	if commands[0] != "make demo" || commands[1] != "make test" {
		t.Errorf("the README opens with %q", commands[:2])
	}
	// The same commands on free ports: a setting's environment variable is its flag.
	ports := []string{"FAIRLEAD_SRT=127.0.0.1:0", "FAIRLEAD_RTMP=127.0.0.1:0", "FAIRLEAD_HTTP=127.0.0.1:0", "FAIRLEAD_QUIC=127.0.0.1:0", "FAIRLEAD_API=127.0.0.1:0"}
	var relay *process
	var srt, rtmp, web, quic, pin string
	local := func(line string) string {
		return strings.NewReplacer("input.mp4", input, "127.0.0.1:8890", srt, "rtmp://127.0.0.1/", "rtmp://"+rtmp+"/",
			"127.0.0.1:8080", web, "127.0.0.1:4433", quic, "pin=PIN", "pin="+pin, "ffplay ", "ffplay -nodisp ").Replace(line)
	}
	var publisher *process
	for _, line := range commands {
		begin := time.Now()
		switch {
		case line == "make demo":
			finish(t, shell(t, line, "ARGS=--duration 3s --http 127.0.0.1:0", "GOFLAGS=-buildvcs=false"), 10*time.Minute)
		case line == "make test":
			b, err := os.ReadFile("../../.ci/run")
			if err != nil || !strings.Contains(string(b), "\nGOFLAGS=\"${GOFLAGS:-} -v\" make test") {
				t.Errorf(".ci/run does not run make test: %v", err)
			}
		case line == "make build": // make demo has
		case strings.HasPrefix(line, "./bin/fairlead relay"):
			relay = shell(t, line, ports...)
			all := relay.find(t, `fairlead: ready (srt=\S+ rtmp=\S+ http=\S+ quic=\S+)`)
			f := strings.Fields(all)
			srt, rtmp, web, quic = f[0][len("srt="):], f[1][len("rtmp="):], f[2][len("http="):], f[3][len("quic="):]
			pin = relay.find(t, `&pin=([\w-]{43})`)
		case strings.HasPrefix(line, "ffmpeg "), strings.HasPrefix(line, "./bin/fairlead push "):
			if publisher != nil { // one publisher a key
				_ = syscall.Kill(-publisher.cmd.Process.Pid, syscall.SIGKILL)
				relay.find(t, `publisher closed`)
			}
			publisher = shell(t, local(line))
			if strings.Contains(line, "fairlead push") {
				relay.find(t, `publisher opened.*protocol=quic`)
			}
			waitFLV(t, web, "live/cam")
		case strings.HasPrefix(line, "./bin/fairlead bench"):
			// Shorter, and no second time for cells that the machine disturbs.
			finish(t, shell(t, strings.Replace(line, "--duration 10s", "--duration 3s --retry 0", 1)), 5*time.Minute)
		case strings.HasPrefix(line, "ffplay "):
			need.Program(t, "ffplay")
			player := shell(t, local(line), "SDL_VIDEODRIVER=dummy", "SDL_AUDIODRIVER=dummy")
			player.find(t, `Stream #0:0: (Video): h264`)
			player.find(t, `Stream #0:1: (Audio): aac`)
		default:
			t.Errorf("no test knows the README's command %q; known are %q", line, slices.Compact(commands))
		}
		t.Logf("%5.1f s: %s", time.Since(begin).Seconds(), line)
	}
}

// waitFLV waits until a stream is served.
func waitFLV(t *testing.T, web, name string) {
	t.Helper()
	var last []byte
	for end := time.Now().Add(2 * need.Patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var d net.Dialer
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		c, err := d.DialContext(ctx, "tcp", web)
		if err == nil {
			_, _ = c.Write([]byte("GET /" + name + ".flv HTTP/1.0\r\n\r\n"))
			_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
			b := make([]byte, 4096)
			n, _ := c.Read(b)
			last = b[:n]
			_ = c.Close()
		}
		cancel()
		if bytes.Contains(last, []byte("200 OK")) {
			return
		}
	}
	t.Fatalf("%s is not served: %s", name, last)
}
