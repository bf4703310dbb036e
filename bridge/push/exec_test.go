package push

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/hub"
)

// tsFile is a transport stream of the clip's first pictures.
func tsFile(t *testing.T, pictures int) string {
	t.Helper()
	out, err := clip.TS(pictures)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "clip.ts")
	if err := os.WriteFile(name, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// execution is an exec: input on a hub of its own.
type execution struct {
	*running
	sub  *hub.Subscriber
	done chan error
	stop context.CancelFunc
}

func runEncoder(t *testing.T, command string, e Encoder) *execution {
	t.Helper()
	p := &Push{cfg: Config{Encoder: e, Logger: slog.New(slog.DiscardHandler)}}
	in, err := p.newRunning(command)
	if err != nil {
		t.Fatal(err)
	}
	h := hub.New(hub.Config{Hold: time.Millisecond})
	sub, err := h.Subscribe("a/b", hub.SubscriberInfo{Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	x := &execution{in.(*running), sub, make(chan error, 1), cancel}
	go func() { x.done <- in.run(ctx, h, "a/b") }()
	t.Cleanup(func() { cancel(); _ = h.Close() })
	return x
}

// pictures reads until n pictures have come, and returns their times.
func (x *execution) pictures(t *testing.T, n int) (at []time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), need.Patience)
	defer cancel()
	for len(at) < n {
		f, err := x.sub.Read(ctx)
		if err != nil {
			t.Fatalf("after %d pictures: %v", len(at), err)
		}
		if f.Codec.IsVideo() {
			at = append(at, f.DTS)
		}
	}
	return at
}

func (x *execution) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-x.done:
		return err
	case <-time.After(need.Patience):
		t.Fatal("the input does not end")
		return nil
	}
}

func TestExecEnds(t *testing.T) {
	t.Parallel()
	name := tsFile(t, 30)
	x := runEncoder(t, "cat "+name, Encoder{})
	x.pictures(t, 30)
	if err := x.end(t); err != nil {
		t.Errorf("a program that ends well: %v", err)
	}
	for _, c := range []struct{ command, want string }{
		{"no-such-program-here --x", "no-such-program-here"},
		{"echo 'device is busy' >&2; exit 127", `exit status 127: device is busy`},
	} {
		if err := runEncoder(t, c.command, Encoder{}).end(t); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.command, err, c.want)
		}
	}
	for _, c := range []Config{{Encoder: Encoder{Control: ControlRestart}}, {Encoder: Encoder{Start: 1e6, Max: 5e5}}} {
		if _, err := (&Push{cfg: c}).newRunning("cat x"); !errors.Is(err, config.ErrUsage) {
			t.Errorf("%+v: %v", c.Encoder, err)
		}
	}
}

// An encoder that dies is started again, on a timeline that goes on.
func TestExecDies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// The first one dies after 15 pictures, the second lives.
	command := fmt.Sprintf("if mkdir %s/first; then cat %s; echo 'driver crashed' >&2; exit 3; else cat %s; sleep 9; fi", dir, tsFile(t, 15), tsFile(t, 20))
	x := runEncoder(t, command, Encoder{})
	at := x.pictures(t, 33)
	for i := 1; i < len(at); i++ {
		if d := at[i] - at[i-1]; d <= 0 || d > need.Patience {
			t.Errorf("picture %d is %v after the one before", i, d)
		}
	}
	x.stop()
	if err := x.end(t); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Rates come as lines, the newest first; nothing of the process group is left at the end.
func TestExecStdin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	command := fmt.Sprintf("sleep 300 & echo $! > %s/pid; cat %s; while read line; do echo $line >> %s/said; done", dir, tsFile(t, 30), dir)
	x := runEncoder(t, command, Encoder{Control: ControlStdin, Start: 3e6, Max: 5e6})
	x.pictures(t, 20)
	said := func(want string) {
		t.Helper()
		need.Until(t, "told "+want, func() bool {
			b, _ := os.ReadFile(filepath.Join(dir, "said"))
			return strings.Contains(string(b), want+"\n")
		})
	}
	said("3000000")
	x.retarget(time.Now(), 2e6)
	said("2000000")
	x.retarget(time.Now(), 9e6)
	said("5000000")
	x.keyframe()
	said("keyframe")
	x.stop()
	_ = x.end(t)
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	need.Until(t, "the end of the group's other process", func() bool {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return syscall.Kill(pid, 0) != nil || strings.Contains(string(b), ") Z ") // dead; nobody has waited for it yet
	})
}

// A lower rate starts the encoder anew: in place of the old one, or beside it until the new one has a key frame.
func TestExecRestart(t *testing.T) {
	need.RealTime(t)
	for _, control := range []Control{ControlRestart, ControlSwitch} {
		t.Run(control.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			x := runEncoder(t, fmt.Sprintf("echo {bitrate} {kbit} >> %s/rates; cat %s; exec sleep 300", dir, tsFile(t, 90)), Encoder{Control: control, Start: 4e6})
			told := make(chan struct{})
			go func() { // as advise does
				defer close(told)
				for range 40 {
					x.retarget(time.Now(), 2e6)
					time.Sleep(100 * time.Millisecond)
				}
			}()
			at := x.pictures(t, 130)
			<-told
			for i := 1; i < len(at); i++ {
				if d := at[i] - at[i-1]; d <= 0 || d > need.Patience {
					t.Errorf("picture %d is %v after the one before", i, d)
				}
			}
			b, _ := os.ReadFile(filepath.Join(dir, "rates"))
			if want := "4000000 4000\n1900000 1900\n"; string(b) != want {
				t.Errorf("it was started with %q, want %q", b, want)
			}
			x.stop()
			_ = x.end(t)
		})
	}
}

func TestParseControl(t *testing.T) {
	for c := range numControls {
		if got, err := ParseControl(c.String()); err != nil || got != c {
			t.Errorf("%v: %v, %v", c, got, err)
		}
	}
	if _, err := ParseControl("signal"); !errors.Is(err, config.ErrUsage) {
		t.Error(err)
	}
}
